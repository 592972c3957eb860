/** What came of recomputing an answer in this browser. */
export interface Verdict {
  /** `unknown`: it was not recomputed (the model is too large, its files do not fit its root); `reason` says why. */
  readonly outcome: "right" | "wrong" | "unknown";
  readonly reason?: string;
  /** Who signed what is wrong; none where nobody signed it: then the gateway altered the answer. */
  readonly fault?: Fault;
  /** Root of the model's weights that were recomputed with: compare it with the chain's. */
  readonly weightsRoot?: string;
  /** Tokens that were recomputed, of prompt and answer. */
  readonly tokens: number;
  readonly milliseconds: number;
}

export interface Fault {
  readonly node: string;
  /** Layers [start, end) of the receipt. */
  readonly layers: readonly [number, number];
  /** First wrong position; `isExact` is false where only the receipt is known to be wrong, not the place in it. */
  readonly position: number;
  readonly isExact: boolean;
}
