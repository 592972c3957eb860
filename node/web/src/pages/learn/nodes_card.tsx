import { etherOf } from "../../design/amount";
import { Hash } from "../../design/hash";
import { language } from "../../words/language";
import type { Sighting, Sign } from "./gateway_types";
import { sentenceAbout } from "./sentences";
import { words } from "./words";

type Node = Sighting["nodes"][number];

/** What looks wrong now, and every node with what this gateway had from it. */
export function NodesCard({ nodes, suspicions }: { nodes: readonly Node[]; suspicions: readonly Sign[] }) {
  const t = words();
  return (
    <section class="card" aria-labelledby="radar-suspicions">
      <h2 id="radar-suspicions">{t.suspicions}</h2>
      {suspicions.length === 0 && (
        <p>
          <span data-verdict="right">✓</span> {t.noSuspicions}
        </p>
      )}
      <ul class="learn-list">
        {suspicions.map((sign) => (
          <li key={`${sign.kind}:${sign.subject}:${String(sign.facts["start"] ?? "")}`}>{sentenceAbout(sign)}</li>
        ))}
      </ul>
      <h3>{t.nodesTitle}</h3>
      <div class="wide" tabIndex={0} role="group" aria-label={t.nodesTitle}>
        <table>
          <thead>
            <tr>
              {[t.node, t.state, t.latency, t.reputation, t.chunks, t.stake].map((column) => (
                <th key={column} scope="col">
                  {column}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {nodes.map((node) => (
              <Row key={node.node} node={node} />
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function Row({ node }: { node: Node }) {
  const t = words();
  const latest = node.latencies_ms.at(-1);
  return (
    <tr>
      <td>
        <Hash value={node.node} />
        <div class="quiet">{node.models.join(", ")}</div>
      </td>
      <td>
        <span data-verdict={node.online ? "right" : "wrong"}>{node.online ? t.online : t.offline}</span>
      </td>
      <td>
        {latest === undefined ? "—" : milliseconds(latest)}
        {node.usual_ms !== null && (
          <span class="quiet">
            {" "}
            ({t.usual} {milliseconds(node.usual_ms)})
          </span>
        )}
        <Latencies values={node.latencies_ms} />
      </td>
      <td>{node.reputation.toLocaleString(language.value, { style: "percent", maximumFractionDigits: 0 })}</td>
      <td>
        {node.verified} / {node.failed} / {node.invalid}
      </td>
      <td title={`${node.stake_wei} wei`}>
        {/^\d{1,78}$/.test(node.stake_wei) ? etherOf(BigInt(node.stake_wei)) : "—"}
      </td>
    </tr>
  );
}

/** The latest latencies as a line; the numbers beside it say what counts. */
function Latencies({ values }: { values: readonly number[] }) {
  if (values.length < 2) return null;
  const most = Math.max(...values, 1);
  const points = values.map((value, at) => `${(at / (values.length - 1)) * 100},${24 - (value / most) * 22}`);
  return (
    <svg class="learn-spark" viewBox="0 0 100 26" preserveAspectRatio="none" aria-hidden="true">
      <polyline points={points.join(" ")} />
    </svg>
  );
}

function milliseconds(value: number): string {
  return value.toLocaleString(language.value, { maximumFractionDigits: value < 10 ? 1 : 0 });
}
