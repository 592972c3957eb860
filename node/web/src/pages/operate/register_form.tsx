import { useState } from "preact/hooks";
import { formatEther } from "viem";
import { nodeRegistryAbi as abi } from "../../chain/abis";
import type { NetworkFacts } from "../../chain/network";
import { etherOf } from "../../design/amount";
import { weiOf } from "../../wallet/amount_given";
import type { Connection } from "../../wallet/connection";
import { useDoing } from "../../wallet/doing";
import { send } from "../../wallet/sending";
import { Trouble } from "../../wallet/trouble";
import { words as walletWords } from "../../wallet/words";
import type { NodeIdentity } from "./identity";
import type { Standing } from "./standing";
import { words } from "./words";

interface Given {
  readonly here: Connection;
  readonly facts: NetworkFacts;
  readonly standing: Standing;
  readonly identity: NodeIdentity;
}

/** Register an account with a machine's keys, or bring endpoint and TLS key up to date. */
export function RegisterForm({ here, facts, standing, identity }: Given) {
  const t = words();
  const doing = useDoing();
  const [typed, type] = useState(formatEther(standing.minimumStake));
  const { entry, minimumStake } = standing;
  const address = facts.contracts.nodes;
  const { endpoint, tlsKeyHash, receiptKey } = identity;
  if (entry && entry.receiptKey !== receiptKey) return <p data-verdict="wrong">{t.otherKey}</p>;
  if (entry && entry.endpoint === endpoint && entry.tlsKeyHash.toLowerCase() === tlsKeyHash.toLowerCase()) {
    return <p data-verdict="right">{t.upToDate}</p>;
  }
  const wei = weiOf(typed);
  const isEnough = wei !== undefined && wei >= minimumStake;
  const register = (event: Event) => {
    event.preventDefault();
    if (entry) {
      const call = { address, abi, functionName: "updateEndpoint", args: [endpoint, tlsKeyHash] } as const;
      doing.run(() => send(here, facts, "updateEndpoint", call));
    } else if (isEnough) {
      const args = [endpoint, tlsKeyHash, receiptKey] as const;
      doing.run(() => send(here, facts, "register", { address, abi, functionName: "register", args, value: wei }));
    }
  };
  return (
    <form onSubmit={register}>
      <p class="mono facts-line">
        {endpoint} · {receiptKey} · {tlsKeyHash}
      </p>
      {!entry && (
        <>
          <p class="row">
            <label>
              {t.stakeAmount}{" "}
              <input
                inputMode="decimal"
                value={typed}
                aria-invalid={!isEnough}
                onInput={(event) => type(event.currentTarget.value)}
              />
            </label>
            <span class="quiet">{t.least(etherOf(minimumStake))}</span>
          </p>
          <p class="quiet">{t.forEver}</p>
        </>
      )}
      <button type="submit" class="main" aria-disabled={doing.busy} disabled={!entry && !isEnough}>
        {entry ? t.update : t.register}
      </button>
      {doing.busy && <p role="status">{walletWords().asking}</p>}
      {doing.error !== undefined && <Trouble error={doing.error} />}
    </form>
  );
}
