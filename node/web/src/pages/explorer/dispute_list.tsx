import type { Contradiction, Dispute, Disputes } from "../../chain/documents";
import { Hash } from "../../design/hash";
import { addressOf } from "../../router";
import { List, useList } from "./list";
import { Badge, Moment, Wei } from "./parts";
import { Turn } from "./turn";
import { words } from "./words";

export function DisputeList() {
  const t = words();
  const shown = useList<Disputes>("/explorer/disputes", (event) => event.contract === "disputes");
  return (
    <>
      <List title={t.disputes} shown={shown}>
        {(found) => found.items.map((one) => <DisputeCard key={one.id} dispute={one} />)}
      </List>
      {shown.document && shown.document.contradictions.length > 0 && (
        <section class="card">
          <h2>{t.contradictions}</h2>
          <ul>
            {shown.document.contradictions.map((one) => (
              <ContradictionLine key={one.id} found={one} />
            ))}
          </ul>
        </section>
      )}
    </>
  );
}

function DisputeCard({ dispute }: { dispute: Dispute }) {
  const t = words();
  return (
    <article class="card">
      <h2>
        <a href={addressOf("explorer", "disputes", String(dispute.game))}>
          {t.game} {dispute.game}
        </a>
      </h2>
      <p class="row">
        <Outcome dispute={dispute} />
        <span>
          {t.node}: <Hash value={dispute.node} href={addressOf("explorer", "nodes", dispute.node)} />
        </span>
        <span>
          {t.challenger}: <Hash value={dispute.challenger} />
        </span>
        <Moment time={dispute.opened_at} />
      </p>
      <Turn dispute={dispute} />
    </article>
  );
}

/** How a game ended, or what is likely. */
export function Outcome({ dispute }: { dispute: Dispute }) {
  const t = words();
  const verdict = { convicted: "wrong", acquitted: "right" } as const;
  const outcome = dispute.forecast.outcome;
  return (
    <Badge verdict={verdict[outcome as keyof typeof verdict] ?? "open"}>
      {dispute.forecast.reason === "over" ? "" : `${t.forecast}: `}
      {t.outcomes[outcome] ?? outcome}
    </Badge>
  );
}

function ContradictionLine({ found }: { found: Contradiction }) {
  const t = words();
  return (
    <li>
      <Moment time={found.time} />, {t.node}:{" "}
      <Hash value={found.node} href={addressOf("explorer", "nodes", found.node)} />, {t.finder}:{" "}
      <Hash value={found.finder} />, {t.reward}: <Wei wei={found.reward_wei} />
    </li>
  );
}
