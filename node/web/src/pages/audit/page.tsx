import { useEffect, useMemo, useState } from "preact/hooks";
import { ask, askJson } from "../../api/gateway";
import { credentials } from "../../api/credentials";
import { Failure, Loading } from "../../design/state";
import { addressOf, go, place } from "../../router";
import "./audit.css";
import { readCertificate } from "./certificate";
import { CertificateCard } from "./certificate_card";
import { ChecksCard } from "./checks_card";
import { isCid } from "./checks/cid";
import { EvidenceCard } from "./evidence_card";
import type { Versions } from "./gateway_types";
import { LineageCard } from "./lineage_card";
import { RunCard } from "./run_card";
import { words } from "./words";

/** `/app/audit`: the versions; `/app/audit/CID`: one certificate, checked and audited. */
export function Page() {
  const t = words();
  const cid = place.value[1];
  const versions = useFetched<Versions>(() => askJson<Versions>("/page/versions"), []);
  return (
    <div class="audit">
      <h1>{t.title}</h1>
      <p>{t.intro}</p>
      <Choice key={cid} given={cid ?? ""} />
      {versions.failed !== undefined && <Failure error={versions.failed} again={versions.again} />}
      {!versions.found && versions.failed === undefined && <Loading />}
      {cid !== undefined && versions.found && <Document key={cid} cid={cid} versions={versions.found} />}
      {versions.found && <LineageCard versions={versions.found.versions} {...(cid ? { current: cid } : {})} />}
    </div>
  );
}

function Choice({ given }: { given: string }) {
  const t = words();
  const [isBad, say] = useState(false);
  const open = (event: SubmitEvent) => {
    event.preventDefault();
    const cid = String(new FormData(event.currentTarget as HTMLFormElement).get("cid") ?? "").trim();
    say(!isCid(cid));
    if (isCid(cid)) go(addressOf("audit", cid));
  };
  return (
    <form class="card audit-choice" onSubmit={open}>
      <label for="audit-cid">{t.cid}</label>
      <div class="row">
        <input
          id="audit-cid"
          name="cid"
          class="mono"
          defaultValue={given}
          required
          spellcheck={false}
          autocomplete="off"
          aria-describedby="audit-cid-hint"
          aria-invalid={isBad}
        />
        <button type="submit" class="main">
          {t.open}
        </button>
      </div>
      <p id="audit-cid-hint" class="quiet">
        {t.cidHint}
      </p>
      {isBad && (
        <p role="alert" data-verdict="wrong">
          {t.badCid}
        </p>
      )}
    </form>
  );
}

function Document({ cid, versions }: { cid: string; versions: Versions }) {
  const t = words();
  const token = credentials.value?.token;
  const { found, failed, again } = useFetched<Uint8Array>(() => bytesAt(cid), [cid, token]);
  const read = useMemo(() => (found ? readCertificate(found) : undefined), [found]);
  if (failed !== undefined) return <Failure error={failed} again={again} />;
  if (!found) return <Loading />;
  return (
    <>
      <ChecksCard cid={cid} document={found} read={read} registries={versions} />
      <RunCard cid={cid} isOffered={versions.audits} />
      <EvidenceCard cid={cid} document={found} />
      {read ? (
        <CertificateCard read={read} />
      ) : (
        <p class="card" role="alert" data-verdict="wrong">
          {t.unreadable}
        </p>
      )}
    </>
  );
}

async function bytesAt(cid: string): Promise<Uint8Array> {
  const response = await ask(`/page/certificates/${encodeURIComponent(cid)}`);
  return new Uint8Array(await response.arrayBuffer());
}

/** Something that is fetched, and fetched again where it is asked for. */
function useFetched<Found>(fetching: () => Promise<Found>, about: readonly unknown[]) {
  const [found, show] = useState<Found | undefined>();
  const [failed, fail] = useState<unknown>();
  const [round, turn] = useState(0);
  useEffect(() => {
    let isWanted = true;
    fail(undefined);
    fetching().then(
      (value) => isWanted && show(() => value),
      (error: unknown) => isWanted && fail(() => error),
    );
    return () => {
      isWanted = false;
    };
  }, [...about, round]);
  return { found, failed, again: () => turn(round + 1) };
}
