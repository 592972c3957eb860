import { networkFacts } from "../../../chain/network";
import { sentenceOf } from "../../../design/state";
import { useFetched } from "../../../wallet/doing";
import type { Answer } from "../kept/conversation";
import { visible } from "../text/hidden_characters";
import { askSecond, secondWords, wordKey, type SecondWord } from "./second_gateway";
import { secondWordsOf } from "./second_words";
import { Blamed } from "./verdict_view";
import { words } from "./words";

/** Gateways that may be asked for a second opinion; nothing where the operator names none. */
export function SecondGateways({ answer }: { answer: Answer & { id: string } }) {
  const t = secondWordsOf();
  const { found } = useFetched(networkFacts, []);
  // A gateway that names itself has no second word.
  const others = found?.verifiers.filter((origin) => origin !== location.origin) ?? [];
  if (others.length === 0) return null;
  return (
    <section class="check" aria-label={t.title}>
      <p class="quiet">{t.hint}</p>
      {others.map((origin) => (
        <Second key={origin} answer={answer} origin={origin} />
      ))}
    </section>
  );
}

function Second({ answer, origin }: { answer: Answer & { id: string }; origin: string }) {
  const t = secondWordsOf();
  const { host } = new URL(origin);
  const word = secondWords.value.get(wordKey(answer, origin));
  if (word?.kind === "asking") {
    return (
      <div role="status">
        <label class="stack">
          {t.computing(host)}
          <progress max={word.total || 1} value={word.total ? word.done : undefined} />
        </label>
        <button type="button" class="small" onClick={word.cancel}>
          {t.cancel}
        </button>
      </div>
    );
  }
  return (
    <>
      <button type="button" class="small" onClick={() => void askSecond(answer, origin)}>
        {word ? t.again(host) : t.ask(host)}
      </button>
      {word?.kind === "said" && <Said word={word} host={host} />}
      {word?.kind === "failed" && (
        <p role="alert" class="verdict" data-verdict="open">
          <strong>{t.failed(host)}.</strong> {visible(sentenceOf(word.error)).slice(0, 600)}
        </p>
      )}
    </>
  );
}

/** Another gateway's word, and said to be no more: what it calls right stays open here. */
function Said({ word, host }: { word: SecondWord & { kind: "said" }; host: string }) {
  const t = secondWordsOf();
  const isWrong = word.outcome === "wrong";
  return (
    <div class="verdict" data-verdict={isWrong ? "wrong" : "open"} role={isWrong ? "alert" : "status"}>
      <strong>
        {isWrong ? "✗ " : ""}
        {isWrong ? t.wrong(host) : t.right(host)}
      </strong>
      {!isWrong && <p>{t.rightText(word.tokens)}</p>}
      {word.differences.map((one) => (
        <p key={one}>{words().differs[one]}</p>
      ))}
      {word.contradicts.map((one) => (
        <p key={one}>{t.contradicts[one]}</p>
      ))}
      {word.fault && <Blamed fault={word.fault} isCertain={false} />}
      {word.reason !== undefined && <p>{visible(word.reason).slice(0, 600)}</p>}
      <details>
        <summary>{words().judgedPrompt}</summary>
        <pre>{visible(word.prompt)}</pre>
      </details>
    </div>
  );
}
