import { durationOf } from "../../chain/clock";
import type { Dispute } from "../../chain/documents";
import { chainNow } from "../../chain/live";
import { words } from "./words";

/** Whose turn it is, what for, and the clock that runs. */
export function Turn({ dispute }: { dispute: Dispute }) {
  const t = words();
  if (dispute.forecast.reason === "over") return <p class="quiet">{t.over}</p>;
  if (dispute.nodes_turn === undefined) return <p class="quiet">{t.notRead}</p>;
  const now = chainNow.value;
  const left = now === undefined ? undefined : dispute.deadline - now;
  const whole = dispute.deadline - (dispute.turn_started_at ?? dispute.deadline);
  return (
    <div class="turn">
      <p>
        <strong>{dispute.nodes_turn ? t.turnOf.node : t.turnOf.challenger}</strong>{" "}
        {t.waitsFor[dispute.state] ?? dispute.state}
      </p>
      {left !== undefined && (
        <p>
          {left < 0 ? (
            <span data-verdict="open">{t.timeOver}</span>
          ) : (
            <>
              {t.clock}: <span class="clock mono">{durationOf(left)}</span>
            </>
          )}
        </p>
      )}
      {left !== undefined && left >= 0 && whole > 0 && (
        <svg class="time" viewBox="0 0 1000 8" preserveAspectRatio="none" aria-hidden="true">
          <rect class="time-all" width="1000" height="8" />
          <rect class="time-left" width={Math.min(1000, (1000 * left) / whole)} height="8" />
        </svg>
      )}
    </div>
  );
}
