import type { Verdict } from "./verdict";

export interface Verification {
  /** The `proof` of `/v1/receipts/ID`: the answer file that `nexus verify` takes. */
  readonly proof: unknown;
  /** The text that was shown to the reader: what is verified is what was read. */
  readonly text: string;
  /** The model by its name at the gateway. */
  readonly model: string;
  /** Called with done and total, in work that is about proportional to time. */
  readonly progress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/** Recompute an answer in a worker of this browser. Throws GatewayError where the model's files cannot be had. */
export async function verifyInBrowser(_: Verification): Promise<Verdict> {
  return { outcome: "unknown", reason: "this build has no engine", tokens: 0, milliseconds: 0 };
}
