import { signal } from "@preact/signals";
import { eventsOf } from "../../../api/event_stream";
import { GatewayError } from "../../../api/gateway";
import { textDifference } from "../../../engine/text";
import type { Fault, JudgedOrder, Verdict } from "../../../engine/verdict";
import type { Answer } from "../kept/conversation";
import { receiptsOf } from "./evidence";
import { differencesOf, stopsOf, type Difference } from "./judged_question";

/**
 * What a second gateway says of an answer: for models that are too large for a browser. It is that gateway's word, and
 * no computation of this page. It holds as far as the two gateways do not work together.
 */
export type SecondWord =
  | { readonly kind: "asking"; readonly done: number; readonly total: number; readonly cancel: () => void }
  | {
      readonly kind: "said";
      readonly outcome: "right" | "wrong";
      /** Why it is wrong, as the second gateway says it. */
      readonly reason?: string;
      readonly fault?: Fault;
      readonly differences: readonly Difference[];
      /** What this gateway had said itself, and the second one contradicts. */
      readonly contradicts: readonly Contradiction[];
      readonly tokens: number;
      readonly prompt: string;
    }
  | { readonly kind: "failed"; readonly error: unknown };

/** `order`: it judged another one than this gateway names. `verdict`: this gateway recomputed it and found otherwise. */
export type Contradiction = "order" | "text" | "verdict";

/** By key of the answer and origin of the second gateway. */
export const secondWords = signal<ReadonlyMap<string, SecondWord>>(new Map());

export function wordKey(answer: Answer, origin: string): string {
  return `${answer.key} ${origin}`;
}

/**
 * Have another gateway compute an answer again. It is sent the answer file, so it reads question and answer; it is
 * sent neither a key nor a session. Never throws: how it went is in `secondWords`.
 */
export async function askSecond(answer: Answer & { id: string }, origin: string): Promise<void> {
  const key = wordKey(answer, origin);
  if (secondWords.value.get(key)?.kind === "asking") return;
  const controller = new AbortController();
  const { signal: aborted } = controller;
  const cancel = () => controller.abort();
  const progress = (done: number, total: number) => set(key, { kind: "asking", done, total, cancel });
  progress(0, 0);
  try {
    const { proof, evidence, passed } = await receiptsOf(answer.id, aborted);
    const stops = stopsOf(answer.question);
    const said = await verdictOf(origin, { proof, stops }, progress, aborted);
    set(key, wordOf(said, { answer, proof, stops, order: evidence.order, passed }));
  } catch (error) {
    set(key, aborted.aborted ? undefined : { kind: "failed", error });
  }
}

interface Compared {
  readonly answer: Answer;
  readonly proof: unknown;
  readonly stops: readonly string[];
  /** The order's digest, as this gateway says it. */
  readonly order: string;
  /** What this gateway found where it recomputed the answer itself. */
  readonly passed: boolean | undefined;
}

/** What was said, held against what was asked, read, and said by this gateway. */
export function wordOf(said: SaidVerdict, { answer, proof, stops, order, passed }: Compared): SecondWord {
  const { verified, fault, reason, prompt, tokens, isComplete, modelVersion } = said;
  const judged: Verdict = {
    outcome: verified ? "right" : "wrong",
    modelVersion,
    prompt,
    tokens,
    milliseconds: 0,
    isComplete,
    // What the nodes signed stands in the file that was sent; the second gateway has checked its signature.
    ...orderIn(proof),
  };
  const differences = differencesOf(judged, answer);
  const contradicts: Contradiction[] = [];
  if (said.order.toLowerCase() !== order.toLowerCase()) contradicts.push("order");
  if (textDifference(said.text, answer.text, stops) !== undefined) contradicts.push("text");
  if (passed !== undefined && passed !== verified) contradicts.push("verdict");
  const isRight = verified && differences.length === 0 && contradicts.length === 0;
  return {
    kind: "said",
    outcome: isRight ? "right" : "wrong",
    ...(reason === undefined ? {} : { reason }),
    ...(fault === undefined ? {} : { fault }),
    differences,
    contradicts,
    tokens,
    prompt,
  };
}

/** A verdict as `/v1/verifications` gives it. */
export interface SaidVerdict {
  readonly order: string;
  readonly modelVersion: string;
  readonly verified: boolean;
  readonly tokens: number;
  readonly text: string;
  readonly prompt: string;
  readonly isComplete: boolean;
  readonly reason?: string;
  readonly fault?: Fault;
}

async function verdictOf(
  origin: string,
  body: unknown,
  progress: (done: number, total: number) => void,
  signal: AbortSignal,
): Promise<SaidVerdict> {
  const response = await post(`${origin}/v1/verifications`, JSON.stringify(body), signal);
  for await (const { name, data } of eventsOf(response)) {
    const said = objectIn(data);
    if (name === "progress") progress(count(said["done"]), count(said["total"]));
    if (name === "error") throw new GatewayError(text(said["message"]), response.status, text(said["code"]));
    if (name === "verdict") return readVerdict(said);
  }
  throw new GatewayError("the second gateway's answer ended before its verdict", response.status, "malformed");
}

async function post(address: string, body: string, signal: AbortSignal): Promise<Response> {
  let response: Response;
  try {
    // INVARIANT: neither key nor session nor cookie goes to another gateway.
    response = await fetch(address, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body,
      mode: "cors",
      credentials: "omit",
      cache: "no-store",
      redirect: "error",
      referrerPolicy: "no-referrer",
      signal,
    });
  } catch (error) {
    if (signal.aborted) throw error;
    throw new GatewayError("the second gateway cannot be reached, or does not answer this page", 502, "second_away");
  }
  if (response.ok) return response;
  const said = (await response.json().catch(() => undefined)) as { error?: { message?: unknown } } | undefined;
  const message = said?.error?.message;
  const why = typeof message === "string" ? message : `the second gateway answered ${response.status}`;
  throw new GatewayError(why, response.status, "refused");
}

/** Read strictly: the second gateway is a stranger, too. Throws GatewayError. */
export function readVerdict(said: Record<string, unknown>): SaidVerdict {
  const { verified, recomputed, is_complete: isComplete } = said;
  if (typeof verified !== "boolean" || typeof recomputed !== "boolean" || typeof isComplete !== "boolean") {
    throw malformed();
  }
  // What was not recomputed is not right, whatever else is said.
  if (verified && !recomputed) throw malformed();
  const [first] = list(said["wrong"]).map(objectOf);
  const failed = list(said["steps"])
    .map(objectOf)
    .find((step) => step["passed"] !== true);
  if (verified && (first || failed)) throw malformed();
  const reason = first
    ? text(first["reason"])
    : failed
      ? `${text(failed["name"])}: ${text(failed["reason"])}`
      : undefined;
  return {
    order: hash(said["order"]),
    modelVersion: hash(said["model_version"]),
    verified,
    tokens: count(said["tokens"]),
    text: text(said["text"]),
    prompt: text(said["prompt"]),
    isComplete,
    ...(reason === undefined ? {} : { reason }),
    ...(first && first["to_blame"] === true ? { fault: faultIn(first) } : {}),
  };
}

function faultIn(found: Record<string, unknown>): Fault {
  const [start, end] = list(found["layers"]);
  const node = found["node"];
  if (typeof node !== "string" || !/^0x[0-9a-fA-F]{40}$/.test(node)) throw malformed();
  return {
    node,
    layers: [count(start), count(end)],
    position: count(found["first_difference"] ?? found["from_position"]),
    isExact: found["exact"] === true,
  };
}

function orderIn(proof: unknown): { order?: JudgedOrder } {
  const document = (proof as { order?: { document?: Record<string, unknown> } } | null)?.order?.document;
  const { samplingSeed, sampling, maxTokens } = document ?? {};
  if (typeof samplingSeed !== "string") return {};
  return {
    order: {
      samplingSeed: samplingSeed as `0x${string}`,
      sampling: Number(sampling),
      maxTokens: Number(maxTokens),
    },
  };
}

function set(key: string, found: SecondWord | undefined): void {
  const next = new Map(secondWords.value);
  if (found) next.set(key, found);
  else next.delete(key);
  secondWords.value = next;
}

function objectIn(data: string): Record<string, unknown> {
  try {
    return objectOf(JSON.parse(data));
  } catch {
    throw malformed();
  }
}

function objectOf(found: unknown): Record<string, unknown> {
  if (typeof found !== "object" || found === null || Array.isArray(found)) throw malformed();
  return found as Record<string, unknown>;
}

function list(found: unknown): readonly unknown[] {
  if (!Array.isArray(found)) throw malformed();
  return found;
}

function count(found: unknown): number {
  if (!Number.isSafeInteger(found) || (found as number) < 0) throw malformed();
  return found as number;
}

function text(found: unknown): string {
  if (typeof found !== "string") throw malformed();
  return found;
}

function hash(found: unknown): string {
  if (typeof found !== "string" || !/^0x[0-9a-fA-F]{64}$/.test(found)) throw malformed();
  return found;
}

function malformed(): GatewayError {
  return new GatewayError("the second gateway's verdict cannot be read", 200, "malformed");
}
