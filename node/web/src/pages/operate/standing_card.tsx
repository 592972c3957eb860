import { Fact } from "../../design/fact";
import { etherOf, numberOf } from "../../design/amount";
import { Hash } from "../../design/hash";
import { stageOf, type Standing } from "./standing";
import { momentOf } from "./time";
import { words } from "./words";

/** What the chain says of the node. */
export function StandingCard({ standing }: { standing: Standing }) {
  const t = words();
  const stage = stageOf(standing);
  const { entry, receipts } = standing;
  const verdict = { active: "right", convicted: "wrong" } as Record<string, string>;
  return (
    <section class="card">
      <h2>{t.standing}</h2>
      <p>
        <strong data-verdict={verdict[stage] ?? "open"}>{t.stages[stage]}</strong>
      </p>
      {entry && (
        <dl class="facts">
          <Fact name={t.stake}>{etherOf(entry.stake)}</Fact>
          <Fact name={t.endpoint}>
            <span class="mono">{entry.endpoint}</span>
          </Fact>
          <Fact name={t.games}>{numberOf(entry.openGames)}</Fact>
          <Fact name={t.receipts}>
            {receipts.count > 0 ? t.committed(numberOf(receipts.count), momentOf(receipts.committedAt)) : t.never}
          </Fact>
          {entry.unbondableAfter > 0 && <Fact name={t.unbondable}>{momentOf(entry.unbondableAfter)}</Fact>}
          <Fact name={t.receiptKey}>
            <Hash value={entry.receiptKey} />
          </Fact>
          <Fact name={t.tlsKey}>
            <Hash value={entry.tlsKeyHash} />
          </Fact>
        </dl>
      )}
    </section>
  );
}
