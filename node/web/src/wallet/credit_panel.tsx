import { useEffect } from "preact/hooks";
import { credentials } from "../api/credentials";
import { askJson } from "../api/gateway";
import { creditDepositsAbi as abi } from "../chain/abis";
import type { DepositTerms, NetworkFacts } from "../chain/network";
import { etherOf } from "../design/amount";
import { language } from "../words/language";
import type { Connection } from "./connection";
import { areTermsTrue, readCredit, type Credit } from "./credit";
import { DepositForm } from "./deposit_form";
import { useDoing, useFetched } from "./doing";
import { transactions, type Deed } from "./journal";
import { send } from "./sending";
import { Trouble } from "./trouble";
import { words } from "./words";

const REFUND_LOOK_MILLISECONDS = 10_000;

interface Found {
  readonly credit: Credit;
  readonly areTrue: boolean;
}

/** Open credit, top it up, close it, fetch what came back. Amounts are the chain's, read through the wallet. */
export function CreditPanel({ here, facts }: { here: Connection; facts: NetworkFacts }) {
  const t = words();
  if (!facts.deposits) return <p class="quiet">{t.creditOff}</p>;
  return <Deposits here={here} facts={facts} terms={facts.deposits} />;
}

function Deposits({ here, facts, terms }: { here: Connection; facts: NetworkFacts; terms: DepositTerms }) {
  const t = words();
  const { provider } = here.wallet;
  const moved = transactions.value.map((one) => one.state).join();
  const state = useFetched<Found>(async () => {
    const [credit, areTrue] = await Promise.all([
      readCredit(provider, terms, here.account),
      areTermsTrue(provider, terms),
    ]);
    return { credit, areTrue };
  }, [here.account, moved]);
  const { found, error, again } = state;
  useEffect(() => {
    if (!found?.credit.refundFrom) return undefined;
    const timer = setInterval(again, REFUND_LOOK_MILLISECONDS);
    return () => clearInterval(timer);
  }, [found?.credit.refundFrom]);
  return (
    <section>
      <h3>{t.credit}</h3>
      {error !== undefined && <Trouble error={error} again={again} label={t.again} />}
      {found && <Amounts credit={found.credit} moved={moved} />}
      {found && !found.areTrue && (
        <p role="alert" data-verdict="wrong">
          {t.liar}
        </p>
      )}
      {found && <Moves here={here} facts={facts} terms={terms} found={found} />}
    </section>
  );
}

function Amounts({ credit, moved }: { credit: Credit; moved: string }) {
  const t = words();
  const session = credentials.value;
  const account = useFetched(
    async () =>
      session ? askJson<{ balance_wei: string; reserved_wei: string }>("/v1/account") : Promise.resolve(undefined),
    [session?.token, moved],
  );
  const rows: [string, string][] = [];
  if (account.found) {
    const { balance_wei: free, reserved_wei: kept } = account.found;
    rows.push([
      t.spendable,
      `${etherOf(BigInt(free))}${kept === "0" ? "" : ` (+ ${etherOf(BigInt(kept))} ${t.reserved})`}`,
    ]);
  }
  rows.push([t.heldThere, etherOf(credit.held)], [t.inWallet, etherOf(credit.wallet)]);
  if (credit.withdrawable > 0n) rows.push([t.toFetch, etherOf(credit.withdrawable)]);
  return (
    <dl class="amounts">
      {rows.map(([name, amount]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{amount}</dd>
        </div>
      ))}
    </dl>
  );
}

interface MovesGiven {
  readonly here: Connection;
  readonly facts: NetworkFacts;
  readonly terms: DepositTerms;
  readonly found: Found;
}

/** What can be done with the money now, and nothing else. */
function Moves({ here, facts, terms, found: { credit, areTrue } }: MovesGiven) {
  const t = words();
  const doing = useDoing();
  const address = terms.contract;
  type Call = "requestRefund" | "cancelRefund" | "refund" | "withdraw";
  const move = (deed: Deed & Call) => () =>
    doing.run(() => send(here, facts, deed, { address, abi, functionName: deed }));
  const isOver = credit.refundFrom !== 0 && credit.now >= credit.refundFrom;
  return (
    <>
      {areTrue && <DepositForm here={here} facts={facts} terms={terms} isFirst={credit.held === 0n} />}
      {credit.withdrawable > 0n && (
        <button type="button" class="main" aria-disabled={doing.busy} onClick={move("withdraw")}>
          {t.fetch(etherOf(credit.withdrawable))}
        </button>
      )}
      {credit.refundFrom !== 0 && (
        <div class="notice" data-verdict="open">
          <p>{t.closing(timeOf(credit.refundFrom))}</p>
          <p class="row">
            {isOver && (
              <button type="button" aria-disabled={doing.busy} onClick={move("refund")}>
                {t.takeBack}
              </button>
            )}
            <button type="button" aria-disabled={doing.busy} onClick={move("cancelRefund")}>
              {t.keepOpen}
            </button>
          </p>
        </div>
      )}
      {credit.held > 0n && credit.refundFrom === 0 && (
        <p>
          <button type="button" aria-disabled={doing.busy} onClick={move("requestRefund")}>
            {t.closeCredit}
          </button>{" "}
          <small class="quiet">{t.closeHint}</small>
        </p>
      )}
      {doing.busy && <p role="status">{t.asking}</p>}
      {doing.error !== undefined && <Trouble error={doing.error} />}
    </>
  );
}

function timeOf(seconds: number): string {
  return new Date(seconds * 1_000).toLocaleString(language.value, { dateStyle: "medium", timeStyle: "short" });
}
