import { useEffect, useRef, useState } from "preact/hooks";
import { AnswerCard } from "./answer_card";
import { askOtherwise, current } from "./desk";
import type { Turn } from "./kept/conversation";
import { visible } from "./text/hidden_characters";
import { words } from "./words";

/** A question, and the answers to it side by side. */
export function TurnView({ turn, at }: { turn: Turn; at: number }) {
  const t = words();
  const [isEdited, edit] = useState(false);
  return (
    <section class="turn" aria-labelledby={`question-${turn.key}`}>
      <div class="question">
        <div class="row">
          <h2 id={`question-${turn.key}`}>{t.question(at + 1)}</h2>
          {!isEdited && (
            <button type="button" class="small" aria-keyshortcuts="e" onClick={() => edit(true)}>
              {t.edit}
            </button>
          )}
        </div>
        {isEdited ? (
          <Edited turn={turn} at={at} close={() => edit(false)} />
        ) : (
          <p class="asked">{visible(turn.text)}</p>
        )}
      </div>
      <div class="lanes" data-lanes={turn.lanes.length}>
        {turn.lanes.map((lane, place) => (
          <AnswerCard key={place} lane={lane} turn={at} at={place} />
        ))}
      </div>
    </section>
  );
}

function Edited({ turn, at, close }: { turn: Turn; at: number; close: () => void }) {
  const t = words();
  const [text, type] = useState(turn.text);
  const field = useRef<HTMLTextAreaElement>(null);
  useEffect(() => field.current?.focus(), []);
  const later = current.value.turns.length - at - 1;
  const ask = (apart: boolean) => {
    if (text.trim() === "") return;
    close();
    askOtherwise(at, text, { apart });
  };
  return (
    <form
      class="stack"
      onSubmit={(event) => {
        event.preventDefault();
        ask(false);
      }}
      onKeyDown={(event) => {
        if (event.key !== "Escape") return;
        event.preventDefault();
        close();
      }}
    >
      <textarea
        aria-label={t.editLabel}
        rows={3}
        value={text}
        ref={field}
        onInput={(event) => type(event.currentTarget.value)}
      />
      {later > 0 && <p class="quiet">{t.dropped(later)}</p>}
      <div class="row">
        <button type="submit" class="main">
          {t.askEdited}
        </button>
        <button type="button" onClick={() => ask(true)}>
          {t.askApart}
        </button>
        <button type="button" onClick={close}>
          {t.cancel}
        </button>
      </div>
    </form>
  );
}
