import { effect } from "@preact/signals";
import type { Hex } from "viem";
import { hexOf } from "../chain/calls";
import { request, type Provider } from "../chain/provider";
import { connection } from "./connection";
import { isOpen, note, transactions, type KeptTransaction } from "./journal";

const ROUND_MILLISECONDS = 4_000;
/** Blocks that are searched for a transaction whose hash the page never heard. */
const MOST_SEARCHED = 120;

interface Receipt {
  readonly blockHash: Hex;
  readonly blockNumber: Hex;
  readonly status: Hex;
}

/** Look after what is open, while the page is shown and a wallet is on the chain. Returns what undoes it. */
export function watchTransactions(confirmations: () => number): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let ended = false;
  const round = async () => {
    if (!document.hidden) await lookAll(confirmations());
    if (!ended && waiting().length > 0) timer = setTimeout(() => void round(), ROUND_MILLISECONDS);
    else timer = undefined;
  };
  const undo = effect(() => {
    if (waiting().length > 0 && timer === undefined) timer = setTimeout(() => void round(), 0);
  });
  return () => {
    ended = true;
    clearTimeout(timer);
    undo();
  };
}

/** What is open on the chain that the wallet is on. */
function waiting(): KeptTransaction[] {
  const here = connection.value;
  return here ? transactions.value.filter((one) => isOpen(one) && one.chainId === here.chainId) : [];
}

async function lookAll(confirmations: number): Promise<void> {
  for (const entry of waiting()) {
    const provider = connection.value?.wallet.provider;
    if (!provider) return;
    try {
      const found = await look(provider, entry, confirmations);
      // Another tab may have seen more of it meanwhile; somebody may have dismissed it.
      const now = transactions.value.find((one) => one.id === entry.id);
      if (found !== entry && now && isOpen(now)) note(found);
    } catch {
      // The wallet's server does not answer: the next round asks again.
    }
  }
}

/** What the chain says of a transaction now; the very same object where nothing is new. Throws WalletRefusal. */
export async function look(
  provider: Provider,
  entry: KeptTransaction,
  confirmations: number,
): Promise<KeptTransaction> {
  if (entry.hash === undefined) return searched(provider, entry);
  const receipt = await receiptOf(provider, entry.hash);
  if (receipt) return included(provider, entry, receipt, confirmations);
  const known = await request<{ nonce?: Hex } | null>(provider, "eth_getTransactionByHash", [entry.hash]);
  if (known) return unseen({ ...entry, nonce: known.nonce ? Number(known.nonce) : entry.nonce }, entry);
  if ((await mined(provider, entry)) <= entry.nonce) return unseen(entry, entry);
  // It may have been mined between the two questions.
  const late = await receiptOf(provider, entry.hash);
  return late ? included(provider, entry, late, confirmations) : searched(provider, entry);
}

async function included(
  provider: Provider,
  entry: KeptTransaction,
  receipt: Receipt,
  confirmations: number,
): Promise<KeptTransaction> {
  const head = Number(await request<Hex>(provider, "eth_blockNumber"));
  const depth = Math.max(1, head - Number(receipt.blockNumber) + 1);
  const moved = entry.seenIn !== undefined && entry.seenIn !== receipt.blockHash;
  if (!moved && entry.state === "included" && entry.depth === depth && depth < confirmations) return entry;
  const over = Number(receipt.status) === 0 ? "failed" : "confirmed";
  return {
    ...entry,
    state: depth < confirmations ? "included" : over,
    seenIn: receipt.blockHash,
    depth,
    ...(moved ? { reorganised: true } : {}),
  };
}

/** Not in a block: where it was in one before, that block is gone. */
function unseen(found: KeptTransaction, before: KeptTransaction): KeptTransaction {
  if (before.state === "included") return without({ ...found, state: "pending", reorganised: true });
  return found.nonce === before.nonce ? before : found;
}

function without(entry: KeptTransaction): KeptTransaction {
  const { seenIn: _, depth: __, ...rest } = entry;
  return rest;
}

/**
 * A transaction whose hash never came, as the page was loaded again while the wallet's window was open; or one that the
 * wallet sent again at a higher fee, under another hash. Its sender and number tell it.
 */
async function searched(provider: Provider, entry: KeptTransaction): Promise<KeptTransaction> {
  if ((await mined(provider, entry)) <= entry.nonce) return unseen(entry, entry);
  const head = Number(await request<Hex>(provider, "eth_blockNumber"));
  const last = Math.min(head, entry.block + MOST_SEARCHED);
  for (let number = entry.block; number <= last; number += 1) {
    const asked = [hexOf(number), true];
    const block = await request<{ transactions: Mined[] } | null>(provider, "eth_getBlockByNumber", asked);
    const found = block?.transactions.find((one) => isOf(one, entry));
    // INVARIANT: another transaction of that number is not taken for the one that somebody may have rejected.
    if (found) return isSame(found, entry) ? { ...entry, hash: found.hash, state: "pending" } : replaced(entry);
  }
  // INVARIANT: "replaced" is said of what was seen. Somebody who is told so sends the money again.
  return unseen(entry, entry);
}

interface Mined {
  readonly hash: Hex;
  readonly from: string;
  readonly to: string | null;
  readonly nonce: Hex;
  readonly input: Hex;
  readonly value: Hex;
}

function isOf(one: Mined, entry: KeptTransaction): boolean {
  return one.from.toLowerCase() === entry.account.toLowerCase() && Number(one.nonce) === entry.nonce;
}

function isSame(one: Mined, entry: KeptTransaction): boolean {
  return (
    one.to?.toLowerCase() === entry.to.toLowerCase() &&
    one.input.toLowerCase() === entry.data.toLowerCase() &&
    BigInt(one.value) === BigInt(entry.value)
  );
}

function replaced(entry: KeptTransaction): KeptTransaction {
  return without({ ...entry, state: "replaced" });
}

function receiptOf(provider: Provider, hash: Hex): Promise<Receipt | null> {
  return request<Receipt | null>(provider, "eth_getTransactionReceipt", [hash]);
}

async function mined(provider: Provider, entry: KeptTransaction): Promise<number> {
  return Number(await request<Hex>(provider, "eth_getTransactionCount", [entry.account, "latest"]));
}
