import { effect } from "@preact/signals";
import { credentials, forgetCredentials, isCredentials, useCredentials, type Credentials } from "./credentials";

/** What tabs of this page tell each other. Only tabs of the same origin hear it. */
type Told = { readonly who: true } | { readonly session: Credentials } | { readonly over: string };

const NAME = "nexus.session";

/**
 * Share the session with the other tabs of this page, so that one signature of the wallet does for all of them, and
 * signing out ends it in all. Only a session that is bound to a key is shared: its token is worth nothing elsewhere.
 * Nothing of it is kept once the last tab is closed. Returns what ends it.
 */
export function shareSession(): () => void {
  if (typeof BroadcastChannel === "undefined") return () => undefined;
  const channel = new BroadcastChannel(NAME);
  const tell = (told: Told) => channel.postMessage(told);
  channel.onmessage = ({ data }: MessageEvent<unknown>) => {
    const here = credentials.value;
    const told = (typeof data === "object" && data !== null ? data : {}) as Partial<Record<string, unknown>>;
    if (told.who === true && here?.key !== undefined) tell({ session: here });
    if (!here && isCredentials(told.session) && told.session.key !== undefined) useCredentials(told.session);
    if (here?.key !== undefined && told.over === here.key) forgetCredentials();
  };
  if (!credentials.value) tell({ who: true });
  let before = credentials.value?.key;
  const stop = effect(() => {
    const here = credentials.value;
    const key = here?.key;
    // Another session took its place, and ended it. An API key does not: that is this tab's alone.
    const isReplaced = here?.account !== undefined && key !== before;
    if (before !== undefined && (!here || isReplaced)) tell({ over: before });
    if (here && key !== undefined && key !== before) tell({ session: here });
    before = key;
  });
  return () => {
    stop();
    channel.close();
  };
}
