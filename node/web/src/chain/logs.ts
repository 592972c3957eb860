import { decodeEventLog, encodeEventTopics, type Abi, type AbiEvent, type Address, type Hex } from "viem";
import { blockAt, hexOf } from "./calls";
import { request, WalletRefusal, type Provider } from "./provider";

/** One event as it was decoded. `values`: its arguments by name. */
export interface ChainEvent {
  readonly name: string;
  readonly values: Readonly<Record<string, unknown>>;
  readonly block: number;
  readonly transaction: Hex;
  /** Unix seconds, where the server says it with the event. */
  readonly timestamp?: number;
}

interface Log {
  readonly data: Hex;
  readonly topics: [Hex, ...Hex[]];
  readonly blockNumber: Hex;
  readonly transactionHash: Hex;
  readonly blockTimestamp?: Hex;
}

/** What is looked for: events by name, and what their indexed arguments have to be, in their order. */
export interface EventQuery {
  readonly address: Address;
  readonly abi: Abi;
  readonly names: readonly string[];
  /** Topics after the first: null for any. */
  readonly indexed: readonly (Hex | null)[];
}

/** A range that is too long for a server is halved down to this many blocks. */
const SHORTEST_RANGE = 250;

/** Events in blocks [first, last], oldest first. Throws WalletRefusal. */
export async function eventsIn(
  provider: Provider,
  query: EventQuery,
  first: number,
  last: number,
): Promise<ChainEvent[]> {
  if (first > last) return [];
  const names = query.names.map((eventName) => encodeEventTopics({ abi: query.abi, eventName } as never)[0]);
  const filter = {
    address: query.address,
    topics: [names, ...query.indexed],
    fromBlock: hexOf(first),
    toBlock: hexOf(last),
  };
  try {
    return (await request<Log[]>(provider, "eth_getLogs", [filter])).flatMap((log) => decoded(query.abi, log));
  } catch (error) {
    // INVARIANT: what a server refuses as too much is asked in halves; what it refuses otherwise is said.
    if (last - first < SHORTEST_RANGE || !(error instanceof WalletRefusal) || error.kind !== "failed") throw error;
    const middle = Math.floor((first + last) / 2);
    const older = await eventsIn(provider, query, first, middle);
    return [...older, ...(await eventsIn(provider, query, middle + 1, last))];
  }
}

/** An address as a topic. */
export function topicOf(address: Address): Hex {
  return `0x${address.slice(2).toLowerCase().padStart(64, "0")}`;
}

/** The first block of [first, last] that is not older than `since`, Unix seconds; by halving, so in a few requests. */
export async function firstBlockSince(provider: Provider, since: number, first: number, last: number): Promise<number> {
  let low = first;
  let high = last;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const block = await blockAt(provider, middle);
    if (!block || block.timestamp < since) low = middle + 1;
    else high = middle;
  }
  return low;
}

function decoded(abi: Abi, log: Log): ChainEvent[] {
  try {
    const { eventName, args } = decodeEventLog({ abi: abi as AbiEvent[], data: log.data, topics: log.topics });
    return [
      {
        name: String(eventName),
        values: (args ?? {}) as unknown as Record<string, unknown>,
        block: Number(log.blockNumber),
        transaction: log.transactionHash,
        ...(log.blockTimestamp ? { timestamp: Number(log.blockTimestamp) } : {}),
      },
    ];
  } catch {
    return []; // Not one of ours, whatever the server says.
  }
}
