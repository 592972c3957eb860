import { useEffect, useRef } from "preact/hooks";
import { networkFacts, type NetworkFacts } from "../chain/network";
import { Hash } from "../design/hash";
import { Loading } from "../design/state";
import { requireChain } from "./chain_choice";
import { connection, disconnect, type Connection } from "./connection";
import { CreditPanel } from "./credit_panel";
import { useDoing, useFetched } from "./doing";
import { SignIn } from "./sign_in";
import { TransactionList } from "./transaction_list";
import { Trouble } from "./trouble";
import { WalletChoice } from "./wallet_choice";
import { words } from "./words";

/** Everything about the wallet, in a dialog: account, chain, session, credit, and what was sent. */
export function WalletPanel({ close }: { close: () => void }) {
  const t = words();
  const dialog = useRef<HTMLDialogElement>(null);
  const facts = useFetched(networkFacts, []);
  const here = connection.value;
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} class="wallet" aria-label={t.wallet} onClose={close}>
      <div class="row head">
        <h2>{t.wallet}</h2>
        <button type="button" onClick={() => dialog.current?.close()}>
          {t.close}
        </button>
      </div>
      {here ? <Account here={here} /> : <WalletChoice />}
      {facts.error !== undefined && <Trouble error={facts.error} again={facts.again} label={t.again} />}
      {!facts.found && facts.error === undefined && <Loading />}
      {here && facts.found && <OnChain here={here} facts={facts.found} />}
      <TransactionList confirmations={facts.found?.confirmations ?? 1} />
    </dialog>
  );
}

function Account({ here }: { here: Connection }) {
  const t = words();
  return (
    <section>
      <p class="row">
        <Hash value={here.account} /> <span class="quiet">{t.via(here.wallet.name)}</span>
        <button type="button" onClick={disconnect}>
          {t.disconnect}
        </button>
      </p>
    </section>
  );
}

function OnChain({ here, facts }: { here: Connection; facts: NetworkFacts }) {
  return (
    <>
      <SignIn />
      {here.chainId === facts.chainId ? (
        <CreditPanel key={here.account} here={here} facts={facts} />
      ) : (
        <WrongChain here={here} facts={facts} />
      )}
    </>
  );
}

/** What a person whose wallet is on another chain is offered. */
export function WrongChain({ here, facts }: { here: Connection; facts: NetworkFacts }) {
  const t = words();
  const doing = useDoing();
  return (
    <section class="notice" data-verdict="open">
      <p>{t.wrongChain(facts.name)}</p>
      <button
        type="button"
        aria-disabled={doing.busy}
        onClick={() => doing.run(() => requireChain(here.wallet.provider, facts))}
      >
        {t.switchChain}
      </button>
      {doing.busy && <p role="status">{t.asking}</p>}
      {doing.error !== undefined && <Trouble error={doing.error} />}
    </section>
  );
}
