import { GatewayError } from "../api/gateway";
import module from "./engine.wasm?url";
import { GatewaySource } from "./gateway_source";
import type { VerifyAsked, WorkerSaid } from "./messages";
import { Verifier } from "./verification";

const PROGRESS_MILLISECONDS = 50;

const verifier = new Verifier();
/** One at a time: they share the kernels' memory. */
let last: Promise<void> = Promise.resolve();

function say(said: WorkerSaid): void {
  postMessage(said);
}

async function verify({ id, evidence, model }: VerifyAsked): Promise<void> {
  let said = 0;
  const progress = (done: number, total: number): void => {
    if (performance.now() - said < PROGRESS_MILLISECONDS) return;
    said = performance.now();
    say({ id, kind: "progress", done, total });
  };
  try {
    const verdict = await verifier.verify(evidence, new GatewaySource(model, module), progress);
    say({ id, kind: "verdict", verdict });
  } catch (error) {
    if (error instanceof GatewayError) {
      say({ id, kind: "gateway", message: error.message, status: error.status, code: error.code });
    } else {
      say({ id, kind: "error", message: String(error) });
    }
  }
}

addEventListener("message", ({ data }: MessageEvent<VerifyAsked>) => {
  last = last.then(() => verify(data));
});
