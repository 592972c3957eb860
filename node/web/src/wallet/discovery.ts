import { signal } from "@preact/signals";
import type { Provider } from "../chain/provider";

/** A wallet that announced itself (EIP-6963). Its name is its own word: text, and short. */
export interface FoundWallet {
  readonly id: string;
  /** Reverse domain name: the same wallet after a reload. */
  readonly rdns: string;
  readonly name: string;
  readonly provider: Provider;
}

const LONGEST_NAME = 40;
const MOST_WALLETS = 20;

/** The wallets of this browser, in the order in which they spoke. */
export const wallets = signal<readonly FoundWallet[]>([]);

/** Listen for wallets and ask them to speak. Returns what undoes it. */
export function discoverWallets(): () => void {
  addEventListener("eip6963:announceProvider", announced);
  dispatchEvent(new Event("eip6963:requestProvider"));
  return () => removeEventListener("eip6963:announceProvider", announced);
}

function announced(event: Event): void {
  const found = walletOf((event as CustomEvent<unknown>).detail);
  if (!found || wallets.value.length >= MOST_WALLETS) return;
  // A wallet speaks again whenever somebody asks: the first word of an id counts, so that none slips in for another.
  if (wallets.value.some((one) => one.id === found.id)) return;
  wallets.value = [...wallets.value, found];
}

function walletOf(said: unknown): FoundWallet | undefined {
  if (typeof said !== "object" || said === null) return undefined;
  const { info, provider } = said as { info?: Record<string, unknown>; provider?: Partial<Provider> };
  if (!info || typeof provider?.request !== "function") return undefined;
  const { uuid, rdns, name } = info;
  if (typeof uuid !== "string" || typeof rdns !== "string" || typeof name !== "string") return undefined;
  return { id: uuid, rdns, name: shown(name) || shown(rdns), provider: provider as Provider };
}

/** Without what turns text around or hides it: a wallet cannot dress up as another by invisible letters. */
function shown(name: string): string {
  return name
    .replace(/[\p{Cc}\p{Cf}]/gu, "")
    .trim()
    .slice(0, LONGEST_NAME);
}
