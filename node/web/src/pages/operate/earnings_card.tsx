import type { Address } from "viem";
import type { NetworkFacts } from "../../chain/network";
import type { Provider } from "../../chain/provider";
import { etherOf, numberOf } from "../../design/amount";
import { Loading } from "../../design/state";
import { useFetched } from "../../wallet/doing";
import { Trouble } from "../../wallet/trouble";
import { words as walletWords } from "../../wallet/words";
import { readEarnings, type Day, type Earnings } from "./earnings";
import { machineWallet } from "./machine";
import { momentOf } from "./time";
import { words } from "./words";

interface Given {
  readonly node: Address;
  readonly provider: Provider;
  readonly facts: NetworkFacts;
  /** Changes whenever a transaction of this page has moved: then all is read again. */
  readonly moved: string;
}

/** Thirty days, a row each: what was earned, what the gas cost, what is left. */
export function EarningsCard({ node, provider, facts, moved }: Given) {
  const t = words();
  const machine = machineWallet(node);
  const payers = machine ? [node, machine] : [node];
  const state = useFetched(() => readEarnings(provider, facts, node, payers), [node, machine, moved]);
  return (
    <section class="card">
      <h2>{t.earnings}</h2>
      {state.error !== undefined && <Trouble error={state.error} again={state.again} label={walletWords().again} />}
      {!state.found && state.error === undefined && <Loading />}
      {state.found && <Table earnings={state.found} />}
    </section>
  );
}

function Table({ earnings: { days, lastSeen, isCut } }: { earnings: Earnings }) {
  const t = words();
  if (days.length === 0) return <p>{t.noEarnings}</p>;
  const all = days.reduce<Day>(
    (sum, day) => ({
      day: t.total,
      lines: sum.lines + day.lines,
      forfeited: sum.forfeited + day.forfeited,
      earned: sum.earned + day.earned,
      gas: sum.gas + day.gas,
    }),
    { day: t.total, lines: 0, forfeited: 0, earned: 0n, gas: 0n },
  );
  return (
    <>
      <div class="wide" tabIndex={0} role="region" aria-label={t.earnings}>
        <table class="earnings">
          <thead>
            <tr>
              {[t.day, t.lines, t.earned, t.gas, t.kept].map((name) => (
                <th key={name} scope="col">
                  {name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {days.map((day) => (
              <Row key={day.day} day={day} />
            ))}
          </tbody>
          <tfoot>
            <Row day={all} />
          </tfoot>
        </table>
      </div>
      <p class="quiet">
        <small>
          {t.gasOf} {isCut && t.cut} {t.seen}: {momentOf(lastSeen)}.
        </small>
      </p>
    </>
  );
}

function Row({ day }: { day: Day }) {
  const t = words();
  const left = day.earned - day.gas;
  return (
    <tr>
      <th scope="row">{day.day}</th>
      <td>
        {numberOf(day.lines)}{" "}
        {day.forfeited > 0 && <span data-verdict="wrong">{t.forfeited(numberOf(day.forfeited))}</span>}
      </td>
      <td>{etherOf(day.earned)}</td>
      <td>{etherOf(day.gas)}</td>
      <td>{left < 0n ? <span data-verdict="wrong">{etherOf(left)}</span> : etherOf(left)}</td>
    </tr>
  );
}
