import { signal } from "@preact/signals";
import type { Verdict } from "../../../engine/verdict";
import { verifyInBrowser } from "../../../engine/verify";
import type { Answer } from "../kept/conversation";
import { receiptsOf } from "./evidence";
import { differencesOf, stopsOf, type Difference } from "./judged_question";
import { keysOnChain } from "./receipt_keys";

/** How far the check of an answer is. A verdict lasts as long as the page: what is kept could be changed by others. */
export type Check =
  | { readonly kind: "computing"; readonly done: number; readonly total: number; readonly cancel: () => void }
  | {
      readonly kind: "judged";
      readonly verdict: Verdict;
      readonly text: string;
      /** How what was computed is not what was sent. */
      readonly differences: readonly Difference[];
      /** Whether the nodes' receipt keys are the chain's; else they are those that the answer file names. */
      readonly hasChainKeys: boolean;
    }
  | { readonly kind: "failed"; readonly error: unknown };

/** By key of the answer. */
export const checks = signal<ReadonlyMap<string, Check>>(new Map());

/** Have this browser compute an answer again. Never throws: how it went is in `checks`. */
export async function check(answer: Answer & { id: string }): Promise<void> {
  const { key, id, model, text, question } = answer;
  if (checks.value.get(key)?.kind === "computing") return;
  const controller = new AbortController();
  const { signal: aborted } = controller;
  const cancel = () => controller.abort();
  const progress = (done: number, total: number) => set(key, { kind: "computing", done, total, cancel });
  progress(0, 0);
  try {
    const { proof } = await receiptsOf(id, aborted);
    const receiptKeys = await keysOnChain(proof);
    const asked = { proof, text, model, stops: stopsOf(question), progress, signal: aborted };
    const found = await verifyInBrowser(receiptKeys ? { ...asked, receiptKeys } : asked);
    const differences = differencesOf(found, answer);
    const isOther = differences.length > 0 && found.outcome === "right";
    const verdict: Verdict = isOther ? { ...found, outcome: "wrong" } : found;
    set(key, { kind: "judged", verdict, text, differences, hasChainKeys: receiptKeys !== undefined });
  } catch (error) {
    set(key, aborted.aborted ? undefined : { kind: "failed", error });
  }
}

function set(key: string, found: Check | undefined): void {
  const next = new Map(checks.value);
  if (found) next.set(key, found);
  else next.delete(key);
  checks.value = next;
}
