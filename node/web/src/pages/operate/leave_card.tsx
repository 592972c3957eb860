import { useState } from "preact/hooks";
import { nodeRegistryAbi as abi } from "../../chain/abis";
import type { NetworkFacts } from "../../chain/network";
import { weiOf } from "../../wallet/amount_given";
import type { Connection } from "../../wallet/connection";
import { useDoing } from "../../wallet/doing";
import { send } from "../../wallet/sending";
import { Trouble } from "../../wallet/trouble";
import { spanOf, words as walletWords } from "../../wallet/words";
import { areSame, gatewayNames, type NamedRegistry } from "./named_registry";
import { RegistryCheck } from "./registry_check";
import { stageOf, type Standing } from "./standing";
import { momentOf } from "./time";
import { words } from "./words";

interface Given {
  readonly here: Connection;
  readonly facts: NetworkFacts;
  readonly standing: Standing;
  /** What the node said; none where it was not asked yet. */
  readonly named: NamedRegistry | undefined;
}

/** More stake, or the way out: asking for the stake, and taking it once the delay is over. */
export function LeaveCard({ here, facts, standing, named }: Given) {
  const t = words();
  const doing = useDoing();
  const stage = stageOf(standing);
  const address = facts.contracts.nodes;
  if (stage === "left" || stage === "convicted") return null;
  const take = () =>
    doing.run(() => send(here, facts, "completeUnbond", { address, abi, functionName: "completeUnbond" }));
  const after = standing.entry?.unbondableAfter ?? 0;
  const isHeld = (standing.entry?.openGames ?? 0) > 0;
  return (
    <section class="card">
      <h2>{stage === "active" ? t.stake : t.leave}</h2>
      {stage === "active" && <MoreStake here={here} facts={facts} named={named} />}
      {stage === "active" && <AskForStake here={here} facts={facts} delay={standing.unbondingDelay} />}
      {stage === "leaving" && (
        <>
          {standing.now <= after && <p>{t.tooEarly(momentOf(after))}</p>}
          {isHeld && <p data-verdict="open">{t.heldByGames}</p>}
          <button
            type="button"
            class="main"
            aria-disabled={doing.busy}
            disabled={isHeld || standing.now <= after}
            onClick={take}
          >
            {t.complete}
          </button>
        </>
      )}
      {doing.busy && <p role="status">{walletWords().asking}</p>}
      {doing.error !== undefined && <Trouble error={doing.error} />}
    </section>
  );
}

function MoreStake({ here, facts, named }: Omit<Given, "standing">) {
  const t = words();
  const doing = useDoing();
  const [typed, type] = useState("");
  const wei = weiOf(typed);
  // INVARIANT: as in registering: no stake goes to a contract that the node does not name.
  if (!named || !areSame(named, gatewayNames(facts))) return <RegistryCheck facts={facts} named={named} />;
  const add = (event: Event) => {
    event.preventDefault();
    const call = { address: facts.contracts.nodes, abi, functionName: "addStake" } as const;
    if (wei !== undefined) doing.run(() => send(here, facts, "addStake", { ...call, value: wei }));
  };
  return (
    <form onSubmit={add}>
      <p class="row">
        <label>
          {t.amount} <input inputMode="decimal" value={typed} onInput={(event) => type(event.currentTarget.value)} />
        </label>
        <button type="submit" aria-disabled={doing.busy} disabled={wei === undefined}>
          {t.addStake}
        </button>
      </p>
      {doing.error !== undefined && <Trouble error={doing.error} />}
    </form>
  );
}

/** It cannot be undone, so it takes two steps. */
function AskForStake({ here, facts, delay }: Omit<Given, "standing" | "named"> & { delay: number }) {
  const t = words();
  const doing = useDoing();
  const [isSure, beSure] = useState(false);
  const call = { address: facts.contracts.nodes, abi, functionName: "requestUnbond" } as const;
  return (
    <>
      <p>{t.leaveHint(spanOf(delay))}</p>
      <p class="row">
        <label>
          <input type="checkbox" checked={isSure} onChange={(event) => beSure(event.currentTarget.checked)} />{" "}
          {t.leaveSure}
        </label>
        <button
          type="button"
          aria-disabled={doing.busy}
          disabled={!isSure}
          onClick={() => doing.run(() => send(here, facts, "requestUnbond", call))}
        >
          {t.unbond}
        </button>
      </p>
      {doing.busy && <p role="status">{walletWords().asking}</p>}
      {doing.error !== undefined && <Trouble error={doing.error} />}
    </>
  );
}
