import { numberOf } from "../../design/amount";
import { Fact } from "../../design/fact";
import { language } from "../../words/language";
import type { Memory } from "./gateway_types";
import { timeOf } from "./sentences";
import { words } from "./words";

/** What the memory holds, in numbers. */
export function MemoryCard({ memory }: { memory: Memory | null }) {
  const t = words();
  if (!memory) {
    return (
      <section class="card" aria-labelledby="learn-memory">
        <h2 id="learn-memory">{t.memory}</h2>
        <p class="quiet">{t.noMemory}</p>
      </section>
    );
  }
  const megabytes = (memory.storage_bytes / 2 ** 20).toLocaleString(language.value, { maximumFractionDigits: 1 });
  return (
    <section class="card" aria-labelledby="learn-memory">
      <h2 id="learn-memory">{t.memory}</h2>
      <p>
        <strong class="learn-number">{numberOf(memory.total_examples)}</strong> {t.examples},{" "}
        {numberOf(memory.confident)} {t.confident}.{" "}
        <span data-verdict={memory.ready_for_training ? "right" : "open"}>
          {memory.ready_for_training ? t.ready : t.notReady}
        </span>
      </p>
      <dl class="learn-facts">
        <Fact name={t.average}>{memory.avg_confidence.toFixed(2)}</Fact>
        <Fact name={t.storage}>{`${megabytes} MiB`}</Fact>
        <Fact name={t.compressedEmbedded}>{`${numberOf(memory.compressed)}, ${numberOf(memory.embedded)}`}</Fact>
        {memory.oldest !== null && memory.newest !== null && (
          <Fact name={t.since}>{`${timeOf(memory.oldest)} – ${timeOf(memory.newest)}`}</Fact>
        )}
      </dl>
      <Bars title={t.byCategory} counts={memory.categories} />
      <Bars title={t.bySource} counts={memory.sources} />
    </section>
  );
}

/** Counts by name; the bar says nothing that the number does not. */
function Bars({ title, counts }: { title: string; counts: Readonly<Record<string, number>> }) {
  const most = Math.max(1, ...Object.values(counts));
  return (
    <section>
      <h3>{title}</h3>
      <ul class="learn-bars">
        {Object.entries(counts).map(([name, count]) => (
          <li key={name}>
            <span>{name}</span>
            <meter max={most} value={count} aria-hidden="true" />
            <span>{numberOf(count)}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}
