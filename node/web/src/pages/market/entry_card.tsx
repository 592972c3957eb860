import { momentOf, shareOf } from "../../chain/clock";
import { rateOf } from "../../chain/publisher_share";
import { CertifiedQuality } from "../../chain/quality";
import { etherOf, numberOf } from "../../design/amount";
import { Hash } from "../../design/hash";
import { addressOf } from "../../router";
import type { Entry } from "./offers";
import { words } from "./words";

/** One version with its price, its nodes and what is certified of it. */
export function EntryCard({ entry }: { entry: Entry }) {
  const t = words();
  const model = entry.model;
  const name = model.names[0] ?? model.certificate?.quality?.name ?? model.version.slice(0, 10);
  const unknown = <span class="quiet">{t.unknown}</span>;
  const facts = [
    [t.price, <Price key="price" entry={entry} />],
    [t.nodes, numberOf(entry.nodes)],
    [t.latency, entry.latency === undefined ? unknown : `${numberOf(Math.round(entry.latency * 10) / 10)} ms`],
    [
      t.throughput,
      entry.throughput === undefined ? (
        unknown
      ) : (
        <span title={t.ofAnswers(numberOf(model.pace?.answers ?? 0))}>
          {t.perSecond(numberOf(Math.round(entry.throughput * 10) / 10))}
        </span>
      ),
    ],
    [t.uptime, entry.uptime === undefined ? unknown : shareOf(entry.uptime, 1)],
    [t.licence, model.licence ?? unknown],
    [t.publisher, <Hash key="publisher" value={model.publisher} />],
    [t.published, momentOf(model.published_at)],
  ] as const;
  return (
    <article class="card">
      <h2>
        <a href={addressOf("explorer", "models", model.version)}>
          {name} {model.record?.semver}
        </a>
      </h2>
      <dl class="facts">
        {facts.map(([label, value]) => (
          <div key={label}>
            <dt>{label}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      <h3>{t.quality}</h3>
      <CertifiedQuality certificate={model.certificate} />
      {model.names.length === 0 && <p class="quiet">{t.elsewhere}</p>}
      {model.names.map((one) => (
        <a key={one} class="go" href={`${addressOf("chat")}?model=${encodeURIComponent(one)}`}>
          {t.chat(one)}
        </a>
      ))}
    </article>
  );
}

/** What nodes ask for a token, and what its publisher gets on top. */
function Price({ entry }: { entry: Entry }) {
  const t = words();
  const rate = entry.model.share_basis_points;
  return (
    <>
      {entry.price === undefined ? <span class="quiet">{t.noRoute}</span> : etherOf(entry.price)}
      {rate > 0 && ` ${t.onTop(rateOf(rate))}`}
    </>
  );
}
