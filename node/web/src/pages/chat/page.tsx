import { useEffect, useState } from "preact/hooks";
import { credentials } from "../../api/credentials";
import { etherOf } from "../../design/amount";
import { Failure, Loading } from "../../design/state";
import { addressOf, go, place } from "../../router";
import "./chat.css";
import { Composer } from "./composer";
import { ConversationList } from "./conversation_list";
import { CredentialsPanel } from "./credentials/credentials_panel";
import { current, missing, show, stopAll } from "./desk";
import { keeping } from "./keeping";
import { followKeys } from "./keyboard/keys";
import { KeysDialog } from "./keyboard/keys_dialog";
import { words as keyWords } from "./keyboard/words";
import { costOf } from "./kept/conversation";
import { loadModels, models } from "./models";
import { useFollowing } from "./following";
import { visible } from "./text/hidden_characters";
import { TurnView } from "./turn_view";
import { words } from "./words";

/** Ask models, read their answers, and see what proves them. */
export function Page() {
  const t = words();
  const k = keyWords();
  const id = place.value[1];
  const [isHelpOpen, openHelp] = useState(false);
  const [isListOpen, openList] = useState(false);
  useEffect(() => {
    void show(id);
    openList(false);
  }, [id]);
  useEffect(() => followKeys({ help: () => openHelp(true), stop: stopAll, walk }), []);
  return (
    <div class="chat">
      <div class="chat-list" data-open={isListOpen}>
        <button
          type="button"
          class="list-toggle"
          aria-expanded={isListOpen}
          aria-controls="conversations"
          onClick={() => openList(!isListOpen)}
        >
          ☰ {t.conversations}
        </button>
        <div id="conversations">
          <ConversationList />
        </div>
      </div>
      <div class="chat-main">
        <header class="row spread">
          <Title />
          <button type="button" class="small" aria-haspopup="dialog" onClick={() => openHelp(true)}>
            {k.open}
          </button>
        </header>
        <Notices />
        <Turns />
        {credentials.value === undefined && <CredentialsPanel />}
        <Offer />
      </div>
      <KeysDialog isOpen={isHelpOpen} close={() => openHelp(false)} />
    </div>
  );
}

function Title() {
  const t = words();
  const conversation = current.value;
  const cost = costOf(conversation);
  if (conversation.turns.length === 0) {
    return (
      <div>
        <h1>{t.beginTitle}</h1>
        <p class="quiet">{t.begin}</p>
      </div>
    );
  }
  return (
    <div>
      <h1>{visible(conversation.title) || t.untitled}</h1>
      {cost > 0n && (
        <p class="quiet">
          {t.total} <strong>{etherOf(cost)}</strong>
        </p>
      )}
    </div>
  );
}

function Turns() {
  const { turns, id } = current.value;
  useFollowing();
  return (
    <>
      {turns.map((turn, at) => (
        <TurnView key={`${id}-${turn.key}`} turn={turn} at={at} />
      ))}
    </>
  );
}

/** What is wrong with what the browser keeps. */
function Notices() {
  const t = words();
  return (
    <>
      {[...keeping.notices.value].map((one) => (
        <p key={one} role="alert" class="notice" data-verdict="open">
          {t[one]}
        </p>
      ))}
      {missing.value && (
        <p role="alert" class="notice" data-verdict="open">
          {missing.value === "damaged" ? t.missingDamaged : t.missingGone}
        </p>
      )}
    </>
  );
}

/** The field for questions, once the gateway has said which models it has. */
function Offer() {
  const [failed, fail] = useState<unknown>();
  const load = () => {
    fail(undefined);
    const controller = new AbortController();
    loadModels(controller.signal).catch((error: unknown) => controller.signal.aborted || fail(error));
    return () => controller.abort();
  };
  useEffect(load, []);
  if (failed !== undefined && !models.value) return <Failure error={failed} again={load} />;
  return models.value ? <Composer /> : <Loading />;
}

/** To the conversation before or behind the one that is shown. */
function walk(steps: number): void {
  const ids = keeping.heads.value.map(({ id }) => id);
  const next = ids[ids.indexOf(current.value.id) + steps];
  if (next !== undefined) go(addressOf("chat", next));
}
