import { useState } from "preact/hooks";
import { askJson } from "../api/gateway";
import { creditDepositsAbi as abi } from "../chain/abis";
import type { ContractCall } from "../chain/calls";
import type { DepositTerms, NetworkFacts } from "../chain/network";
import { priceOf, rateOf, tokensFor, type TokenPrice } from "../chain/publisher_share";
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
      {model.found && bought(wei, model.found)} {cost.found && t.gas(etherOf(cost.found.wei))}
    </>
  );
}

function callOf(terms: DepositTerms, here: Connection, value: bigint): ContractCall<typeof abi, "deposit"> {
  return { address: terms.contract, abi, functionName: "deposit", args: [here.account], value };
}

interface PricedModel {
  readonly name: string;
  readonly price: TokenPrice;
}

/** Tokens that an amount pays, in words; its publisher's share counts. */
function bought(wei: bigint, { name, price }: PricedModel): string {
  const t = words();
  const about = t.about(numberOf(tokensFor(wei, price) ?? 0n), name);
  return price.share > 0 ? `${about} ${t.withShare(rateOf(price.share))}` : about;
}

/** The first model that costs anything. None where there is none. */
async function firstModel(): Promise<PricedModel | undefined> {
  const said = await askJson<{ data?: Record<string, unknown>[] }>("/v1/models");
  for (const listed of said.data ?? []) {
    const [name, price] = [listed["id"], priceOf(listed)];
    if (typeof name === "string" && price && price.weiPerToken > 0n) return { name: name.slice(0, 60), price };
  }
  return undefined;
}
