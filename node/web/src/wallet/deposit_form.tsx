import { useState } from "preact/hooks";
import { askJson } from "../api/gateway";
import { creditDepositsAbi as abi } from "../chain/abis";
import type { ContractCall } from "../chain/calls";
import type { DepositTerms, NetworkFacts } from "../chain/network";
import { etherOf, numberOf } from "../design/amount";
import { weiOf } from "./amount_given";
import type { Connection } from "./connection";
import { useDoing, useFetched } from "./doing";
import { costOf, send } from "./sending";
import { Trouble } from "./trouble";
import { spanOf, words } from "./words";

interface Given {
  readonly here: Connection;
  readonly facts: NetworkFacts;
  readonly terms: DepositTerms;
  /** Nothing is there yet: this opens the credit. */
  readonly isFirst: boolean;
}

/** An amount, what it buys and what sending it costs, and one transaction. */
export function DepositForm({ here, facts, terms, isFirst }: Given) {
  const t = words();
  const doing = useDoing();
  const [typed, type] = useState("0.01");
  const [wrong, blame] = useState(false);
  const wei = weiOf(typed);
  const operator = `${terms.operator.slice(0, 6)}…${terms.operator.slice(-4)}`;
  const pay = (event: Event) => {
    event.preventDefault();
    blame(wei === undefined);
    if (wei !== undefined) doing.run(() => send(here, facts, "deposit", callOf(terms, here, wei)));
  };
  return (
    <form class="deposit" onSubmit={pay} noValidate>
      <p class="row">
        <label>
          {t.amount}{" "}
          <input
            inputMode="decimal"
            autocomplete="off"
            value={typed}
            aria-invalid={wrong && wei === undefined}
            aria-describedby="deposit-means"
            onInput={(event) => type(event.currentTarget.value)}
          />
        </label>
        <button type="submit" class="main" aria-disabled={doing.busy}>
          {isFirst ? t.open : t.topUp}
        </button>
      </p>
      <p id="deposit-means" class="quiet" aria-live="polite">
        {wei === undefined ? t.badAmount : <Meaning key={here.account} here={here} terms={terms} wei={wei} />}
      </p>
      {isFirst && <p>{t.once}</p>}
      <p class="quiet">
        <small>
          {t.trust(operator, spanOf(terms.notice))} {t.counts(numberOf(facts.confirmations))}
        </small>
      </p>
      {doing.busy && <p role="status">{t.asking}</p>}
      {doing.error !== undefined && <Trouble error={doing.error} />}
    </form>
  );
}

/** The amount in tokens of the gateway's first model, and the gas of sending it. */
function Meaning({ here, terms, wei }: { here: Connection; terms: DepositTerms; wei: bigint }) {
  const t = words();
  const model = useFetched(firstModel, []);
  const cost = useFetched(
    () => costOf(here.wallet.provider, here.account, callOf(terms, here, 1n)),
    [here.account, terms.contract],
  );
  return (
    <>
      {model.found && t.about(numberOf(wei / model.found.weiPerToken), model.found.name)}{" "}
      {cost.found && t.gas(etherOf(cost.found.wei))}
    </>
  );
}

function callOf(terms: DepositTerms, here: Connection, value: bigint): ContractCall<typeof abi, "deposit"> {
  return { address: terms.contract, abi, functionName: "deposit", args: [here.account], value };
}

/** The first model that has a price. None where there is none. */
async function firstModel(): Promise<{ name: string; weiPerToken: bigint } | undefined> {
  const said = await askJson<{ data?: { id?: unknown; wei_per_token?: unknown }[] }>("/v1/models");
  for (const { id, wei_per_token: price } of said.data ?? []) {
    if (typeof id === "string" && typeof price === "string" && /^[1-9]\d*$/.test(price)) {
      return { name: id.slice(0, 60), weiPerToken: BigInt(price) };
    }
  }
  return undefined;
}
