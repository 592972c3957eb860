import type { Address, Hex } from "viem";
import { disputeGameAbi, inferenceMarketAbi, nodeRegistryAbi } from "../../chain/abis";
import { blockAt, read, reasonOf } from "../../chain/calls";
import type { NetworkFacts } from "../../chain/network";
import type { Provider } from "../../chain/provider";

/** What the registry holds about a node. Times in Unix seconds, amounts in wei. */
export interface NodeEntry {
  readonly receiptKey: Address;
  readonly unbondableAfter: number;
  readonly convicted: boolean;
  readonly stake: bigint;
  readonly openGames: number;
  readonly tlsKeyHash: Hex;
  readonly endpoint: string;
}

/** A balance that a contract owes, by contract. */
export interface Owed {
  readonly nodes: bigint;
  readonly market: bigint;
  readonly disputes: bigint;
}

/** Everything that the chain says of an account as a node. `entry`: none where it never registered. */
export interface Standing {
  readonly entry?: NodeEntry;
  readonly owed: Owed;
  readonly minimumStake: bigint;
  /** Seconds between asking for the stake and taking it. */
  readonly unbondingDelay: number;
  /** Receipts whose root was committed, and when; 0: never. */
  readonly receipts: { readonly count: number; readonly committedAt: number };
  /** The chain's time. */
  readonly now: number;
}

/** Throws WalletRefusal. */
export async function readStanding(provider: Provider, facts: NetworkFacts, node: Address): Promise<Standing> {
  const { nodes, market, disputes } = facts.contracts;
  const registry = { address: nodes, abi: nodeRegistryAbi } as const;
  const [entry, minimumStake, delay, log, inRegistry, inMarket, inDisputes, head] = await Promise.all([
    entryOf(provider, nodes, node),
    read(provider, { ...registry, functionName: "minimumStake" }),
    read(provider, { ...registry, functionName: "unbondingDelay" }),
    read(provider, { address: market, abi: inferenceMarketAbi, functionName: "receiptLogOf", args: [node] }),
    read(provider, { ...registry, functionName: "balanceOf", args: [node] }),
    read(provider, { address: market, abi: inferenceMarketAbi, functionName: "balanceOf", args: [node] }),
    read(provider, { address: disputes, abi: disputeGameAbi, functionName: "balanceOf", args: [node] }),
    blockAt(provider, "latest"),
  ]);
  return {
    ...(entry ? { entry } : {}),
    owed: { nodes: inRegistry, market: inMarket, disputes: inDisputes },
    minimumStake,
    unbondingDelay: Number(delay),
    receipts: { count: Number(log.count), committedAt: Number(log.committedAt) },
    now: head?.timestamp ?? 0,
  };
}

async function entryOf(provider: Provider, address: Address, node: Address): Promise<NodeEntry | undefined> {
  try {
    const found = await read(provider, { address, abi: nodeRegistryAbi, functionName: "node", args: [node] });
    return { ...found, openGames: Number(found.openGames) };
  } catch (error) {
    if (reasonOf(nodeRegistryAbi, error)?.name === "NodeRegistry_Unknown") return undefined;
    throw error;
  }
}

export type Stage = "unknown" | "active" | "leaving" | "left" | "convicted";

/** Where a node is between its registration and its end. */
export function stageOf({ entry }: Standing): Stage {
  if (!entry) return "unknown";
  if (entry.convicted) return "convicted";
  if (entry.unbondableAfter === 0) return "active";
  return entry.stake === 0n ? "left" : "leaving";
}
