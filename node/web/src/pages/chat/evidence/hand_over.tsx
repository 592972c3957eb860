import { useState } from "preact/hooks";
import { sentenceOf } from "../../../design/state";
import { CopyButton } from "../copy_button";
import type { Answer } from "../kept/conversation";
import { words as chatWords } from "../words";
import { giveToWatcher, verifyByAddress, verifyFile } from "./commands";
import { offerAnswerFile, offerRequest, offerText } from "./files";
import { words } from "./words";

/** An answer that is wrong: the evidence, and how a watcher takes it. */
export function HandOver({ answer }: { answer: Answer & { id: string } }) {
  const t = words();
  const [isOpen, open] = useState(false);
  return (
    <div class="hand-over">
      <button type="button" class="main" aria-expanded={isOpen} onClick={() => open(!isOpen)}>
        {t.handOver}
      </button>
      {isOpen && (
        <>
          <p>{t.handOverHint}</p>
          <AnswerFile id={answer.id} />
          <Command label={t.checkIt} text={verifyFile(answer.id)} />
          <Command label={t.giveIt} text={giveToWatcher(answer.id)} />
        </>
      )}
    </div>
  );
}

/** The command that checks an answer without trusting this page, and the files that it takes. */
export function CheckYourself({ answer }: { answer: Answer & { id: string } }) {
  const t = words();
  return (
    <details>
      <summary>{t.elsewhere}</summary>
      <p class="quiet">{t.elsewhereHint}</p>
      <div class="row">
        <button type="button" class="small" onClick={() => offerRequest(answer)}>
          ↓ {t.request}
        </button>
        <button type="button" class="small" onClick={() => offerText(answer)}>
          ↓ {t.text}
        </button>
        <AnswerFile id={answer.id} />
      </div>
      <Command label={t.checkIt} text={verifyByAddress(answer, location.origin)} />
    </details>
  );
}

function AnswerFile({ id }: { id: string }) {
  const t = words();
  const [failed, fail] = useState<unknown>();
  const fetchIt = () => {
    fail(undefined);
    offerAnswerFile(id).catch(fail);
  };
  return (
    <>
      <button type="button" class="small" onClick={fetchIt}>
        ↓ {t.file}
      </button>
      {failed !== undefined && (
        <p role="alert" data-verdict="open">
          {t.downloadFailed}: {sentenceOf(failed)}
        </p>
      )}
    </>
  );
}

function Command({ label, text }: { label: string; text: string }) {
  const { copy } = chatWords();
  return (
    <div class="command">
      <div class="row">
        <span>{label}</span>
        <CopyButton label={copy} text={() => text} />
      </div>
      <pre tabIndex={0} role="group" aria-label={label}>
        <code>{text}</code>
      </pre>
    </div>
  );
}
