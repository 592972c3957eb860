import type { Address } from "viem";
import { disputeGameAbi, inferenceMarketAbi, nodeRegistryAbi } from "../../chain/abis";
import type { NetworkFacts } from "../../chain/network";
import { etherOf } from "../../design/amount";
import type { Connection } from "../../wallet/connection";
import { useDoing, useFetched } from "../../wallet/doing";
import { costOf, send } from "../../wallet/sending";
import { Trouble } from "../../wallet/trouble";
import { words as walletWords } from "../../wallet/words";
import type { Owed, Standing } from "./standing";
import { words } from "./words";

interface Given {
  readonly node: Address;
  readonly here: Connection;
  readonly facts: NetworkFacts;
  readonly standing: Standing;
}

/** What each contract owes the node, what fetching it costs now, and the way to fetch it. */
export function WithdrawCard({ standing, ...given }: Given) {
  const t = words();
  const owed = (Object.keys(standing.owed) as (keyof Owed)[]).filter((one) => standing.owed[one] > 0n);
  return (
    <section class="card">
      <h2>{t.fetchable}</h2>
      {owed.length === 0 && <p>{t.nothing}</p>}
      {owed.map((contract) => (
        <Row key={contract} {...given} contract={contract} wei={standing.owed[contract]} />
      ))}
    </section>
  );
}

function Row({ node, here, facts, contract, wei }: Omit<Given, "standing"> & { contract: keyof Owed; wei: bigint }) {
  const t = words();
  const doing = useDoing();
  // All three contracts pay out by the same function.
  const abi = { nodes: nodeRegistryAbi, market: inferenceMarketAbi, disputes: disputeGameAbi }[
    contract
  ] as typeof nodeRegistryAbi;
  const call = { address: facts.contracts[contract], abi, functionName: "withdraw" } as const;
  const cost = useFetched(() => costOf(here.wallet.provider, node, call), [node, contract, wei]);
  const isOurs = node === here.account;
  return (
    <div class="owed">
      <p class="row">
        <strong>{etherOf(wei)}</strong> <span>{t.from[contract]}</span>
        {cost.found && <span class="quiet">{t.costs(etherOf(cost.found.wei))}</span>}
        {isOurs && (
          <button
            type="button"
            class="main"
            aria-disabled={doing.busy}
            onClick={() => doing.run(() => send(here, facts, "withdraw", call))}
          >
            {t.withdraw(etherOf(wei))}
          </button>
        )}
      </p>
      {cost.found && cost.found.wei >= wei && <p data-verdict="open">{t.exceeds}</p>}
      {doing.busy && <p role="status">{walletWords().asking}</p>}
      {doing.error !== undefined && <Trouble error={doing.error} />}
    </div>
  );
}
