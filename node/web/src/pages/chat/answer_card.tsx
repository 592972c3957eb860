import { useEffect, useRef } from "preact/hooks";
import { paidFor } from "../../chain/publisher_share";
import { etherOf } from "../../design/amount";
import { CopyButton } from "./copy_button";
import { askAgain, change } from "./desk";
import { EvidencePanel } from "./evidence/evidence_panel";
import { checks } from "./evidence/checks";
import { withShown, type Answer, type Lane } from "./kept/conversation";
import { modelNamed } from "./models";
import { running, shownOf, stop } from "./running";
import { isContinued } from "./stream/answer_stream";
import { ContinuedText } from "./text/continued_text";
import { visible } from "./text/hidden_characters";
import { ModelText } from "./text/model_text";
import { TroubleNote } from "./trouble";
import { words } from "./words";

/** One model's answers to one question: the one that is shown, and what there is to know about it. */
export function AnswerCard({ lane, turn, at }: { lane: Lane; turn: number; at: number }) {
  const t = words();
  const answer = lane.answers[lane.shown];
  if (!answer) return <p class="quiet">{t.notAsked}</p>;
  const isComing = running.value.has(answer.key);
  const again = () => askAgain(turn, at);
  const check = checks.value.get(answer.key);
  const isWrong = check?.kind === "judged" && check.verdict.outcome === "wrong";
  return (
    <article class="answer" tabIndex={-1} aria-label={visible(answer.model)} data-wrong={isWrong || undefined}>
      <header class="row">
        <h3>{visible(answer.model)}</h3>
        <Variants lane={lane} turn={turn} at={at} />
      </header>
      <div class="answer-body">
        <div class="answer-text">
          <Said key={answer.key} answer={answer} isComing={isComing} />
          {!isComing && <Ending answer={answer} again={again} />}
          <div class="row actions">
            {isComing ? (
              <>
                <button type="button" class="small" onClick={() => stop(answer.key)}>
                  {t.stop}
                </button>
                <Growth answer={answer} />
              </>
            ) : (
              <>
                <button type="button" class="small" aria-keyshortcuts="r" onClick={again}>
                  {t.again}
                </button>
                <CopyButton label={t.copy} text={() => answer.text} shortcut="c" />
              </>
            )}
          </div>
        </div>
        <EvidencePanel answer={answer} isComing={isComing} />
      </div>
    </article>
  );
}

/** The model's own text: inside a border of its own, where nothing of the page stands. */
function Said({ answer, isComing }: { answer: Answer; isComing: boolean }) {
  const t = words();
  const blocks = shownOf(answer).blocks.value;
  const { question } = answer;
  const wasComing = useRef(isComing);
  useEffect(() => {
    if (isComing) wasComing.current = true;
  }, [isComing]);
  const begun = question.body["prompt"];
  return (
    <>
      <figure class="model-text" aria-busy={isComing}>
        <figcaption>{t.modelText}</figcaption>
        {isContinued(question) ? (
          <ContinuedText begun={typeof begun === "string" ? begun : ""} blocks={blocks} isDone={!isComing} />
        ) : (
          <ModelText blocks={blocks} />
        )}
        {isComing && blocks.length === 0 && <p class="quiet">{t.waiting}</p>}
        {!isComing && answer.state === "whole" && answer.text === "" && <p class="quiet">{t.empty}</p>}
      </figure>
      <p role="status" class="unseen">
        {isComing ? t.coming : wasComing.current && answer.state === "whole" ? t.done : ""}
      </p>
    </>
  );
}

function Ending({ answer, again }: { answer: Answer; again: () => void }) {
  const t = words();
  const { trouble, state, finish } = answer;
  if (trouble) return <TroubleNote trouble={trouble} again={again} />;
  if (state === "stopped") return <p data-verdict="open">{t.stopped}</p>;
  if (finish === "length") return <p class="quiet">{t.length}</p>;
  return null;
}

/** What it costs while it grows: at least a token for each piece that came. */
function Growth({ answer }: { answer: Answer }) {
  const t = words();
  const pieces = shownOf(answer).pieces.value;
  const price = modelNamed(answer.model)?.price;
  if (pieces === 0) return null;
  return (
    <span class="quiet">
      {t.tokens(pieces)}
      {price !== undefined && ` · ${t.soFar(etherOf(paidFor(BigInt(pieces), price)))}`}
    </span>
  );
}

function Variants({ lane, turn, at }: { lane: Lane; turn: number; at: number }) {
  const t = words();
  const { answers, shown } = lane;
  if (answers.length < 2) return null;
  const show = (next: number) => change((conversation) => withShown(conversation, turn, at, next));
  return (
    <span class="row variants">
      <button type="button" class="small" aria-label={t.earlier} disabled={shown === 0} onClick={() => show(shown - 1)}>
        ‹
      </button>
      <span>{t.variant(shown + 1, answers.length)}</span>
      <button
        type="button"
        class="small"
        aria-label={t.later}
        disabled={shown === answers.length - 1}
        onClick={() => show(shown + 1)}
      >
        ›
      </button>
    </span>
  );
}
