import { useState } from "preact/hooks";
import { nodeRegistryAbi as abi } from "../../chain/abis";
import type { NetworkFacts } from "../../chain/network";
import { wholeOf } from "../../wallet/amount_given";
import type { Connection } from "../../wallet/connection";
import { useDoing } from "../../wallet/doing";
import { send } from "../../wallet/sending";
import { Trouble } from "../../wallet/trouble";
import { words as walletWords } from "../../wallet/words";
import { isHash, type NodeIdentity } from "./identity";
import { words } from "./words";

interface Given {
  readonly here: Connection;
  readonly facts: NetworkFacts;
  /** What the machine said that it serves. */
  readonly identity?: NodeIdentity;
}

const MOST_LAYERS = 65_535n;

/** Announce which layers the node serves and for how much, or take that back. */
export function AnnounceForm({ here, facts, identity }: Given) {
  const t = words();
  const doing = useDoing();
  const [version, setVersion] = useState<string>(identity?.modelVersion ?? "");
  const [start, setStart] = useState(String(identity?.layers?.[0] ?? ""));
  const [end, setEnd] = useState(String(identity?.layers?.[1] ?? ""));
  const [price, setPrice] = useState(identity?.price ?? "");
  const [wrong, blame] = useState(false);
  const address = facts.contracts.nodes;
  const announce = (event: Event) => {
    event.preventDefault();
    const [from, to, wei] = [wholeOf(start), wholeOf(end), wholeOf(price)];
    const isRange = from !== undefined && to !== undefined && from < to && to <= MOST_LAYERS;
    const isGood = isHash(version.trim()) && isRange && wei !== undefined;
    blame(!isGood);
    if (!isGood) return;
    const args = [version.trim() as `0x${string}`, Number(from), Number(to), wei] as const;
    doing.run(() => send(here, facts, "announce", { address, abi, functionName: "announce", args }));
  };
  const stop = () => {
    blame(!isHash(version.trim()));
    if (!isHash(version.trim())) return;
    const args = [version.trim() as `0x${string}`] as const;
    const call = { address, abi, functionName: "withdrawAnnouncement", args } as const;
    doing.run(() => send(here, facts, "withdrawAnnouncement", call));
  };
  return (
    <form class="announce" onSubmit={announce}>
      <h3>{t.announce}</h3>
      <label>
        {t.version}
        <input class="mono grow" value={version} onInput={(event) => setVersion(event.currentTarget.value)} />
      </label>
      <fieldset>
        <legend>{t.layers}</legend>
        <input
          aria-label={`${t.layers} (1)`}
          inputMode="numeric"
          value={start}
          onInput={(event) => setStart(event.currentTarget.value)}
        />
        {" – "}
        <input
          aria-label={`${t.layers} (2)`}
          inputMode="numeric"
          value={end}
          onInput={(event) => setEnd(event.currentTarget.value)}
        />
      </fieldset>
      <label>
        {t.price}
        <input inputMode="numeric" value={price} onInput={(event) => setPrice(event.currentTarget.value)} />
      </label>
      <p class="row">
        <button type="submit" class="main" aria-disabled={doing.busy}>
          {t.announce}
        </button>
        <button type="button" aria-disabled={doing.busy} onClick={stop}>
          {t.stopAnnouncing}
        </button>
      </p>
      {wrong && <p role="alert">{t.badAnnouncement}</p>}
      {doing.busy && <p role="status">{walletWords().asking}</p>}
      {doing.error !== undefined && <Trouble error={doing.error} />}
    </form>
  );
}
