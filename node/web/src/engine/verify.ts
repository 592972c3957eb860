import { GatewayError } from "../api/gateway";
import { ownScript } from "../trusted";
import type { VerifyAsked, WorkerSaid } from "./messages";
import type { Evidence } from "./verification";
import type { Verdict } from "./verdict";
import script from "./worker?worker&url";

export interface Verification {
  /** The `proof` of `/v1/receipts/ID`: the answer file that `nexus verify` takes. */
  readonly proof: unknown;
  /** The text that was shown to the reader: what is verified is what was read. */
  readonly text: string;
  /** The model by its name at the gateway. */
  readonly model: string;
  /** Texts that the request said end an answer; they are no part of it. */
  readonly stops?: readonly string[];
  /** Receipt keys of nodes (by address) as the chain has them; without them the answer file's own are believed. */
  readonly receiptKeys?: Evidence["receiptKeys"];
  /** Called with done and total, in work that is about proportional to time. */
  readonly progress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

let worker: Worker | undefined;
let asked = 0;
let waiting = 0;

/**
 * Recompute an answer in a worker of this browser. Throws GatewayError where the model's files cannot be had, and the
 * signal's reason where it is aborted.
 */
export function verifyInBrowser(verification: Verification): Promise<Verdict> {
  const { signal, progress } = verification;
  if (signal?.aborted) return Promise.reject(signal.reason);
  const using = (worker ??= new Worker(ownScript(new URL(script, location.href)), { type: "module" }));
  const id = ++asked;
  waiting++;
  return new Promise((resolve, reject) => {
    const end = (): void => {
      waiting--;
      using.removeEventListener("message", listen);
      using.removeEventListener("error", fail);
      signal?.removeEventListener("abort", abort);
    };
    const listen = ({ data }: MessageEvent<WorkerSaid>): void => {
      if (data.id !== id) return;
      if (data.kind === "progress") return progress?.(data.done, data.total);
      end();
      if (data.kind === "verdict") resolve(data.verdict);
      else if (data.kind === "gateway") reject(new GatewayError(data.message, data.status, data.code));
      else reject(new Error(data.message));
    };
    const fail = (): void => {
      end();
      stop(using);
      reject(new Error("the browser ended the verification; it may have too little memory"));
    };
    const abort = (): void => {
      end();
      // A recomputation hears nothing while it runs; where others wait behind it, nobody waits for its end.
      if (waiting === 0) stop(using);
      reject(signal?.reason);
    };
    using.addEventListener("message", listen);
    using.addEventListener("error", fail);
    signal?.addEventListener("abort", abort);
    using.postMessage({ id, evidence: evidenceOf(verification), model: verification.model } satisfies VerifyAsked);
  });
}

/** End a worker; the next verification starts another. */
function stop(ended: Worker): void {
  ended.terminate();
  if (worker === ended) worker = undefined;
}

function evidenceOf({ proof, text, stops = [], receiptKeys }: Verification): Evidence {
  return { proof, text, stops, ...(receiptKeys ? { receiptKeys } : {}) };
}
