import { hexToBytes, toHex, type Hex } from "viem";

import type { AnswerFile } from "./answer_file";
import { PaperError } from "./documents";
import type { Receipt, Signed } from "./documents";
import { checkReceipt, rootOfTokens, tokenRoot } from "./papers";
import type { Recomputation } from "./recomputation";
import { tensorRoot } from "./tensor_root";
import { MerkleTree } from "./tree";

/** The verdict on one receipt: VerifiedFragment of nexus_chain/evidence/verify.py. */
export interface Fragment {
  readonly segment: number;
  /** Layers [start, end). */
  readonly layers: readonly [number, number];
  readonly node: string;
  readonly from: number;
  readonly to: number;
  readonly verified: boolean;
  readonly reason: string;
  /** First wrong position; exact only where `exact` says so, else the first that the receipt bills. */
  readonly firstDifference: number | null;
  readonly exact: boolean;
  /** Its input was right and its output is wrong. */
  readonly toBlame: boolean;
}

interface Difference {
  /** Null: the output root is right. */
  readonly position: number | null;
  readonly exact: boolean;
}

const NONE: Difference = { position: null, exact: true };

/** Every receipt compared with the recomputation, chunk by chunk, in each by segment. */
export function judgeReceipts(answer: AnswerFile, found: Recomputation): Fragment[] {
  return inOrder(answer.receipts).map(({ document: receipt }) => {
    const isRightInput = receipt.inRoot === rootOf(answer, found, receipt.segment - 1, receipt.to);
    const { position, exact } = outputDifference(answer, found, receipt);
    if (isRightInput && position === null) return fragment(answer, receipt, { verified: true });
    if (isRightInput) {
      const reason = `node ${receipt.node} signed an output that its input does not give`;
      return fragment(answer, receipt, { reason, firstDifference: position, exact, toBlame: true });
    }
    const reason = "it worked on rows that are not the program's: see its predecessor";
    return fragment(answer, receipt, { reason, firstDifference: position ?? receipt.from, exact });
  });
}

/**
 * Of each liar its earliest wrong receipt. Whoever made the file is a stranger: only receipts count that their nodes
 * signed and that follow from the order, and only over the prompt that the session key ordered. The twin of
 * nexus_chain/evidence/judgement.py.
 */
export async function accusations(answer: AnswerFile, fragments: readonly Fragment[]): Promise<Fragment[]> {
  if (tokenRoot(answer, answer.promptLength) !== answer.order.document.promptRoot) return [];
  const accused = new Map<string, Fragment>();
  for (const [at, signed] of inOrder(answer.receipts).entries()) {
    const judged = fragments[at]!;
    if (!judged.toBlame || accused.has(judged.node)) continue;
    if (await isUsable(answer, signed)) accused.set(judged.node, judged);
  }
  return [...accused.values()];
}

async function isUsable(answer: AnswerFile, signed: Signed<Receipt>): Promise<boolean> {
  const key = answer.receiptKeys.get(signed.document.node);
  if (!key || signed.document.to >= answer.tokens.length) return false;
  try {
    await checkReceipt(answer, signed, key);
    return true;
  } catch (error) {
    if (error instanceof PaperError) return false;
    throw error;
  }
}

function inOrder(receipts: readonly Signed<Receipt>[]): Signed<Receipt>[] {
  return [...receipts].sort(
    ({ document: one }, { document: other }) => one.to - other.to || one.segment - other.segment,
  );
}

function fragment(answer: AnswerFile, receipt: Receipt, more: Partial<Fragment>): Fragment {
  const ask = answer.order.document.asks[receipt.segment];
  return {
    segment: receipt.segment,
    layers: ask ? [ask.layerStart, ask.layerEnd] : [0, 0],
    node: receipt.node,
    from: receipt.from,
    to: receipt.to,
    verified: false,
    reason: "",
    firstDifference: null,
    exact: false,
    toBlame: false,
    ...more,
  };
}

/** Root of what segment `boundary` put out (-1: of the tokens) up to `to`; none beyond what was recomputed. */
function rootOf(answer: AnswerFile, found: Recomputation, boundary: number, to: number): Hex | undefined {
  if (boundary < 0) return to <= answer.tokens.length ? tokenRoot(answer, to) : undefined;
  const rows = found.boundaries[boundary];
  return rows && to <= rows.length ? toHex(rows.root(to)) : undefined;
}

function outputDifference(answer: AnswerFile, found: Recomputation, receipt: Receipt): Difference {
  if (receipt.segment === answer.order.document.asks.length - 1) return tokenDifference(answer, found, receipt);
  if (receipt.outRoot === rootOf(answer, found, receipt.segment, receipt.to)) return NONE;
  return rowDifference(answer, found, receipt);
}

function tokenDifference(answer: AnswerFile, found: Recomputation, receipt: Receipt): Difference {
  // INVARIANT: the receipt is judged, not the tokens in the file: whoever made the file wrote those as it liked.
  const given = answer.promptLength;
  const right = [...answer.tokens.slice(0, given), ...found.sampled.slice(0, Math.max(0, receipt.to + 1 - given))];
  if (receipt.outRoot === rootOfTokens(answer, right)) return NONE;
  if (receipt.outRoot === tokenRoot(answer, receipt.to + 1)) {
    const most = Math.min(answer.tokens.length, right.length);
    for (let at = given; at < most; at++) {
      if (answer.tokens[at] !== right[at]) return { position: at - 1, exact: true };
    }
  }
  return { position: receipt.from, exact: false };
}

/** Compare leaf by leaf where the file's leaves are really those behind the receipt's root. */
function rowDifference(answer: AnswerFile, found: Recomputation, receipt: Receipt): Difference {
  const unknown = { position: receipt.from, exact: false };
  const rows = found.boundaries[receipt.segment];
  const theirs = answer.leaves[receipt.segment] ?? [];
  if (!rows || theirs.length !== rows.leaves.length || receipt.to !== rows.length) return unknown;
  const tree = new MerkleTree(theirs.map((leaf) => hexToBytes(`0x${leaf}`)));
  const salt = hexToBytes(answer.order.document.salt);
  if (toHex(tensorRoot("i32", [rows.length, rows.width], tree.root(), salt)) !== receipt.outRoot) return unknown;
  const leaf = rows.leaves.findIndex((ours, at) => toHex(ours) !== `0x${theirs[at]}`);
  return leaf < 0 ? unknown : { position: rows.firstRowOf(leaf), exact: rows.rowsPerLeaf === 1 };
}
