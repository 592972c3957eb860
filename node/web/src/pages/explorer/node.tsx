import type { Dated, Node } from "../../chain/documents";
import { useDocument } from "../../chain/live";
import { Fact } from "../../design/fact";
import { etherOf, numberOf } from "../../design/amount";
import { Hash } from "../../design/hash";
import { addressOf } from "../../router";
import { MoneyBar } from "./money_bar";
import { NodeState } from "./node_list";
import { Moment, NotYet, Seen, Top, Wei } from "./parts";
import { Settled } from "./settlement_list";
import { summedParts } from "./sums";
import { words } from "./words";

export function NodePage({ id }: { id: string }) {
  const t = words();
  const {
    document: node,
    error,
    again,
  } = useDocument<Node & Dated>(
    `/explorer/nodes/${encodeURIComponent(id)}`,
    (event) => event.node?.toLowerCase() === id.toLowerCase(),
  );
  if (!node) return <NotYet name={t.node} error={error} again={again} />;
  const sums = node.settled;
  const { parts, total } = summedParts(sums);
  return (
    <>
      <Top part="nodes" title={`${t.node} ${node.node.slice(0, 10)}…`} />
      <section class="card">
        <p>
          <NodeState node={node} />
        </p>
        <dl class="facts">
          <Fact name={t.node}>
            <Hash value={node.node} />
          </Fact>
          <Fact name={t.endpoint}>
            <span class="stranger">{node.endpoint}</span>
          </Fact>
          <Fact name={t.stake}>
            <Wei wei={node.stake_wei} />
          </Fact>
          <Fact name={t.registered}>
            <Moment time={node.registered_at} />
          </Fact>
          <Fact name={t.reputation}>{node.reputation === null ? t.unmet : numberOf(node.reputation)}</Fact>
          <Fact name={t.uptime}>
            <Seen uptime={node.uptime} />
          </Fact>
          <Fact name={t.openGames}>{numberOf(node.open_games)}</Fact>
          {node.announcements.map((one) => (
            <Fact key={one.version} name={t.announces}>
              <Hash value={one.version} href={addressOf("explorer", "models", one.version)} />{" "}
              {t.layerRange(one.layer_start, one.layer_end)}, <Wei wei={one.wei_per_token} />
            </Fact>
          ))}
        </dl>
        {node.slashed && (
          <p data-verdict="wrong">
            {t.slashed(etherOf(BigInt(node.slashed.to_vault_wei)), etherOf(BigInt(node.slashed.to_beneficiary_wei)))}
          </p>
        )}
      </section>
      <section class="card">
        <h2>
          {t.allSettled}: {numberOf(sums.lines)}
        </h2>
        <MoneyBar segments={parts} total={total} />
      </section>
      <Settled node={node.node} level="h2" />
    </>
  );
}
