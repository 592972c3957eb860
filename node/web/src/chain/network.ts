import { getAddress, isAddress, type Address } from "viem";
import { askJson, GatewayError } from "../api/gateway";

/** Where a gateway's callers put in money: the contract, who may claim, and its notice in seconds. */
export interface DepositTerms {
  readonly contract: Address;
  readonly block: number;
  readonly operator: Address;
  readonly notice: number;
}

/** What the gateway says of its chain. Addresses are checksummed; amounts are not told, the chain is asked. */
export interface NetworkFacts {
  readonly chainId: number;
  readonly name: string;
  readonly rpcUrls: readonly string[];
  readonly currency: { readonly name: string; readonly symbol: string; readonly decimals: number };
  readonly contracts: { readonly nodes: Address; readonly market: Address; readonly disputes: Address };
  readonly block: number;
  /** Blocks, its own included, after which a deposit counts. */
  readonly confirmations: number;
  readonly deposits?: DepositTerms;
  readonly signIn: boolean;
  /** Origins of gateways that recompute this one's answers for its readers. */
  readonly verifiers: readonly string[];
}

let asked: Promise<NetworkFacts> | undefined;

/** The gateway's chain, asked for once. Throws GatewayError; the next call then asks again. */
export function networkFacts(): Promise<NetworkFacts> {
  asked ??= askJson<unknown>("/page/network").then(factsOf);
  asked.catch(() => (asked = undefined));
  return asked;
}

/** Read what was said strictly: a gateway is a stranger. Throws GatewayError. */
export function factsOf(said: unknown): NetworkFacts {
  const found = record(said);
  const contracts = record(found["contracts"]);
  const currency = record(found["currency"]);
  const deposits = found["deposits"];
  return {
    chainId: whole(found["chain_id"], 1),
    name: text(found["name"]),
    rpcUrls: list(found["rpc_urls"]).map(text).filter(isWebAddress),
    currency: { name: text(currency["name"]), symbol: text(currency["symbol"]), decimals: whole(currency["decimals"]) },
    contracts: {
      nodes: address(contracts["node_registry"]),
      market: address(contracts["inference_market"]),
      disputes: address(contracts["dispute_game"]),
    },
    block: whole(found["block"]),
    confirmations: Math.max(1, whole(found["confirmations"])),
    ...(deposits == null ? {} : { deposits: depositsOf(record(deposits)) }),
    signIn: found["sign_in"] === true,
    // A gateway of an earlier version says nothing of them.
    verifiers: list(found["verifiers"] ?? [])
      .map(text)
      .filter(isOrigin),
  };
}

function depositsOf(said: Record<string, unknown>): DepositTerms {
  return {
    contract: address(said["contract"]),
    block: whole(said["block"]),
    operator: address(said["operator"]),
    notice: whole(said["notice"]),
  };
}

function isWebAddress(url: string): boolean {
  return /^https?:\/\/[^\s@]+$/.test(url);
}

function isOrigin(url: string): boolean {
  return /^https?:\/\/[a-z0-9.-]+(:\d{1,5})?$/.test(url);
}

function record(said: unknown): Record<string, unknown> {
  if (typeof said !== "object" || said === null || Array.isArray(said)) throw malformed();
  return said as Record<string, unknown>;
}

function list(said: unknown): unknown[] {
  if (!Array.isArray(said)) throw malformed();
  return said;
}

function text(said: unknown): string {
  if (typeof said !== "string" || said.length > 200) throw malformed();
  return said;
}

function whole(said: unknown, least = 0): number {
  if (typeof said !== "number" || !Number.isSafeInteger(said) || said < least) throw malformed();
  return said;
}

function address(said: unknown): Address {
  if (typeof said !== "string" || !isAddress(said, { strict: false })) throw malformed();
  return getAddress(said);
}

function malformed(): GatewayError {
  return new GatewayError("the gateway's words about its chain cannot be read", 200, "malformed");
}
