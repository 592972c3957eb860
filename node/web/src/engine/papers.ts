import { hexToBytes, toHex, type Address, type Hex } from "viem";

import type { AnswerFile } from "./answer_file";
import { PaperError, requireSigner } from "./documents";
import type { AuditOrder, Receipt, Signed, TokenFeed } from "./documents";
import { commitTokens } from "./tensor_root";

/** One numbered step of a verification; `reason` says why it failed. */
export interface Step {
  readonly number: number;
  readonly name: string;
  readonly passed: boolean;
  readonly reason: string;
}

/** What the papers say, before anything is recomputed: steps 1 to 5 of nexus_chain/evidence/verify.py. */
export async function checkPapers(answer: AnswerFile): Promise<Step[]> {
  const checks: [string, () => void | Promise<void>][] = [
    ["order", () => checkOrder(answer)],
    ["receipts", () => checkReceipts(answer)],
    ["links", () => checkLinks(answer)],
    ["coverage", () => checkCoverage(answer)],
    ["tokens", () => checkTokens(answer)],
  ];
  const steps: Step[] = [];
  for (const [at, [name, check]] of checks.entries()) {
    const reason = await reasonOf(check);
    steps.push({ number: at + 1, name, passed: reason === undefined, reason: reason ?? "" });
  }
  return steps;
}

/** Root of the answer's first `to` tokens under its order's salt. */
export function tokenRoot(answer: AnswerFile, to: number): Hex {
  return rootOfTokens(answer, answer.tokens.slice(0, to));
}

export function rootOfTokens(answer: AnswerFile, tokens: readonly number[]): Hex {
  return toHex(commitTokens(tokens, hexToBytes(answer.order.document.salt)));
}

/** Throws PaperError unless the receipt follows from the order and its node's key signed it. */
export async function checkReceipt(answer: AnswerFile, signed: Signed<Receipt>, key: Address): Promise<void> {
  await requireSigner(signed, key);
  const { document: receipt } = signed;
  const { document: order, digest } = answer.order;
  if (receipt.orderDigest !== digest) throw new PaperError("the receipt is for another order");
  const ask = order.asks[receipt.segment];
  if (!ask) throw new PaperError(`the order has no segment ${receipt.segment}`);
  const last = answer.promptLength + order.maxTokens - 1;
  if (!(receipt.from < receipt.to && receipt.to <= last) || receipt.to < answer.promptLength) {
    throw new PaperError(`positions ${receipt.from}-${receipt.to} are not in an order of ${last}`);
  }
  const billed = receipt.to - receipt.from;
  let price = ask.weiPerToken * BigInt(billed);
  for (const audit of answer.audits) {
    if (receipt.predecessors.length !== 1 || receipt.predecessors[0] !== audit.digest) continue;
    checkAudit(receipt, audit.document);
    price = audit.document.price;
  }
  if (receipt.price !== price) {
    throw new PaperError(`${receipt.price} wei are billed for ${billed} positions, not ${price}`);
  }
}

async function reasonOf(check: () => void | Promise<void>): Promise<string | undefined> {
  try {
    await check();
    return undefined;
  } catch (error) {
    if (error instanceof PaperError) return error.message;
    throw error;
  }
}

async function checkOrder(answer: AnswerFile): Promise<void> {
  await requireSigner(answer.order, answer.signer);
  if (tokenRoot(answer, answer.promptLength) !== answer.order.document.promptRoot) {
    throw new PaperError("the prompt in the file is not the one that was ordered");
  }
}

async function checkReceipts(answer: AnswerFile): Promise<void> {
  if (answer.receipts.length === 0) throw new PaperError("there are no receipts");
  for (const signed of answer.receipts) {
    const key = answer.receiptKeys.get(signed.document.node);
    if (!key) throw new PaperError(`no receipt key is known for node ${signed.document.node}`);
    await checkReceipt(answer, signed, key);
  }
}

function checkAudit(receipt: Receipt, audit: AuditOrder): void {
  const isBought =
    receipt.orderDigest === audit.orderDigest &&
    receipt.node === audit.node &&
    receipt.segment === audit.segment &&
    receipt.to === audit.to &&
    receipt.inRoot === audit.inRoot;
  if (!isBought) throw new PaperError("the receipt is not what the audit order that it names has bought");
}

async function checkLinks(answer: AnswerFile): Promise<void> {
  const vouching = new Map<Hex, Signed<Receipt> | Signed<TokenFeed>>();
  for (const signed of answer.receipts) vouching.set(signed.digest, signed);
  for (const feed of answer.feeds) {
    await requireSigner(feed, answer.signer);
    vouching.set(feed.digest, feed);
  }
  // An audit's receipt has no place in the chain: the session key vouches for its rows in.
  const bought = new Set<Hex>();
  for (const audit of answer.audits) {
    await requireSigner(audit, answer.signer);
    bought.add(audit.digest);
  }
  for (const { document: receipt } of answer.receipts) {
    if (receipt.predecessors.length === 0) checkPrompt(answer, receipt);
    else if (receipt.predecessors.every((digest) => bought.has(digest))) continue;
    for (const digest of receipt.predecessors) {
      const predecessor = vouching.get(digest);
      if (!predecessor) {
        throw new PaperError(`a predecessor of segment ${receipt.segment} at ${receipt.to} is missing`);
      }
      checkLink(receipt, predecessor);
    }
  }
}

function checkPrompt(answer: AnswerFile, receipt: Receipt): void {
  const isPrompts = receipt.segment === 0 && receipt.to === answer.promptLength;
  if (!isPrompts || receipt.inRoot !== answer.order.document.promptRoot) {
    throw new PaperError("segment 0 did not work on the order's prompt");
  }
}

function checkLink(receipt: Receipt, { document }: Signed<Receipt> | Signed<TokenFeed>): void {
  const [segment, root] = "outRoot" in document ? [document.segment + 1, document.outRoot] : [0, document.root];
  const isSame = receipt.orderDigest === document.orderDigest && receipt.to === document.to;
  if (!isSame || receipt.segment !== segment || receipt.inRoot !== root) {
    throw new PaperError(`segment ${receipt.segment} did not work on its predecessor's rows up to ${receipt.to}`);
  }
}

function checkCoverage(answer: AnswerFile): void {
  const fed = answer.tokens.length - 1;
  answer.order.document.asks.forEach((_, segment) => {
    const reaches = answer.receipts
      .filter(({ document }) => document.segment === segment)
      .map(({ document }) => document.to);
    const reach = Math.max(0, ...reaches);
    if (reach < fed) throw new PaperError(`segment ${segment} vouches for ${reach} of ${fed} positions`);
  });
}

function checkTokens(answer: AnswerFile): void {
  const last = answer.order.document.asks.length - 1;
  for (const { document: receipt } of answer.receipts) {
    if (receipt.segment === last && receipt.outRoot !== tokenRoot(answer, receipt.to + 1)) {
      throw new PaperError(`the last segment's receipt at ${receipt.to} is not over the tokens in the file`);
    }
  }
}
