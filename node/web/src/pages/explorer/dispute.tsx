import type { DisputeDetail, Move } from "../../chain/documents";
import { useDocument } from "../../chain/live";
import { Fact } from "../../design/fact";
import { Hash } from "../../design/hash";
import { addressOf } from "../../router";
import { Outcome } from "./dispute_list";
import { ElementCard } from "./element";
import { Moment, NotYet, Top, Wei } from "./parts";
import { Turn } from "./turn";
import { words } from "./words";

export function DisputePage({ id }: { id: string }) {
  const t = words();
  const {
    document: dispute,
    error,
    again,
  } = useDocument<DisputeDetail>(
    `/explorer/disputes/${encodeURIComponent(id)}`,
    (event) => event.contract === "disputes" || event.name === "Slashed",
  );
  if (!dispute) return <NotYet name={t.game} error={error} again={again} />;
  const layers =
    dispute.layer_start !== undefined && dispute.layer_end !== undefined
      ? t.layerRange(dispute.layer_start, dispute.layer_end)
      : undefined;
  return (
    <>
      <Top part="disputes" title={`${t.game} ${dispute.game}`} />
      <section class="card">
        <p>
          <Outcome dispute={dispute} /> <span class="quiet">{t.reasons[dispute.forecast.reason]}</span>
        </p>
        <Turn dispute={dispute} />
        <dl class="facts">
          <Fact name={t.node}>
            <Hash value={dispute.node} href={addressOf("explorer", "nodes", dispute.node)} />
          </Fact>
          <Fact name={t.challenger}>
            <Hash value={dispute.challenger} />
          </Fact>
          <Fact name={t.receipt}>
            <Hash value={dispute.receipt} />
          </Fact>
          {dispute.session && (
            <Fact name={t.session}>
              <Hash value={dispute.session} href={addressOf("explorer", "sessions", dispute.session)} />
            </Fact>
          )}
          {dispute.version && (
            <Fact name={t.version}>
              <Hash value={dispute.version} href={addressOf("explorer", "models", dispute.version)} />
            </Fact>
          )}
          {layers && <Fact name={t.layers}>{layers}</Fact>}
          <Fact name={t.bond}>
            <Wei wei={dispute.ending ? dispute.first_bond_wei : (dispute.bond_wei ?? dispute.first_bond_wei)} />
          </Fact>
        </dl>
        {dispute.ending && (
          <ul>
            {Object.entries(dispute.ending.wei).map(([name, wei]) => (
              <li key={name}>
                <Wei wei={wei} /> {t.money[name] ?? name}
              </li>
            ))}
          </ul>
        )}
      </section>
      <ElementCard dispute={dispute} />
      <section class="card">
        <h2>{t.moves}</h2>
        <ol class="moves" aria-live="polite">
          {dispute.moves.map((move) => (
            <MoveLine key={move.id} move={move} />
          ))}
        </ol>
      </section>
    </>
  );
}

function MoveLine({ move }: { move: Move }) {
  const t = words();
  const numbers = Object.entries(move.numbers)
    .map(([name, value]) => `${name} ${value}`)
    .join(", ");
  return (
    <li data-by={move.by}>
      <strong>{t.by[move.by] ?? move.by}</strong> {t.moveNames[move.name] ?? move.name}
      {numbers && <span class="mono quiet"> ({numbers})</span>}
      <div class="quiet">
        <Moment time={move.time} /> <Hash value={move.transaction} />
      </div>
    </li>
  );
}
