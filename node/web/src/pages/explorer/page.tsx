import type { ComponentType } from "preact";
import { Freshness } from "../../chain/freshness";
import { addressOf, place } from "../../router";
import { DisputePage } from "./dispute";
import { DisputeList } from "./dispute_list";
import "./explorer.css";
import { ModelPage } from "./model";
import { ModelList } from "./model_list";
import { NodePage } from "./node";
import { NodeList } from "./node_list";
import { Overview } from "./overview";
import { SessionPage } from "./session";
import { SessionList } from "./session_list";
import { SettlementList } from "./settlement_list";
import { words } from "./words";

/** The parts, in the order of their links; each has a list, and most a page for one thing. */
const PARTS: Readonly<Record<PartName, { List: ComponentType; One?: ComponentType<{ id: string }> }>> = {
  overview: { List: Overview },
  models: { List: ModelList, One: ModelPage },
  nodes: { List: NodeList, One: NodePage },
  sessions: { List: SessionList, One: SessionPage },
  settlements: { List: SettlementList },
  disputes: { List: DisputeList, One: DisputePage },
};
type PartName = "overview" | "models" | "nodes" | "sessions" | "settlements" | "disputes";

export function Page() {
  const t = words();
  const [, wanted = "overview", id] = place.value;
  const name = Object.hasOwn(PARTS, wanted) ? (wanted as PartName) : "overview";
  const { List, One } = PARTS[name];
  return (
    <div class="explorer">
      <nav class="parts" aria-label={t.parts}>
        {(Object.keys(PARTS) as PartName[]).map((one) => (
          <a
            key={one}
            href={one === "overview" ? addressOf("explorer") : addressOf("explorer", one)}
            aria-current={one === name ? "page" : undefined}
          >
            {t[one]}
          </a>
        ))}
      </nav>
      <Freshness />
      {id !== undefined && One ? <One key={`${name}/${id}`} id={id} /> : <List key={name} />}
    </div>
  );
}
