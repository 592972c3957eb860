import type { Address } from "viem";
import { GatewayError } from "../../api/gateway";
import { shareOf } from "../../chain/clock";
import type { Dated, Node } from "../../chain/documents";
import { useDocument } from "../../chain/live";
import { Fact } from "../../design/fact";
import { numberOf } from "../../design/amount";
import { Failure } from "../../design/state";
import { words } from "./words";

/** What this gateway saw of a node: the figures by which it chooses, and by which users do. */
export function SeenCard({ node }: { node: Address }) {
  const t = words();
  const { document, error, again } = useDocument<Node & Dated>(
    `/explorer/nodes/${node}`,
    (event) => event.node?.toLowerCase() === node.toLowerCase(),
  );
  const isUnknown = error instanceof GatewayError && error.status === 404;
  if (isUnknown) return null;
  if (!document) return error === undefined ? null : <Failure error={error} again={again} />;
  const { latency_ms: latency, active_orders: orders, uptime, reputation } = document;
  return (
    <section class="card">
      <h2>{t.asSeen}</h2>
      <dl class="facts">
        <Fact name={t.reachable}>{document.online === null ? t.unmet : document.online ? t.yes : t.no}</Fact>
        <Fact name={t.uptime}>
          {uptime
            ? `${shareOf(uptime.answered, uptime.asked)} (${t.answered(numberOf(uptime.answered), numberOf(uptime.asked))})`
            : t.unmet}
        </Fact>
        <Fact name={t.latency}>{latency === null ? t.unmet : `${numberOf(latency)} ms`}</Fact>
        <Fact name={t.load}>{orders === null ? t.unmet : numberOf(orders)}</Fact>
        <Fact name={t.reputation}>{reputation === null ? t.unmet : numberOf(reputation)}</Fact>
      </dl>
      <p class="quiet">
        <small>{t.alsoAsk}</small>
      </p>
    </section>
  );
}
