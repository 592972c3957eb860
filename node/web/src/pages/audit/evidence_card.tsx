import { useState } from "preact/hooks";
import { ask } from "../../api/gateway";
import { credentials } from "../../api/credentials";
import { saveAs } from "../../design/saving";
import { Failure } from "../../design/state";
import { shownAudit } from "./running_audit";
import { words } from "./words";

/** The certificate, the report of an audit, and all that an audit reads, for whoever keeps or passes them on. */
export function EvidenceCard({ cid, document }: { cid: string; document: Uint8Array }) {
  const t = words();
  const [isMaking, make] = useState(false);
  const [failed, fail] = useState<unknown>();
  const report = shownAudit.value?.cid === cid ? shownAudit.value.report : undefined;
  const archive = () => {
    make(true);
    fail(undefined);
    ask(`/page/certificates/${encodeURIComponent(cid)}/archive`)
      .then(async (response) => saveAs(`${cid}.car`, await response.blob()))
      .catch(fail)
      .finally(() => make(false));
  };
  return (
    <section class="card" aria-labelledby="audit-evidence">
      <h2 id="audit-evidence">{t.evidence}</h2>
      <div class="row">
        <button type="button" onClick={() => saveAs(`${cid}.json`, new Blob([new Uint8Array(document)]))}>
          {t.downloadCertificate}
        </button>
        {report && (
          <button
            type="button"
            onClick={() => saveAs(`audit-${cid}.json`, new Blob([JSON.stringify(report, null, 1)]))}
          >
            {t.downloadReport}
          </button>
        )}
        {credentials.value && (
          <button type="button" onClick={archive} disabled={isMaking}>
            {isMaking ? t.making : t.downloadArchive}
          </button>
        )}
      </div>
      {failed !== undefined && <Failure error={failed} again={archive} />}
    </section>
  );
}
