import { useEffect, useRef } from "preact/hooks";
import { singleKeys, useSingleKeys } from "./keys";
import { words } from "./words";

/** The list of keys. */
export function KeysDialog({ isOpen, close }: { isOpen: boolean; close: () => void }) {
  const t = words();
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (isOpen) dialog.current?.showModal();
    else dialog.current?.close();
  }, [isOpen]);
  const keys = [
    ["Enter", t.enter],
    ["Shift+Enter", t.shiftEnter],
    ["Escape", t.escape],
    ["?", t.help],
    ["/", t.field],
    ["n", t.create],
    ["s", t.settings],
    ["j", t.next],
    ["k", t.previous],
    ["v", t.verify],
    ["r", t.again],
    ["e", t.edit],
    ["c", t.copy],
    ["]", t.nextConversation],
    ["[", t.previousConversation],
  ] as const;
  return (
    <dialog ref={dialog} class="keys" aria-labelledby="keys-title" onClose={close}>
      <h2 id="keys-title">{t.title}</h2>
      <dl>
        {keys.map(([key, what]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <label class="row">
        <input
          type="checkbox"
          checked={singleKeys.value}
          aria-describedby="keys-hint"
          onChange={(event) => useSingleKeys(event.currentTarget.checked)}
        />
        {t.single}
      </label>
      <p id="keys-hint" class="quiet">
        {t.singleHint}
      </p>
      <button type="button" class="main" onClick={() => dialog.current?.close()}>
        {t.close}
      </button>
    </dialog>
  );
}
