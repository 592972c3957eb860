import { etherOf } from "../../../design/amount";
import { Hash } from "../../../design/hash";
import { addressOf } from "../../../router";
import type { RouteSegment } from "./evidence";
import { words } from "./words";

/** Which node ran which layers, from the first to the last. */
export function RouteView({ route }: { route: readonly RouteSegment[] }) {
  const t = words();
  return (
    <ol class="route">
      {route.map(({ layers, nodes }) => (
        <li key={layers.join()}>
          <span>{t.layers(...layers)}</span>
          {nodes.map(({ node, receipts, priceWei }) => (
            <span class="row" key={node}>
              <Hash value={node} href={addressOf("explorer", "nodes", node)} />
              <span class="quiet">
                {t.receipts(receipts)}, {etherOf(BigInt(priceWei))}
              </span>
            </span>
          ))}
        </li>
      ))}
    </ol>
  );
}
