import { getAddress, isAddress, type Address } from "viem";

import { PaperError, signedDocument } from "./documents";
import type { AuditOrder, Domain, Order, Receipt, Signed, TokenFeed } from "./documents";
import { UnjudgeableError } from "./errors";

/** One answer's evidence: the twin of InferenceProof in nexus_chain/evidence/proof.py. */
export interface AnswerFile {
  readonly order: Signed<Order>;
  /** The session key's address. */
  readonly signer: Address;
  readonly promptLength: number;
  /** The prompt's, then the sampled ones. */
  readonly tokens: readonly number[];
  readonly receipts: readonly Signed<Receipt>[];
  readonly feeds: readonly Signed<TokenFeed>[];
  readonly audits: readonly Signed<AuditOrder>[];
  /** The key that is registered for each node, by address. */
  readonly receiptKeys: ReadonlyMap<Address, Address>;
  /** Leaf hashes (hex) of the rows that each segment put out. */
  readonly leaves: readonly (readonly string[])[];
}

const FORMAT = "nexus.answer.v1";
const MOST_TOKENS = 16_384;

/** The answer file that a gateway gave. Throws UnjudgeableError for anything else. */
export function parseAnswerFile(data: unknown): AnswerFile {
  try {
    return answerOf(record(data, "it"));
  } catch (error) {
    if (!(error instanceof PaperError)) throw error;
    throw new UnjudgeableError(`this is not an answer file (${error.message})`);
  }
}

function answerOf(data: Readonly<Record<string, unknown>>): AnswerFile {
  if (data.format !== FORMAT) throw new PaperError(`its format is not ${FORMAT}`);
  const domain: Domain = { chainId: chainOf(data.chainId), market: address(data.market, "market") };
  const promptLength = whole(data.promptLength, "promptLength");
  const tokens = list(data.tokens, "tokens").map((token) => whole(token, "tokens"));
  const areTokens = tokens.length <= MOST_TOKENS && tokens.every((token) => token === (token | 0));
  if (promptLength < 1 || promptLength > tokens.length || !areTokens) {
    throw new PaperError("the tokens are not a prompt and its continuation");
  }
  const signed = <Document>(kind: Parameters<typeof signedDocument>[0], found: unknown): Signed<Document>[] =>
    list(found, kind).map((item) => signedDocument<Document>(kind, item, domain));
  const keys = Object.entries(record(data.receiptKeys, "receiptKeys"));
  return {
    order: signedDocument<Order>("Order", data.order, domain),
    signer: address(data.signer, "signer"),
    promptLength,
    tokens,
    receipts: signed<Receipt>("Receipt", data.receipts),
    feeds: signed<TokenFeed>("TokenFeed", data.feeds),
    audits: signed<AuditOrder>("AuditOrder", data.audits ?? []),
    receiptKeys: new Map(keys.map(([node, key]) => [address(node, "receiptKeys"), address(key, "receiptKeys")])),
    leaves: list(data.leaves, "leaves").map((boundary) => list(boundary, "leaves").map(leafOf)),
  };
}

function chainOf(value: unknown): bigint {
  const found = whole(value, "chainId");
  if (found < 0) throw new PaperError("chainId is negative");
  return BigInt(found);
}

function address(value: unknown, field: string): Address {
  if (typeof value !== "string" || !isAddress(value)) throw new PaperError(`${field} is no address`);
  return getAddress(value);
}

function leafOf(value: unknown): string {
  if (typeof value !== "string" || !/^[0-9a-f]{64}$/.test(value)) throw new PaperError("leaves are malformed");
  return value;
}

function record(value: unknown, field: string): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new PaperError(`${field} is no object`);
  return value as Record<string, unknown>;
}

function list(value: unknown, field: string): readonly unknown[] {
  if (!Array.isArray(value)) throw new PaperError(`${field} is no list`);
  return value;
}

function whole(value: unknown, field: string): number {
  if (!Number.isSafeInteger(value)) throw new PaperError(`${field} is no integer`);
  return value as number;
}
