import { computed, signal } from "@preact/signals";

/** Where the page's paths begin: the gateway serves the same document under all of them. */
export const BASE = "/app";

const path = signal(location.pathname);
const query = signal(location.search);

/** Parts of the path behind BASE: `/app/explorer/models/0x12` is `["explorer", "models", "0x12"]`. */
export const place = computed<readonly string[]>(() =>
  path.value.startsWith(BASE) ? path.value.slice(BASE.length).split("/").filter(Boolean).map(decoded) : [],
);

/** What stands behind the question mark. */
export const parameters = computed(() => new URLSearchParams(query.value));

/** The address of a place, for links that can be shared. */
export function addressOf(...parts: readonly string[]): string {
  return [BASE, ...parts.map(encodeURIComponent)].join("/");
}

/** Go there without loading the page again. `address` begins with BASE: the page never leads anywhere else. */
export function go(address: string, { replace = false } = {}): void {
  if (!isOurs(address)) throw new Error(`not a place of this page: ${address}`);
  if (replace) history.replaceState(null, "", address);
  else history.pushState(null, "", address);
  follow();
}

/** Let links to places of the page change the place. Returns what undoes it. */
export function followLinks(): () => void {
  addEventListener("popstate", follow);
  document.addEventListener("click", clicked);
  return () => {
    removeEventListener("popstate", follow);
    document.removeEventListener("click", clicked);
  };
}

function follow(): void {
  path.value = location.pathname;
  query.value = location.search;
}

function clicked(event: MouseEvent): void {
  const link = (event.target as Element | null)?.closest?.("a");
  if (!link || event.defaultPrevented || event.button !== 0) return;
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const target = link.getAttribute("href");
  if (link.target || link.hasAttribute("download") || !target || !isOurs(target)) return;
  event.preventDefault();
  go(target);
  scrollTo(0, 0);
  document.getElementById("main")?.focus({ preventScroll: true });
}

/** Whether the browser would take an address to a place of this page; `..` is resolved as a browser does. */
function isOurs(address: string): boolean {
  if (!address.startsWith(BASE)) return false;
  const { origin, pathname } = new URL(address, location.origin);
  return origin === location.origin && (pathname === BASE || pathname.startsWith(`${BASE}/`));
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
