import { GatewayError, ask } from "../../../api/gateway";
import { mostBeside } from "../../../chain/publisher_share";

/** What is shown beside an answer of its receipts. Amounts are wei, decimal. */
export interface Evidence {
  readonly costWei: string;
  readonly nodesWei: string;
  readonly vaultWei: string;
  /** What the version's publisher gets beside them; none: nothing. */
  readonly publisherWei?: string;
  /** Gas and fee, which the gateway takes. */
  readonly gatewayWei: string;
  /** What nodes and vault may take for the order, as the session's key signed it; audits come on top. */
  readonly mostWei: string;
  readonly audits: number;
  readonly order: string;
  readonly session: string;
  readonly version: string;
  readonly receipts: number;
  readonly failovers: number;
  readonly promptTokens: number;
  readonly answerTokens: number;
  readonly route: readonly RouteSegment[];
}

/** Layers [start, end), and who ran them: several nodes where one had to stand in for another. */
export interface RouteSegment {
  readonly layers: readonly [number, number];
  readonly nodes: readonly { readonly node: string; readonly receipts: number; readonly priceWei: string }[];
}

export interface Receipts {
  readonly evidence: Evidence;
  /** The answer file, as `nexus verify` takes it. */
  readonly proof: unknown;
  /** What the gateway found where it recomputed the answer itself; none where it did not. */
  readonly passed: boolean | undefined;
}

/** Milliseconds between two looks: the bill of an answer that its reader ended is written a moment later. */
const PATIENCE = [300, 1000, 2500];

/** The receipts of an answer. Throws GatewayError, also where they are not what receipts look like. */
export async function receiptsOf(id: string, signal?: AbortSignal): Promise<Receipts> {
  for (const wait of [...PATIENCE, 0]) {
    try {
      const response = await ask(`/v1/receipts/${id}`, signal ? { signal } : {});
      return readReceipts(await response.text(), id);
    } catch (error) {
      if (!(error instanceof GatewayError && error.status === 404) || wait === 0) throw error;
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }
  throw new Error("unreachable");
}

/** Receipts from their JSON text. Throws GatewayError. */
export function readReceipts(text: string, id: string): Receipts {
  try {
    const found = record(JSON.parse(text));
    if (found["id"] !== id) throw new Error("another answer's");
    return { evidence: evidenceOf(found), proof: found["proof"], passed: passedIn(found["verification"]) };
  } catch {
    throw new GatewayError("the gateway's receipts cannot be read", 200, "malformed");
  }
}

function evidenceOf(found: Record<string, unknown>): Evidence {
  const bill = record(found["bill_wei"]);
  const proof = record(found["proof"]);
  const order = record(record(proof["order"])["document"]);
  const asks = list(order["asks"]).map(record);
  const receipts = list(found["receipts"]).map(record);
  const promptTokens = count(proof["promptLength"]);
  return {
    costWei: wei(found["cost_wei"]),
    nodesWei: wei(bill["nodes"]),
    vaultWei: wei(bill["vault"]),
    ...(bill["publisher"] === undefined ? {} : { publisherWei: wei(bill["publisher"]) }),
    gatewayWei: String(BigInt(wei(bill["gas"])) + BigInt(wei(bill["fee"]))),
    // Documents write whole numbers above 2^53 as decimal texts.
    mostWei: wei(String(order["maxPrice"])),
    audits: list(found["audits"]).length,
    order: hash(found["order"]),
    session: hash(found["session"]),
    version: hash(found["model_version"]),
    receipts: receipts.length,
    failovers: list(found["failovers"]).length,
    promptTokens,
    answerTokens: Math.max(0, list(proof["tokens"]).length - promptTokens),
    route: asks.map((ask, segment) => ({
      layers: [count(ask["layerStart"]), count(ask["layerEnd"])],
      nodes: nodesOf(receipts.filter((one) => one["segment"] === segment)),
    })),
  };
}

function passedIn(verification: unknown): boolean | undefined {
  const { passed } = (verification ?? {}) as { passed?: unknown };
  return typeof passed === "boolean" ? passed : undefined;
}

function nodesOf(receipts: readonly Record<string, unknown>[]): RouteSegment["nodes"] {
  const found = new Map<string, { receipts: number; price: bigint }>();
  for (const receipt of receipts) {
    const node = address(receipt["node"]);
    const before = found.get(node) ?? { receipts: 0, price: 0n };
    const price = before.price + BigInt(wei(receipt["price_wei"]));
    found.set(node, { receipts: before.receipts + 1, price });
  }
  return [...found].map(([node, { receipts: number, price }]) => ({ node, receipts: number, priceWei: String(price) }));
}

/** What a gateway that tells the truth does not say: a bill that does not add up or is too high, another version. */
export type Oddity = "bill" | "price" | "version";

/** `version`: what the gateway said that the model is when it was asked. */
export function odditiesOf(evidence: Evidence, version: string): Oddity[] {
  const wei = (amount: string) => BigInt(amount);
  const network = wei(evidence.nodesWei) + wei(evidence.vaultWei);
  const found: Oddity[] = [];
  const publisher = wei(evidence.publisherWei ?? "0");
  if (wei(evidence.costWei) !== network + publisher + wei(evidence.gatewayWei)) found.push("bill");
  // A gateway could say that what it keeps itself is the publisher's.
  const isTooHigh = (evidence.audits === 0 && network > wei(evidence.mostWei)) || publisher > mostBeside(network);
  if (isTooHigh) found.push("price");
  if (version.toLowerCase() !== evidence.version.toLowerCase()) found.push("version");
  return found;
}

function record(found: unknown): Record<string, unknown> {
  if (typeof found !== "object" || found === null || Array.isArray(found)) throw new Error("no object");
  return found as Record<string, unknown>;
}

function list(found: unknown): readonly unknown[] {
  if (!Array.isArray(found)) throw new Error("no list");
  return found;
}

function count(found: unknown): number {
  if (!Number.isSafeInteger(found) || (found as number) < 0) throw new Error("no count");
  return found as number;
}

function wei(found: unknown): string {
  if (typeof found !== "string" || !/^\d{1,78}$/.test(found)) throw new Error("no amount");
  return found;
}

function hash(found: unknown): string {
  if (typeof found !== "string" || !/^0x[0-9a-fA-F]{64}$/.test(found)) throw new Error("no hash");
  return found;
}

function address(found: unknown): string {
  if (typeof found !== "string" || !/^0x[0-9a-fA-F]{40}$/.test(found)) throw new Error("no address");
  return found;
}
