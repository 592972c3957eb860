import { useEffect, useState } from "preact/hooks";
import { credentials } from "../../api/credentials";
import { Failure } from "../../design/state";
import { addressOf } from "../../router";
import { CommandLine } from "../../design/command_line";
import { beginAudit, cancelAudit, followAudit, isOpen, resumeAudit, shownAudit, type SeenAudit } from "./running_audit";
import { StepList } from "./step_list";
import { words } from "./words";

/** The audit by the gateway's machine: begin it, watch it, end it; and the command that does it without the gateway. */
export function RunCard({ cid, isOffered }: { cid: string; isOffered: boolean }) {
  const t = words();
  const token = credentials.value?.token;
  const [failed, fail] = useState<unknown>();
  useEffect(() => {
    // A page that was loaded again finds its audit again; where there is none, nothing is wrong.
    if (token && isOffered) resumeAudit(cid).catch(() => undefined);
  }, [cid, token, isOffered]);
  const audit = shownAudit.value?.cid === cid ? shownAudit.value : undefined;
  const attempt = (work: () => Promise<void>) => () => {
    fail(undefined);
    work().catch(fail);
  };
  return (
    <section class="card" aria-labelledby="audit-run">
      <h2 id="audit-run">{t.run}</h2>
      <p>{t.runIntro}</p>
      <CommandLine command={`nexus audit ${cid}`} />
      {!isOffered ? (
        <p class="quiet">{t.noAudits}</p>
      ) : !token ? (
        <p>
          {t.needKey} <a href={addressOf("chat")}>{t.toChat}</a>
        </p>
      ) : (
        <Controls audit={audit} begin={attempt(() => beginAudit(cid))} attempt={attempt} />
      )}
      {failed !== undefined && <Failure error={failed} />}
      {audit && <Progress audit={audit} />}
    </section>
  );
}

function Controls({
  audit,
  begin,
  attempt,
}: {
  audit: SeenAudit | undefined;
  begin: () => void;
  attempt: (work: () => Promise<void>) => () => void;
}) {
  const t = words();
  const isRunning = audit !== undefined && isOpen(audit);
  return (
    <div class="row">
      {!isRunning && (
        <button type="button" class="main" onClick={begin}>
          {audit ? t.startAgain : t.start}
        </button>
      )}
      {isRunning && (
        <button type="button" onClick={attempt(() => cancelAudit(audit.id))}>
          {t.cancel}
        </button>
      )}
      {isRunning && audit.lost !== undefined && (
        <button type="button" onClick={() => void followAudit({ ...audit, started: 0 })}>
          {t.follow}
        </button>
      )}
    </div>
  );
}

function Progress({ audit }: { audit: SeenAudit }) {
  const t = words();
  const verdict = audit.state === "passed" ? "right" : audit.state === "failed" ? "wrong" : "open";
  return (
    <div class="audit-progress">
      <progress max={audit.titles.length || 1} value={audit.steps.length} aria-label={t.run} />
      <StepList audit={audit} />
      <p role="status" data-verdict={verdict}>
        {audit.lost !== undefined && isOpen(audit) ? t.lost : t.states[audit.state]} {audit.reason}
        {audit.state === "waiting" && audit.place !== undefined && t.place(audit.place)}
      </p>
      {audit.report?.seed && (
        <p class="quiet">
          {t.seed} <code>{audit.report.seed}</code>
        </p>
      )}
    </div>
  );
}
