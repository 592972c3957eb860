import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { momentOf, shareOf } from "../../chain/clock";
import type { Uptime } from "../../chain/documents";
import { etherOf, numberOf } from "../../design/amount";
import { Failure, Loading } from "../../design/state";
import { addressOf } from "../../router";
import { words } from "./words";

/** An amount of wei as people read it; the exact one in its title. */
export function Wei({ wei }: { wei: string }) {
  const amount = BigInt(wei);
  return (
    <span class="wei" title={`${numberOf(amount)} wei`}>
      {etherOf(amount)}
    </span>
  );
}

/** A moment of the chain. */
export function Moment({ time }: { time: number }) {
  return <time dateTime={new Date(time * 1000).toISOString()}>{momentOf(time)}</time>;
}

/** How often a node answered this gateway; a dash where it was never asked. */
export function Seen({ uptime }: { uptime: Uptime | null }) {
  const t = words();
  if (!uptime) return <span class="quiet">–</span>;
  return (
    <span title={t.uptimeText(numberOf(uptime.answered), numberOf(uptime.asked))}>
      {shareOf(uptime.answered, uptime.asked)}
    </span>
  );
}

/** The way back to a list, and the link to what is shown. */
export function Top({ part, title }: { part: string; title: ComponentChildren }) {
  const t = words();
  const [copied, say] = useState(false);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(location.href);
      say(true);
      setTimeout(() => say(false), 2000);
    } catch {
      // Without a clipboard the address stands in the browser's own line.
    }
  };
  return (
    <div class="row top-of-one">
      <h1>{title}</h1>
      <a href={addressOf("explorer", part)}>{t.back}</a>
      <button type="button" onClick={copy}>
        {t.share}
      </button>
      <span role="status">{copied ? t.shared : ""}</span>
    </div>
  );
}

/** What stands in place of one thing that is not there: it is fetched, or it cannot be had. */
export function NotYet({ name, error, again }: { name: string; error: unknown; again: () => void }) {
  return (
    <>
      <h1>{name}</h1>
      {error === undefined ? <Loading /> : <Failure error={error} again={again} />}
    </>
  );
}

/** A word for a state, with a verdict's look. */
export function Badge({ verdict, children }: { verdict: "right" | "wrong" | "open"; children: ComponentChildren }) {
  return <span data-verdict={verdict}>{children}</span>;
}
