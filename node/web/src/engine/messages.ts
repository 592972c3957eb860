import type { Evidence } from "./verification";
import type { Verdict } from "./verdict";

/** What the page asks of its worker. */
export interface VerifyAsked {
  readonly id: number;
  readonly evidence: Evidence;
  /** The model by its name at the gateway. */
  readonly model: string;
}

/** What the worker says of what it was asked: how far it is, and how it ended. */
export type WorkerSaid =
  | { readonly id: number; readonly kind: "progress"; readonly done: number; readonly total: number }
  | { readonly id: number; readonly kind: "verdict"; readonly verdict: Verdict }
  | {
      readonly id: number;
      readonly kind: "gateway";
      readonly message: string;
      readonly status: number;
      readonly code: string;
    }
  | { readonly id: number; readonly kind: "error"; readonly message: string };
