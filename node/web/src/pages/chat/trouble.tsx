import { useEffect, useState } from "preact/hooks";
import { forgetCredentials } from "../../api/credentials";
import type { Trouble } from "./kept/conversation";
import { visible } from "./text/hidden_characters";
import { words } from "./trouble_words";

/** Why an answer is not whole, in words, with what to do. */
export function TroubleNote({ trouble, again }: { trouble: Trouble; again: (() => void) | undefined }) {
  const t = words();
  const wait = useSecondsUntil(trouble.retryAt);
  const [what, advice] = sentencesOf(trouble, wait);
  return (
    <div role="alert" class="trouble" data-verdict="open">
      <p>
        <strong>{what}</strong> {advice}
      </p>
      {trouble.message !== "" && trouble.status !== 0 && (
        <p class="quiet">
          {t.said} <q>{visible(trouble.message).slice(0, 600)}</q>
        </p>
      )}
      <p class="row">
        {again && (
          <button type="button" onClick={again} disabled={wait > 0}>
            {t.again}
          </button>
        )}
        {trouble.status === 401 && (
          <button type="button" onClick={forgetCredentials}>
            {t.newKey}
          </button>
        )}
      </p>
    </div>
  );
}

/** What happened, and what to do about it. `wait`: seconds until it may be asked again. */
export function sentencesOf({ status, code }: Trouble, wait: number): readonly [string, string] {
  const t = words();
  const later = wait > 0 ? t.limitAdvice(wait) : t.limitOver;
  if (code === "left") return [t.left, t.askAgain];
  if (code === "unreachable") return [t.unreachable, t.askAgain];
  if (code === "context_length_exceeded") return [t.long, t.longAdvice];
  if (status === 0) return [t.broken, t.askAgain];
  if (status === 401) return [t.key, t.keyAdvice];
  if (status === 402) return [t.credit, t.creditAdvice];
  if (status === 403) return [t.scope, t.scopeAdvice];
  if (status === 429) return [t.limit, later];
  if (status === 502) return [t.withheld, t.withheldAdvice];
  if (status === 503) return [t.away, wait > 0 ? later : t.awayAdvice];
  return [t.other, t.askAgain];
}

function useSecondsUntil(time: number | undefined): number {
  const left = () => (time === undefined ? 0 : Math.max(0, Math.ceil((time - Date.now()) / 1000)));
  const [seconds, set] = useState(left);
  useEffect(() => {
    set(left());
    if (left() === 0) return undefined;
    const timer = setInterval(() => {
      set(left());
      if (left() === 0) clearInterval(timer);
    }, 1000);
    return () => clearInterval(timer);
  }, [time]);
  return seconds;
}
