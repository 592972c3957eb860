import type { Settlement, Settlements } from "../../chain/documents";
import { Hash } from "../../design/hash";
import { addressOf } from "../../router";
import { List, useList } from "./list";
import { MoneyBar } from "./money_bar";
import { Moment } from "./parts";
import { settledParts } from "./sums";
import { words } from "./words";

export function SettlementList() {
  const t = words();
  const shown = useList<Settlements>("/explorer/settlements", (event) => event.name === "LineSettled");
  return (
    <List title={t.settlements} shown={shown}>
      {(found) => found.items.map((one) => <SettlementCard key={one.id} settlement={one} />)}
    </List>
  );
}

/** The settled lines of one node, beside what else is shown of it. */
export function Settled({ node, level: Heading }: { node: string; level: "h2" }) {
  const t = words();
  const { document: found } = useList<Settlements>(
    `/explorer/settlements?node=${encodeURIComponent(node)}`,
    (event) => event.name === "LineSettled" && event.node === node,
  );
  if (!found || found.items.length === 0) return null;
  return (
    <section>
      <Heading>{t.settlements}</Heading>
      {found.items.map((one) => (
        <SettlementCard key={one.id} settlement={one} />
      ))}
    </section>
  );
}

function SettlementCard({ settlement }: { settlement: Settlement }) {
  const t = words();
  const { parts, total, exact } = settledParts(settlement);
  return (
    <article class="card">
      <p class="row">
        <Moment time={settlement.time} />
        <span>
          {t.session}: <Hash value={settlement.session} href={addressOf("explorer", "sessions", settlement.session)} />
        </span>
        <span>
          {t.node}: <Hash value={settlement.node} href={addressOf("explorer", "nodes", settlement.node)} />
        </span>
      </p>
      <MoneyBar segments={parts} total={total} />
      {settlement.forfeited && <p data-verdict="wrong">{t.forfeited}</p>}
      <p class={exact ? "quiet" : ""} data-verdict={exact ? undefined : "wrong"}>
        {exact ? t.exact : t.inexact}
      </p>
    </article>
  );
}
