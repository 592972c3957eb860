import { signal } from "@preact/signals";
import type { Verdict } from "../../../engine/verdict";
import { verifyInBrowser } from "../../../engine/verify";
import type { Answer } from "../kept/conversation";
import { receiptsOf } from "./evidence";
import { isQuestionOf, stopsOf } from "./judged_question";

/** How far the check of an answer is. A verdict lasts as long as the page: what is kept could be changed by others. */
export type Check =
  | { readonly kind: "computing"; readonly done: number; readonly total: number; readonly cancel: () => void }
  | {
      readonly kind: "judged";
      readonly verdict: Verdict;
      readonly text: string;
      /** The answer is to another question than the one that was sent. */
      readonly isToAnother: boolean;
    }
  | { readonly kind: "failed"; readonly error: unknown };

/** By key of the answer. */
export const checks = signal<ReadonlyMap<string, Check>>(new Map());

/** Have this browser compute an answer again. Never throws: how it went is in `checks`. */
export async function check({ key, id, model, text, question }: Answer & { id: string }): Promise<void> {
  if (checks.value.get(key)?.kind === "computing") return;
  const controller = new AbortController();
  const { signal: aborted } = controller;
  const cancel = () => controller.abort();
  const progress = (done: number, total: number) => set(key, { kind: "computing", done, total, cancel });
  progress(0, 0);
  try {
    const { proof } = await receiptsOf(id, aborted);
    const asked = { proof, text, model, stops: stopsOf(question), progress, signal: aborted };
    const found = await verifyInBrowser(asked);
    const isToAnother = found.prompt !== undefined && !isQuestionOf(found.prompt, question);
    const verdict: Verdict = isToAnother && found.outcome === "right" ? { ...found, outcome: "wrong" } : found;
    set(key, { kind: "judged", verdict, text, isToAnother });
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
