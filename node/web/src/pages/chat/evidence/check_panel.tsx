import { sentenceOf } from "../../../design/state";
import type { Answer } from "../kept/conversation";
import { check, checks } from "./checks";
import { CheckYourself, HandOver } from "./hand_over";
import { addedText } from "./judged_question";
import { SecondGateways } from "./second_panel";
import { VerdictView } from "./verdict_view";
import { words } from "./words";

/** Verify, what it found, and how to do the same without this page. */
export function CheckPanel({ answer }: { answer: Answer & { id: string } }) {
  const t = words();
  const found = checks.value.get(answer.key);
  const isWrong = found?.kind === "judged" && found.verdict.outcome === "wrong";
  return (
    <div class="check">
      {found?.kind === "computing" ? (
        <div role="status">
          <label class="stack">
            {t.computing}
            <progress max={found.total || 1} value={found.total ? found.done : undefined} />
          </label>
          <button type="button" class="small" onClick={found.cancel}>
            {t.cancel}
          </button>
        </div>
      ) : (
        <button type="button" class={found ? "" : "main"} aria-keyshortcuts="v" onClick={() => void check(answer)}>
          {found ? t.verifyAgain : t.verify}
        </button>
      )}
      {found?.kind === "judged" && (
        <VerdictView {...found} model={answer.model} added={addedText(found.verdict.prompt ?? "", answer.question)} />
      )}
      {found?.kind === "failed" && (
        <p role="alert" class="verdict" data-verdict="open">
          <strong>{t.failed}.</strong> {sentenceOf(found.error)}
        </p>
      )}
      {isWrong && <HandOver answer={answer} />}
      <SecondGateways answer={answer} />
      <CheckYourself answer={answer} />
    </div>
  );
}
