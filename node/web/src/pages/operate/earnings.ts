import type { Address, Hex } from "viem";
import { inferenceMarketAbi, nodeRegistryAbi } from "../../chain/abis";
import { blockAt } from "../../chain/calls";
import { eventsIn, firstBlockSince, topicOf, type ChainEvent } from "../../chain/logs";
import type { NetworkFacts } from "../../chain/network";
import { request, type Provider } from "../../chain/provider";

/** A day of UTC, in wei. `gas`: of the transactions that the node's own wallets sent. */
export interface Day {
  readonly day: string;
  readonly lines: number;
  readonly forfeited: number;
  readonly earned: bigint;
  readonly gas: bigint;
}

export interface Earnings {
  /** Newest first; days without anything are left out. */
  readonly days: readonly Day[];
  /** Unix seconds of the newest thing that the chain knows of the node; 0: nothing. */
  readonly lastSeen: number;
  /** Older transactions were left out of the gas. */
  readonly isCut: boolean;
}

export const DAYS = 30;
const DAY_SECONDS = 86_400;
const MOST_TRANSACTIONS = 200;

/**
 * What settled lines brought a node in the last thirty days, and what its transactions cost. `payers`: accounts whose
 * gas is the node's: its own, and the wallet of its machine. Throws WalletRefusal.
 */
export async function readEarnings(
  provider: Provider,
  facts: NetworkFacts,
  node: Address,
  payers: readonly Address[],
): Promise<Earnings> {
  const head = await blockAt(provider, "latest");
  if (!head) return { days: [], lastSeen: 0, isCut: false };
  const first = await firstBlockSince(provider, head.timestamp - DAYS * DAY_SECONDS, facts.block, head.number);
  const events = await eventsOf(provider, facts, node, first, head.number);
  const timeOf = timesOf(provider, events);
  const sums = new Map<string, Day>();
  const add = (
    seconds: number,
    changed: Partial<Record<"lines" | "forfeited", number>> & { wei?: bigint; gas?: bigint },
  ) => {
    const day = new Date(seconds * 1_000).toISOString().slice(0, 10);
    const before = sums.get(day) ?? { day, lines: 0, forfeited: 0, earned: 0n, gas: 0n };
    sums.set(day, {
      day,
      lines: before.lines + (changed.lines ?? 0),
      forfeited: before.forfeited + (changed.forfeited ?? 0),
      earned: before.earned + (changed.wei ?? 0n),
      gas: before.gas + (changed.gas ?? 0n),
    });
  };
  let lastSeen = 0;
  for (const event of events) {
    const seconds = await timeOf(event);
    lastSeen = Math.max(lastSeen, seconds);
    if (event.name !== "LineSettled") continue;
    const { toNode, forfeited } = event.values;
    add(seconds, { lines: 1, forfeited: forfeited === true ? 1 : 0, wei: BigInt(toNode as bigint) });
  }
  const sent = new Map(events.map((event) => [event.transaction, event]));
  const counted = [...sent].slice(-MOST_TRANSACTIONS);
  for (const [hash, event] of counted) {
    add(await timeOf(event), { gas: await gasOf(provider, hash, payers) });
  }
  const days = [...sums.values()].sort((one, other) => (one.day < other.day ? 1 : -1));
  return { days, lastSeen, isCut: counted.length < sent.size };
}

async function eventsOf(
  provider: Provider,
  facts: NetworkFacts,
  node: Address,
  first: number,
  last: number,
): Promise<ChainEvent[]> {
  const own = topicOf(node);
  const market = { address: facts.contracts.market, abi: inferenceMarketAbi };
  const registry = { address: facts.contracts.nodes, abi: nodeRegistryAbi };
  const joined = ["Registered", "StakeAdded", "EndpointUpdated", "Announced", "UnbondRequested"];
  const found = await Promise.all([
    eventsIn(
      provider,
      { ...market, names: ["LineSettled", "LineClosed", "VoucherPosted"], indexed: [null, own] },
      first,
      last,
    ),
    eventsIn(provider, { ...market, names: ["ReceiptsCommitted", "Withdrawn"], indexed: [own] }, first, last),
    eventsIn(provider, { ...registry, names: joined, indexed: [own] }, first, last),
  ]);
  return found.flat().sort((one, other) => one.block - other.block);
}

function timesOf(provider: Provider, events: readonly ChainEvent[]): (event: ChainEvent) => Promise<number> {
  const known = new Map<number, number>();
  for (const { block, timestamp } of events) if (timestamp !== undefined) known.set(block, timestamp);
  return async ({ block }) => {
    const before = known.get(block);
    if (before !== undefined) return before;
    const found = (await blockAt(provider, block))?.timestamp ?? 0;
    known.set(block, found);
    return found;
  };
}

/** Wei of gas of a transaction that one of `payers` sent; 0 for anybody else's. */
async function gasOf(provider: Provider, hash: Hex, payers: readonly Address[]): Promise<bigint> {
  const found = await request<{ from: string; gasUsed: Hex; effectiveGasPrice?: Hex } | null>(
    provider,
    "eth_getTransactionReceipt",
    [hash],
  );
  if (!found || !payers.some((one) => one.toLowerCase() === found.from.toLowerCase())) return 0n;
  return BigInt(found.gasUsed) * BigInt(found.effectiveGasPrice ?? "0x0");
}
