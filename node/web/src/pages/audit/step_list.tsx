import type { SeenAudit } from "./running_audit";
import { stepTitle } from "./step_words";
import { words } from "./words";

/** The audit's steps by number, those to come too: what each found, and how it came out. */
export function StepList({ audit }: { audit: SeenAudit }) {
  const t = words();
  const titles = audit.titles.length > 0 ? audit.titles : audit.steps.map((step) => step.title);
  return (
    <ol class="audit-steps">
      {titles.map((title, index) => {
        const step = audit.steps[index];
        const isNext = index === audit.steps.length && audit.state === "running";
        const [verdict, said] = !step
          ? isNext
            ? ["open", t.doing]
            : [undefined, t.waiting]
          : !step.passed
            ? ["wrong", t.failed]
            : step.checked
              ? ["right", t.passed]
              : ["open", t.skipped];
        if (!step && audit.state !== "running") return null;
        return (
          <li key={title} class={isNext ? "audit-next" : undefined}>
            <div class="audit-step-head">
              <span class="audit-step-title">{stepTitle(step?.title ?? title)}</span>
              {verdict ? <span data-verdict={verdict}>{said}</span> : <span class="quiet">{said}</span>}
            </div>
            {step && <p class="quiet audit-detail">{step.detail}</p>}
          </li>
        );
      })}
    </ol>
  );
}
