import { getAddress, isAddress, type Address, type Hex } from "viem";
import type { NamedRegistry } from "./named_registry";

/** What `nexus-node identity` prints: what the registry has to hold so that this machine can serve for an account. */
export interface NodeIdentity {
  readonly node: Address;
  /** Pays the gas of what the machine sends by itself. */
  readonly wallet: Address;
  readonly receiptKey: Address;
  readonly tlsKeyHash: Hex;
  readonly endpoint: string;
  /** Where the machine will look for its stake; none where its program is too old to say. */
  readonly registry?: NamedRegistry;
  readonly modelVersion?: Hex;
  /** Layers [start, end). */
  readonly layers?: readonly [number, number];
  /** Wei for a token over its layers, decimal. */
  readonly price?: string;
}

const LONGEST_ENDPOINT = 256;

/** Read what was pasted. None where it is not what the command prints. */
export function identityOf(pasted: string): NodeIdentity | undefined {
  let found: Record<string, unknown>;
  try {
    found = JSON.parse(pasted) as Record<string, unknown>;
  } catch {
    return undefined;
  }
  if (typeof found !== "object" || found === null) return undefined;
  const { node, wallet, receipt_key: receiptKey, tls_key_hash: tlsKeyHash, endpoint } = found;
  if (![node, wallet, receiptKey].every(isOurs) || !isHash(tlsKeyHash) || !isEndpoint(endpoint)) return undefined;
  const { model_version: version, layers, price, chain_id: chainId, node_registry: registry } = found;
  // Half of it, or what cannot be one, is no word of the program: whoever changed it is not to be believed.
  const saysWhere = chainId !== undefined || registry !== undefined;
  if (saysWhere && (!isChain(chainId) || !isOurs(registry))) return undefined;
  return {
    node: getAddress(node as string),
    wallet: getAddress(wallet as string),
    receiptKey: getAddress(receiptKey as string),
    tlsKeyHash,
    endpoint,
    ...(saysWhere ? { registry: { chainId: chainId as number, registry: getAddress(registry as string) } } : {}),
    ...(isHash(version) ? { modelVersion: version } : {}),
    ...(isLayers(layers) ? { layers } : {}),
    ...(typeof price === "string" && /^\d{1,38}$/.test(price) ? { price } : {}),
  };
}

function isOurs(value: unknown): boolean {
  return typeof value === "string" && isAddress(value, { strict: false });
}

function isChain(value: unknown): boolean {
  return typeof value === "number" && Number.isSafeInteger(value) && value > 0;
}

export function isHash(value: unknown): value is Hex {
  return typeof value === "string" && /^0x[0-9a-fA-F]{64}$/.test(value) && !/^0x0+$/.test(value);
}

export function isEndpoint(value: unknown): value is string {
  if (typeof value !== "string" || value.length > LONGEST_ENDPOINT) return false;
  const found = /^([A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\]):(\d{1,5})$/.exec(value);
  return found !== null && Number(found[2]) > 0 && Number(found[2]) < 65_536;
}

function isLayers(value: unknown): value is readonly [number, number] {
  if (!Array.isArray(value) || value.length !== 2) return false;
  const [start, end] = value as [unknown, unknown];
  if (!Number.isSafeInteger(start) || !Number.isSafeInteger(end)) return false;
  return (start as number) >= 0 && (start as number) < (end as number);
}
