import type { Node, PageOf } from "../../chain/documents";
import { numberOf } from "../../design/amount";
import { Hash } from "../../design/hash";
import { addressOf } from "../../router";
import { List, useList } from "./list";
import { Badge, Seen, Wei } from "./parts";
import { words } from "./words";

export function NodeList() {
  const t = words();
  const shown = useList<PageOf<Node>>(
    "/explorer/nodes",
    (event) => event.contract === "nodes" || event.name === "LineSettled",
  );
  const heads = [t.node, t.state, t.stake, t.earned, t.reputation, t.uptime, t.latency, t.endpoint];
  return (
    <List title={t.nodes} shown={shown}>
      {(found) => (
        <div class="wide card" tabIndex={0} role="region" aria-label={t.nodes}>
          <table>
            <thead>
              <tr>
                {heads.map((name) => (
                  <th key={name} scope="col">
                    {name}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {found.items.map((node) => (
                <tr key={node.id}>
                  <td>
                    <Hash value={node.node} href={addressOf("explorer", "nodes", node.node)} />
                  </td>
                  <td>
                    <NodeState node={node} />
                  </td>
                  <td>
                    <Wei wei={node.stake_wei} />
                  </td>
                  <td>
                    <Wei wei={node.settled.to_node_wei} />
                  </td>
                  <td>{node.reputation === null ? "–" : numberOf(node.reputation)}</td>
                  <td>
                    <Seen uptime={node.uptime} />
                  </td>
                  <td>{node.latency_ms === null ? "–" : `${numberOf(node.latency_ms)} ms`}</td>
                  <td class="stranger">{node.endpoint}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </List>
  );
}

/** What a node is to the registry, and whether it answers this gateway. */
export function NodeState({ node }: { node: Node }) {
  const t = words();
  if (node.convicted_at !== null) return <Badge verdict="wrong">{t.convicted}</Badge>;
  if (node.left_at !== null) return <Badge verdict="open">{t.left}</Badge>;
  if (node.unbondable_after > 0) return <Badge verdict="open">{t.leaving}</Badge>;
  if (node.online === null) return <Badge verdict="right">{t.active}</Badge>;
  return (
    <Badge verdict={node.online ? "right" : "open"}>
      {t.active}, {node.online ? t.answering : t.away}
    </Badge>
  );
}
