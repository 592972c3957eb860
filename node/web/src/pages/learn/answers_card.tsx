import { useEffect, useState } from "preact/hooks";
import { askJson } from "../../api/gateway";
import { Failure, Loading } from "../../design/state";
import type { AnsweredRequest, ScoredAnswer } from "./gateway_types";
import { words } from "./words";

const OUTCOMES = ["", "proved", "refuted", "unknown"] as const;
type Wanted = (typeof OUTCOMES)[number];

/** Every prompt with its answers side by side, and what the judge said of each. */
export function AnswersCard({ name }: { name: string }) {
  const t = words();
  const [wanted, want] = useState<Wanted>("");
  const [found, show] = useState<readonly AnsweredRequest[] | undefined>();
  const [isEnd, end] = useState(false);
  const [failed, fail] = useState<unknown>();
  const fetchAfter = (after: number, before: readonly AnsweredRequest[]) => {
    fail(undefined);
    const path = `/page/learning/${encodeURIComponent(name)}/answers?after=${after}&outcome=${wanted}`;
    return askJson<AnsweredRequest[]>(path).then((more) => {
      show([...before, ...more]);
      end(more.length === 0);
    });
  };
  useEffect(() => {
    show(undefined);
    fetchAfter(0, []).catch(fail);
  }, [name, wanted]);
  return (
    <section class="card" aria-labelledby="learn-answers">
      <h2 id="learn-answers">{t.answersTitle}</h2>
      <label>
        {t.show}{" "}
        <select value={wanted} onChange={(event) => want(event.currentTarget.value as Wanted)}>
          {OUTCOMES.map((one) => (
            <option key={one} value={one}>
              {one === "" ? t.all : t[one]}
            </option>
          ))}
        </select>
      </label>
      {failed !== undefined && <Failure error={failed} again={() => void fetchAfter(0, []).catch(fail)} />}
      {!found && failed === undefined && <Loading />}
      {found?.length === 0 && <p class="quiet">{t.noAnswers}</p>}
      {found?.map((request) => (
        <Request key={request.number} request={request} />
      ))}
      {found && found.length > 0 && !isEnd && (
        <button type="button" onClick={() => void fetchAfter(found.at(-1)!.number, found).catch(fail)}>
          {t.more}
        </button>
      )}
    </section>
  );
}

function Request({ request }: { request: AnsweredRequest }) {
  const t = words();
  return (
    <article class="learn-request" aria-label={`${t.prompt} ${request.number}`}>
      <p class="learn-prompt">
        <span class="quiet">{request.number}.</span> {request.prompt}
      </p>
      {!request.decided && <p class="quiet">{t.undecided}</p>}
      <div class="learn-answers">
        {request.answers.map((answer) => (
          <Answer key={answer.source} answer={answer} isBest={answer.source === request.best_source} />
        ))}
        {request.failures.map((failure) => (
          <div key={failure.source} class="learn-answer">
            <strong>{failure.source}</strong> <span data-verdict="open">{t.noAnswer}</span>
            <p class="quiet">{failure.reason}</p>
          </div>
        ))}
      </div>
      {request.explanation && <p class="quiet">{request.explanation}</p>}
    </article>
  );
}

function Answer({ answer, isBest }: { answer: ScoredAnswer; isBest: boolean }) {
  const t = words();
  const verdict = answer.outcome === "proved" ? "right" : answer.outcome === "refuted" ? "wrong" : "open";
  const said = answer.vacuous ? t.vacuous : answer.outcome ? t[answer.outcome] : t.notJudged;
  return (
    <div class="learn-answer" data-best={isBest}>
      <div class="row">
        <strong>{answer.source}</strong>
        <span data-verdict={answer.vacuous ? "open" : verdict}>{said}</span>
        {isBest && <span class="learn-best">★ {t.best}</span>}
      </div>
      <pre tabIndex={0}>{answer.response}</pre>
      <p class="quiet learn-scores">
        {t.confidence} {answer.confidence.toFixed(2)} · {t.agreement} {answer.consistency_score.toFixed(2)} · {t.record}{" "}
        {answer.historical_accuracy.toFixed(2)}
      </p>
      {answer.checked && (
        <details>
          <summary>{t.why}</summary>
          <p>{answer.checked}</p>
          <p class="quiet">{answer.reason}</p>
        </details>
      )}
    </div>
  );
}
