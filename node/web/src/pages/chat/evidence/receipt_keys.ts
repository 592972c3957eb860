import { getAddress, isAddress, zeroAddress, type Address } from "viem";
import { nodeRegistryAbi } from "../../../chain/abis";
import { read } from "../../../chain/calls";
import { networkFacts } from "../../../chain/network";
import { connection } from "../../../wallet/connection";

/**
 * Receipt keys of the nodes that an answer file names, as the registry has them: read through the reader's own wallet,
 * so that no gateway can sign in a node's name. None without a wallet on the gateway's chain: then the file's own count,
 * and the page says so.
 *
 * `proof`: the answer file, from a stranger. Throws WalletRefusal and GatewayError.
 */
export async function keysOnChain(proof: unknown): Promise<Record<Address, Address> | undefined> {
  const here = connection.value;
  if (!here) return undefined;
  const { chainId, contracts } = await networkFacts();
  if (here.chainId !== chainId) return undefined;
  const found: Record<Address, Address> = {};
  for (const node of nodesOf(proof)) {
    const call = { address: contracts.nodes, abi: nodeRegistryAbi, functionName: "node", args: [node] } as const;
    const { receiptKey } = await read(here.wallet.provider, call);
    // A node that is not registered has no key, so nothing that it signed counts.
    found[node] = receiptKey ?? zeroAddress;
  }
  return found;
}

const NODES_AT_MOST = 64;

function nodesOf(proof: unknown): Address[] {
  const keys = (proof as { receiptKeys?: unknown } | null)?.receiptKeys;
  if (typeof keys !== "object" || keys === null) return [];
  return Object.keys(keys)
    .filter((node) => isAddress(node))
    .slice(0, NODES_AT_MOST)
    .map((node) => getAddress(node));
}
