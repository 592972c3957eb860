import { useRef, useState } from "preact/hooks";
import { credentials } from "../../api/credentials";
import { askAll, chosenModels, current, isBusy, stopAll } from "./desk";
import { modelNamed } from "./models";
import { singleKeys } from "./keyboard/keys";
import { ModelChoice } from "./setup/model_choice";
import { SettingsPanel } from "./setup/settings_panel";
import { words as setupWords } from "./setup/words";
import { words } from "./words";

/** Where questions are written, and who answers them how. */
export function Composer() {
  const t = words();
  const s = setupWords();
  const [text, type] = useState("");
  const [isOpen, open] = useState(false);
  const field = useRef<HTMLTextAreaElement>(null);
  const conversation = current.value;
  const chosen = chosenModels(conversation.setup);
  const isComing = isBusy(conversation);
  const canAsk = credentials.value !== undefined && chosen.length > 0 && text.trim() !== "" && !isComing;
  const continues = chosen.length > 0 && chosen.every((name) => !modelNamed(name)?.isChat);
  const ask = () => {
    if (!canAsk) return;
    type("");
    askAll(text);
    field.current?.focus();
  };
  return (
    <form
      class="composer card"
      onSubmit={(event) => {
        event.preventDefault();
        ask();
      }}
    >
      {isOpen && <SettingsPanel key={conversation.id} />}
      <div class="row spread">
        <ModelChoice />
        <button type="button" class="small" aria-expanded={isOpen} aria-keyshortcuts="s" onClick={() => open(!isOpen)}>
          {s.settings}
        </button>
      </div>
      <div class="ask">
        <textarea
          ref={field}
          rows={2}
          value={text}
          aria-label={t.askLabel}
          aria-keyshortcuts="/"
          placeholder={continues ? t.continueHint : t.askHint}
          onInput={(event) => type(event.currentTarget.value)}
          onKeyDown={(event) => {
            // A key that ends a syllable of Korean is no key of the page.
            if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
            event.preventDefault();
            ask();
          }}
        />
        {isComing ? (
          <button type="button" onClick={stopAll}>
            {t.stop}
          </button>
        ) : (
          <button type="submit" class="main" disabled={!canAsk}>
            {t.ask}
          </button>
        )}
      </div>
      <p class="quiet hint">{singleKeys.value ? t.enter : t.enterPlain}</p>
    </form>
  );
}
