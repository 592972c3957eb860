import { etherOf } from "../../design/amount";
import { Hash } from "../../design/hash";
import { addressOf } from "../../router";
import { language } from "../../words/language";
import type { Version } from "./gateway_types";
import { lineageOf, type Ancestor } from "./lineage";
import { words } from "./words";

/** Every version below the one that it came from; a certificate leads to its audit. */
export function LineageCard({ versions, current }: { versions: readonly Version[]; current?: string }) {
  const t = words();
  return (
    <section class="card" aria-labelledby="audit-versions">
      <h2 id="audit-versions">{t.versions}</h2>
      {versions.length === 0 ? (
        <p class="quiet">{t.noVersions}</p>
      ) : (
        <Tree nodes={lineageOf(versions)} current={current} />
      )}
    </section>
  );
}

function Tree({ nodes, current }: { nodes: readonly Ancestor[]; current: string | undefined }) {
  return (
    <ul class="audit-tree">
      {nodes.map((node) => (
        <li key={node.version.version}>
          <Entry version={node.version} isCurrent={node.version.certificate?.cid === current} />
          {node.children.length > 0 && <Tree nodes={node.children} current={current} />}
        </li>
      ))}
    </ul>
  );
}

function Entry({ version, isCurrent }: { version: Version; isCurrent: boolean }) {
  const t = words();
  const anchor = version.certificate;
  const name = `${version.name || version.version.slice(0, 10)} ${version.semver}`;
  return (
    <div class="audit-version">
      {anchor ? (
        <a href={addressOf("audit", anchor.cid)} aria-current={isCurrent ? "true" : undefined}>
          <strong>{name}</strong>
        </a>
      ) : (
        <strong>{name}</strong>
      )}
      <Hash value={version.version} />
      {anchor ? (
        <span class="quiet">
          {t.anchored} {new Date(anchor.anchored_at * 1000).toLocaleString(language.value)}
        </span>
      ) : (
        <span data-verdict="open">{t.noCertificate}</span>
      )}
      <Price wei={version.price_per_token_wei} />
    </div>
  );
}

function Price({ wei }: { wei: string }) {
  const t = words();
  if (!/^\d{1,78}$/.test(wei) || wei === "0") return null;
  return (
    <span class="quiet" title={`${wei} wei`}>
      {etherOf(BigInt(wei))} {t.perToken}
      <span class="unseen">
        {" "}
        ({t.exactly} {wei} wei)
      </span>
    </span>
  );
}
