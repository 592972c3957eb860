import { computed, signal } from "@preact/signals";

/**
 * What lets the page ask the gateway: an API key, or the session of somebody who signed in with a wallet.
 *
 * It lives for as long as the tab, so a closed tab leaves nothing behind that opens a session. It is sent to the gateway
 * that served the page and to nobody else.
 */
export interface Credentials {
  readonly token: string;
  /** The account that signed in; none with an API key. */
  readonly account?: string;
  /** Seconds since 1970. */
  readonly expires?: number;
  /** Thumbprint of the key that each request has to prove; none: whoever has the token has the session. */
  readonly key?: string;
}

const KEY = "nexus.credentials";
const held = signal<Credentials | undefined>(remembered());

export const credentials = computed(() => held.value);

export function useCredentials(found: Credentials): void {
  held.value = found;
  try {
    sessionStorage.setItem(KEY, JSON.stringify(found));
  } catch {
    // The tab then forgets them when it is loaded again.
  }
}

export function forgetCredentials(): void {
  held.value = undefined;
  try {
    sessionStorage.removeItem(KEY);
  } catch {
    // There was nothing to forget.
  }
}

function remembered(): Credentials | undefined {
  try {
    const found: unknown = JSON.parse(sessionStorage.getItem(KEY) ?? "null");
    return isCredentials(found) ? found : undefined;
  } catch {
    return undefined;
  }
}

export function isCredentials(found: unknown): found is Credentials {
  if (typeof found !== "object" || found === null) return false;
  const { token, key } = found as { token?: unknown; key?: unknown };
  return typeof token === "string" && (key === undefined || typeof key === "string");
}
