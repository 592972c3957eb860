import { useState } from "preact/hooks";
import { getAddress, isAddress, type Address } from "viem";
import { networkFacts, type NetworkFacts } from "../../chain/network";
import { Hash } from "../../design/hash";
import { Loading } from "../../design/state";
import { addressOf, go, parameters } from "../../router";
import { connection, type Connection } from "../../wallet/connection";
import { useFetched } from "../../wallet/doing";
import { transactions } from "../../wallet/journal";
import { Trouble } from "../../wallet/trouble";
import { WalletChoice } from "../../wallet/wallet_choice";
import { WrongChain } from "../../wallet/wallet_panel";
import { words as walletWords } from "../../wallet/words";
import { EarningsCard } from "./earnings_card";
import { identityOf } from "./identity";
import { LeaveCard } from "./leave_card";
import { keptRegistry } from "./named_registry";
import "./operate.css";
import { SeenCard } from "./seen_card";
import { SetupCard } from "./setup_card";
import { readStanding } from "./standing";
import { StandingCard } from "./standing_card";
import { WithdrawCard } from "./withdraw_card";
import { words } from "./words";

/** A node from its registration to its end, for the account in the wallet; any node can be looked at. */
export function Page() {
  const t = words();
  const facts = useFetched(networkFacts, []);
  const here = connection.value;
  return (
    <div class="operate">
      <h1>{t.title}</h1>
      <p class="quiet">{t.intro}</p>
      {facts.error !== undefined && <Trouble error={facts.error} again={facts.again} label={walletWords().again} />}
      {!facts.found && facts.error === undefined && <Loading />}
      {facts.found && <Shown here={here} facts={facts.found} />}
    </div>
  );
}

function Shown({ here, facts }: { here: Connection | undefined; facts: NetworkFacts }) {
  const t = words();
  if (!here) {
    return (
      <section class="card">
        <h2>{t.looking}</h2>
        <p>{t.needsWallet}</p>
        <WalletChoice />
      </section>
    );
  }
  if (here.chainId !== facts.chainId) return <WrongChain here={here} facts={facts} />;
  const named = parameters.value.get("node") ?? "";
  const node = isAddress(named, { strict: false }) ? getAddress(named) : here.account;
  return <Node key={node} node={node} here={here} facts={facts} />;
}

function Node({ node, here, facts }: { node: Address; here: Connection; facts: NetworkFacts }) {
  const t = words();
  const { provider } = here.wallet;
  const moved = transactions.value.map((one) => one.state).join();
  const state = useFetched(() => readStanding(provider, facts, node), [node, moved]);
  const isOurs = node === here.account;
  const [pasted, paste] = useState("");
  const identity = identityOf(pasted);
  const named = identity?.node === node ? identity.registry : keptRegistry(node);
  return (
    <>
      <p class="row">
        <strong>{t.looking}</strong> <Hash value={node} />
      </p>
      {!isOurs && (
        <p role="status" class="notice" data-verdict="open">
          {t.notYours}
        </p>
      )}
      {state.error !== undefined && <Trouble error={state.error} again={state.again} label={walletWords().again} />}
      {!state.found && state.error === undefined && <Loading />}
      {state.found && (
        <>
          <StandingCard standing={state.found} />
          {state.found.entry && <SeenCard node={node} />}
          <WithdrawCard node={node} here={here} facts={facts} standing={state.found} />
          <EarningsCard node={node} provider={provider} facts={facts} moved={moved} />
          {isOurs && <SetupCard here={here} facts={facts} standing={state.found} pasted={pasted} paste={paste} />}
          {isOurs && state.found.entry && <LeaveCard here={here} facts={facts} standing={state.found} named={named} />}
        </>
      )}
      <OtherNode />
    </>
  );
}

function OtherNode() {
  const t = words();
  const [typed, type] = useState("");
  const [wrong, blame] = useState(false);
  const look = (event: Event) => {
    event.preventDefault();
    const isOne = isAddress(typed.trim(), { strict: false });
    blame(!isOne);
    if (isOne) go(`${addressOf("operate")}?node=${getAddress(typed.trim())}`);
  };
  return (
    <form class="card" onSubmit={look}>
      <h2>{t.other}</h2>
      <p class="row">
        <input
          class="mono grow"
          aria-label={t.address}
          placeholder="0x…"
          value={typed}
          aria-invalid={wrong}
          onInput={(event) => type(event.currentTarget.value)}
        />
        <button type="submit">{t.look}</button>
      </p>
      {wrong && <p role="alert">{t.badAddress}</p>}
    </form>
  );
}
