import { useEffect, useState } from "preact/hooks";
import { askJson } from "../../api/gateway";
import { CommandLine } from "../../design/command_line";
import type { Overview } from "./gateway_types";
import { words } from "./words";

interface Version {
  readonly version: string;
  readonly name: string;
  readonly semver: string;
  readonly parent: string | null;
}

/** Commands that put the version of a run to use, or its parent again: for the gateway's machine. */
export function DeployCard({ overview }: { overview: Overview }) {
  const t = words();
  const [versions, show] = useState<readonly Version[]>([]);
  useEffect(() => {
    let isWanted = true;
    askJson<{ versions: Version[] }>("/page/versions").then(
      (found) => isWanted && show(found.versions),
      () => undefined, // the commands without ids stand there all the same
    );
    return () => {
      isWanted = false;
    };
  }, []);
  const parentId = overview.plan?.parent;
  if (!parentId) return null;
  const { parent, child } = familyOf(versions, parentId);
  const name = child?.name || parent?.name || "NAME";
  return (
    <section class="card" aria-labelledby="learn-deploy">
      <h2 id="learn-deploy">{t.deploy}</h2>
      <p>{t.deployIntro}</p>
      {child ? (
        <>
          <h3>
            {t.deployThis} ({child.semver})
          </h3>
          <CommandLine command={`nexus-gateway --model ${name}=${child.version}`} />
        </>
      ) : (
        <>
          <p class="quiet">{t.noChild}</p>
          <CommandLine command={`nexus distill run NAME --parent 0x${parentId} --checkpoint FILE --version X.Y.Z`} />
        </>
      )}
      <h3>{t.rollBack}</h3>
      <CommandLine command={`nexus-gateway --model ${name}=${parent?.version ?? `0x${parentId}`}`} />
    </section>
  );
}

/** The version that a run began with, and the latest that came from it. `parentId`: hex, its beginning is enough. */
export function familyOf(
  versions: readonly Version[],
  parentId: string,
): { parent: Version | undefined; child: Version | undefined } {
  const wanted = `0x${parentId.toLowerCase().replace(/^0x/, "")}`;
  const parent = versions.find((one) => one.version.startsWith(wanted));
  return { parent, child: parent && versions.findLast((one) => one.parent === parent.version) };
}
