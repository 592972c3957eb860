import { useEffect, useState } from "preact/hooks";
import { networkFacts } from "../chain/network";
import { connection, reconnect } from "./connection";
import { followOtherTabs, isOpen, transactions } from "./journal";
import { WalletPanel } from "./wallet_panel";
import "./wallet.css";
import { watchTransactions } from "./watching";
import { words } from "./words";

/** The account in use, and the way to connect one. It is always there, so it looks after the wallet, too. */
export function WalletButton() {
  const t = words();
  const [open, show] = useState(false);
  const here = connection.value;
  const waiting = transactions.value.filter(isOpen).length;
  useEffect(keepUp, []);
  return (
    <>
      <button type="button" class={here ? "" : "main"} aria-haspopup="dialog" onClick={() => show(true)}>
        {here ? <span class="mono">{`${here.account.slice(0, 6)}…${here.account.slice(-4)}`}</span> : t.connect}
        {waiting > 0 && (
          <span class="waiting" title={t.sent}>
            {waiting}
          </span>
        )}
      </button>
      {open && <WalletPanel close={() => show(false)} />}
    </>
  );
}

/** Go on with the wallet of the last visit, and with what was sent then. Returns what undoes it. */
function keepUp(): () => void {
  let confirmations = 1;
  networkFacts().then(
    (facts) => (confirmations = facts.confirmations),
    () => undefined, // Whoever opens the panel is told.
  );
  const undo = [reconnect(), followOtherTabs(), watchTransactions(() => confirmations)];
  return () => undo.forEach((one) => one());
}
