import { useEffect, useRef, useState } from "preact/hooks";
import { addressOf, go } from "../../router";
import { current, removeAll, removeConversation } from "./desk";
import { keeping } from "./keeping";
import { MOST_CONVERSATIONS } from "./kept/conversation_store";
import { visible } from "./text/hidden_characters";
import { words } from "./words";

/** The conversations in this browser, the newest first. */
export function ConversationList() {
  const t = words();
  const heads = keeping.heads.value;
  const shown = current.value.id;
  return (
    <nav aria-label={t.conversations}>
      <button type="button" class="create" aria-keyshortcuts="n" onClick={() => go(addressOf("chat"))}>
        + {t.create}
      </button>
      {heads.length === 0 ? (
        <p class="quiet">{t.none}</p>
      ) : (
        <ul>
          {heads.map(({ id, title }) => (
            <li key={id}>
              <a href={addressOf("chat", id)} aria-current={id === shown ? "page" : undefined}>
                {visible(title) || t.untitled}
              </a>
              <Sure name="✕" label={t.remove(visible(title) || t.untitled)} act={() => void removeConversation(id)} />
            </li>
          ))}
        </ul>
      )}
      <p class="quiet">{t.keptHere(MOST_CONVERSATIONS)}</p>
      {heads.length > 0 && <Sure name={t.removeAll} label={t.removeAll} act={() => void removeAll()} />}
    </nav>
  );
}

/** A button that asks back. */
function Sure({ name, label, act }: { name: string; label: string; act: () => void }) {
  const t = words();
  const [isAsked, ask] = useState(false);
  const no = useRef<HTMLButtonElement>(null);
  useEffect(() => no.current?.focus(), [isAsked]);
  if (!isAsked) {
    return (
      <button type="button" class="small plain" aria-label={label} onClick={() => ask(true)}>
        {name}
      </button>
    );
  }
  return (
    <span class="row sure" role="group" aria-label={label}>
      <span>{t.sure}</span>
      <button type="button" class="small" onClick={act}>
        {t.yes}
      </button>
      <button type="button" class="small" ref={no} onClick={() => ask(false)}>
        {t.no}
      </button>
    </span>
  );
}
