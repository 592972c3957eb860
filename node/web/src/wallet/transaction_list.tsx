import { Hash } from "../design/hash";
import { etherOf, numberOf } from "../design/amount";
import { forget, isOpen, transactions, type KeptTransaction } from "./journal";
import { words } from "./words";

const MOST_SHOWN = 8;

/** What this browser had sent, newest first, and how far each is. Nothing is shown where there was nothing. */
export function TransactionList({ confirmations }: { confirmations: number }) {
  const t = words();
  const shown = transactions.value.slice(0, MOST_SHOWN);
  if (shown.length === 0) return null;
  return (
    <section>
      <h3>{t.sent}</h3>
      <ul class="transactions" aria-live="polite">
        {shown.map((one) => (
          <Row key={one.id} entry={one} confirmations={confirmations} />
        ))}
      </ul>
    </section>
  );
}

function Row({ entry, confirmations }: { entry: KeptTransaction; confirmations: number }) {
  const t = words();
  const value = BigInt(entry.value);
  return (
    <li data-state={entry.state}>
      <span>
        <strong>{t.deeds[entry.deed]}</strong> {value > 0n && etherOf(value)}{" "}
        {entry.hash && <Hash value={entry.hash} />}
      </span>
      <span data-verdict={verdictOf(entry)}>
        {t.states[entry.state]}
        {entry.state === "included" && `: ${t.depth(numberOf(entry.depth ?? 1), numberOf(confirmations))}`}
      </span>
      {entry.reorganised && isOpen(entry) && <span class="quiet">{t.block}</span>}
      {(!isOpen(entry) || entry.state === "asked") && (
        <button type="button" aria-label={`${t.dismiss}: ${t.deeds[entry.deed]}`} onClick={() => forget(entry.id)}>
          {t.dismiss}
        </button>
      )}
    </li>
  );
}

function verdictOf({ state }: KeptTransaction): string {
  if (state === "confirmed") return "right";
  return state === "failed" || state === "replaced" ? "wrong" : "open";
}
