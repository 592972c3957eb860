import { getAddress, isAddress, type Address } from "viem";
import type { NetworkFacts } from "../../chain/network";
import { kept } from "../../kept";

/** The chain and the contract in which a node looks for its stake. */
export interface NamedRegistry {
  readonly chainId: number;
  readonly registry: Address;
}

const KEY = "nexus.registry.";

/** What a gateway says. */
export function gatewayNames({ chainId, contracts }: NetworkFacts): NamedRegistry {
  return { chainId, registry: contracts.nodes };
}

/** Whether both mean one contract: the same address on another chain is another contract. */
export function areSame(one: NamedRegistry, other: NamedRegistry): boolean {
  return one.chainId === other.chainId && one.registry === other.registry;
}

/** What a node said, as its operator pasted it here. None where nobody did. */
export function keptRegistry(node: Address): NamedRegistry | undefined {
  const [chain = "", registry = ""] = (kept.read(KEY + node) ?? "").split(" ");
  if (!/^\d{1,15}$/.test(chain) || !isAddress(registry, { strict: false })) return undefined;
  return { chainId: Number(chain), registry: getAddress(registry) };
}

export function keepRegistry(node: Address, { chainId, registry }: NamedRegistry): void {
  kept.write(KEY + node, `${chainId} ${registry}`);
}
