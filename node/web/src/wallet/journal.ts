import { signal } from "@preact/signals";
import type { Address, Hex } from "viem";
import { kept } from "../kept";

/** What a transaction does, for people: each has its words. */
export const DEEDS = [
  "deposit",
  "requestRefund",
  "cancelRefund",
  "refund",
  "withdraw",
  "register",
  "addStake",
  "updateEndpoint",
  "announce",
  "withdrawAnnouncement",
  "requestUnbond",
  "completeUnbond",
] as const;
export type Deed = (typeof DEEDS)[number];

/**
 * How far a transaction is. `asked`: the wallet has it and has not answered; `replaced`: another of the same number
 * was mined in its stead; `failed`: it was mined and reverted.
 */
export const STATES = ["asked", "pending", "included", "confirmed", "failed", "replaced"] as const;
export type TransactionState = (typeof STATES)[number];

/** A transaction that the page had signed. It is written down before the wallet is asked, so that none is lost. */
export interface KeptTransaction {
  readonly id: string;
  readonly deed: Deed;
  readonly account: Address;
  readonly chainId: number;
  readonly to: Address;
  readonly data: Hex;
  /** Wei sent with it, decimal. */
  readonly value: string;
  /** The account's transactions before it. */
  readonly nonce: number;
  /** The newest block when it was asked for. */
  readonly block: number;
  /** Milliseconds since 1970, by this machine's clock: to sort by, nothing else. */
  readonly at: number;
  readonly state: TransactionState;
  readonly hash?: Hex;
  /** The block that it was last seen in. */
  readonly seenIn?: Hex;
  /** Blocks on it, its own included. */
  readonly depth?: number;
  /** A block that it stood in is gone. */
  readonly reorganised?: boolean;
}

const KEY = "nexus.transactions";
const MOST = 40;
const held = signal<readonly KeptTransaction[]>(load());
let isKept = true;

/** Newest first. */
export const transactions = held;

/** Follow what other tabs write down. Returns what undoes it. */
export function followOtherTabs(): () => void {
  const changed = (event: StorageEvent) => {
    if (event.key === KEY) held.value = load();
  };
  addEventListener("storage", changed);
  return () => removeEventListener("storage", changed);
}

/** Write a transaction down, or what is new about it. What another tab wrote meanwhile stays. */
export function note(entry: KeptTransaction): void {
  const others = known().filter((one) => one.id !== entry.id);
  store([entry, ...others].sort((one, other) => other.at - one.at));
}

/** Forget one: the person has seen it. */
export function forget(id: string): void {
  store(known().filter((one) => one.id !== id));
}

export function isOpen(entry: KeptTransaction): boolean {
  return entry.state === "asked" || entry.state === "pending" || entry.state === "included";
}

function store(entries: readonly KeptTransaction[]): void {
  // INVARIANT: what is still open is not pushed out by what is over.
  const open = entries.filter(isOpen);
  const over = entries.filter((one) => !isOpen(one)).slice(0, Math.max(0, MOST - open.length));
  const left = new Set([...open, ...over]);
  held.value = entries.filter((one) => left.has(one));
  isKept = kept.write(KEY, JSON.stringify(held.value));
}

/** What is written down; in a browser that keeps nothing, what this tab remembers. */
function known(): readonly KeptTransaction[] {
  return isKept ? load() : held.value;
}

function load(): KeptTransaction[] {
  try {
    const found: unknown = JSON.parse(kept.read(KEY) ?? "[]");
    return Array.isArray(found) ? found.filter(isTransaction) : [];
  } catch {
    return [];
  }
}

/** What another program wrote under this name is not taken for money. */
function isTransaction(found: unknown): found is KeptTransaction {
  if (typeof found !== "object" || found === null) return false;
  const one = found as Record<string, unknown>;
  return (
    typeof one["id"] === "string" &&
    DEEDS.includes(one["deed"] as Deed) &&
    STATES.includes(one["state"] as TransactionState) &&
    typeof one["account"] === "string" &&
    /^0x[0-9a-fA-F]{40}$/.test(one["account"]) &&
    typeof one["to"] === "string" &&
    /^0x[0-9a-fA-F]{40}$/.test(one["to"]) &&
    typeof one["data"] === "string" &&
    typeof one["value"] === "string" &&
    /^\d{1,78}$/.test(one["value"]) &&
    [one["chainId"], one["nonce"], one["block"], one["at"]].every((value) => Number.isSafeInteger(value)) &&
    (one["hash"] === undefined || isHash(one["hash"])) &&
    (one["seenIn"] === undefined || isHash(one["seenIn"]))
  );
}

function isHash(value: unknown): boolean {
  return typeof value === "string" && /^0x[0-9a-fA-F]{64}$/.test(value);
}
