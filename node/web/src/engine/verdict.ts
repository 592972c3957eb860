import type { Fragment } from "./judgement";
import type { Step } from "./papers";

/** What came of recomputing an answer in this browser. */
export interface Verdict {
  /** `unknown`: it was not recomputed (the model is too large, its files do not fit its root); `reason` says why. */
  readonly outcome: "right" | "wrong" | "unknown";
  readonly reason?: string;
  /**
   * Who signed an output that its own input does not give; none where no node did: then the papers are false, or the
   * gateway altered the answer, and `reason` says how. The node's key is the one that the answer file names, unless
   * the chain's were given.
   */
  readonly fault?: Fault;
  /** Root of the model's weights that were recomputed with: compare it with the chain's. */
  readonly weightsRoot?: string;
  /** Id of the model version that the order names, which binds that root, the program's and the tokenizer's. */
  readonly modelVersion?: string;
  /** The prompt that was judged, control tokens by their names: compare it with what was sent. */
  readonly prompt?: string;
  /** What the signed order fixes: compare it with what was sent. */
  readonly order?: JudgedOrder;
  /**
   * Whether the answer ends where one may end: at a control token, at a stop text, at the order's most tokens or at the
   * end of the context. A gateway that ends it elsewhere keeps what the rest would have cost.
   */
  readonly isComplete?: boolean;
  /** The numbered steps, 1 to 6, and the verdict on each receipt. */
  readonly steps?: readonly Step[];
  readonly fragments?: readonly Fragment[];
  /** Tokens that were recomputed, of prompt and answer. */
  readonly tokens: number;
  readonly milliseconds: number;
}

/** `samplingSeed`: 32 bytes. `sampling`: log2(e)/temperature in Q16, 0 for greedy. */
export interface JudgedOrder {
  readonly samplingSeed: `0x${string}`;
  readonly sampling: number;
  readonly maxTokens: number;
}

export interface Fault {
  readonly node: string;
  /** Layers [start, end) of the receipt. */
  readonly layers: readonly [number, number];
  /** First wrong position; `isExact` is false where only the receipt is known to be wrong, not the place in it. */
  readonly position: number;
  readonly isExact: boolean;
}

/** The place of the earliest lie of a node, from all receipts of it that are wrong. */
export function faultOf(accused: Fragment, fragments: readonly Fragment[]): Fault {
  const { node, segment, layers } = accused;
  const places = fragments.filter((one) => one.node === node && one.segment === segment && one.toBlame);
  const exact = places.find((one) => one.exact) ?? accused;
  return { node, layers, position: exact.firstDifference ?? exact.from, isExact: exact.exact };
}
