import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";
import type { Verdict } from "../../../engine/verdict";
import type { Answer } from "../kept/conversation";
import { isContinued, type Question } from "../stream/answer_stream";

/** How a computation that is right in itself is not what was asked for. */
export type Difference = "version" | "question" | "seed" | "temperature" | "length" | "cut";

const SEED_DOMAIN = "nexus.gateway.seed.v1:";

/**
 * What was judged, compared with what was sent: a gateway that orders another version, prompt, seed, temperature or
 * length, or that ends the answer early, gets right receipts for it. The twin of `differences_from` in
 * nexus_chain/workflows/sent_requests.py, as far as the page knows the tokenizer.
 */
export function differencesOf(verdict: Verdict, answer: Answer): Difference[] {
  const { question, version, state } = answer;
  const { temperature, seed, max_tokens: most } = question.body;
  const found: Difference[] = [];
  if (verdict.modelVersion !== undefined && !isSame(verdict.modelVersion, version)) found.push("version");
  if (verdict.prompt !== undefined && !isQuestionOf(verdict.prompt, question)) found.push("question");
  const { order } = verdict;
  if (order && seed !== undefined && !isSame(order.samplingSeed, seedOf(seed))) found.push("seed");
  if (order && typeof temperature === "number" && order.sampling !== samplingOf(temperature)) found.push("temperature");
  if (order && typeof most === "number" && order.maxTokens !== most) found.push("length");
  // Who stopped an answer, or lost its gateway, has a part of it and knows.
  if (verdict.isComplete === false && state === "whole") found.push("cut");
  return found;
}

/** The 32 bytes that an order fixes for a caller's seed. */
export function seedOf(seed: unknown): string {
  return `0x${bytesToHex(sha256(utf8ToBytes(SEED_DOMAIN + String(seed))))}`;
}

/** log2(e)/temperature in Q16, halves to even as Python rounds; 0 for greedy. */
export function samplingOf(temperature: number): number {
  if (temperature === 0) return 0;
  const exact = (65536 * Math.LOG2E) / temperature;
  const floor = Math.floor(exact);
  if (exact - floor === 0.5) return floor % 2 === 0 ? floor : floor + 1;
  return Math.round(exact);
}

function isSame(one: string, other: string): boolean {
  return one.toLowerCase() === other.toLowerCase();
}

/** A control token's name before a text, such as `<s>` or `<|begin_of_text|>`: a model's tokenizer may set one. */
const CONTROL = /^<\|?[A-Za-z][\w]{0,30}\|?>/;

/**
 * Whether the prompt that nodes computed on is the question that was sent. A gateway could have asked something else:
 * then everything is computed rightly, and answers nobody's question.
 *
 * `prompt`: as the engine wrote it out of the order's tokens, control tokens by their names. A text that is continued
 * has to be all of it. A conversation is written in the model's chat format, which the page does not know; each
 * message has to stand in it, in order. What else the format puts there is shown to the reader.
 */
export function isQuestionOf(prompt: string, question: Question): boolean {
  if (isContinued(question)) {
    const sent = question.body["prompt"];
    return typeof sent === "string" && (prompt === sent || prompt.replace(CONTROL, "") === sent);
  }
  return aroundMessages(prompt, question) !== undefined;
}

/**
 * What stands around the messages of a conversation in the prompt that was judged, piece by piece. The model's chat
 * format writes such text; a gateway could, too, and the page does not know the format. None for a text that is
 * continued, all of which is compared, and for another question.
 */
export function addedText(prompt: string, question: Question): readonly string[] {
  const found = isContinued(question) ? undefined : aroundMessages(prompt, question);
  return found?.filter((piece) => piece.trim() !== "") ?? [];
}

/** The pieces before, between and after the messages; none where these do not stand in the prompt, in order. */
function aroundMessages(prompt: string, question: Question): string[] | undefined {
  const pieces: string[] = [];
  let at = 0;
  for (const text of messagesOf(question)) {
    // Chat formats take the spaces around a message away.
    const found = prompt.indexOf(text.trim(), at);
    if (found < 0) return undefined;
    pieces.push(prompt.slice(at, found));
    at = found + text.trim().length;
  }
  return [...pieces, prompt.slice(at)];
}

/** Texts that end an answer, as the request said. */
export function stopsOf({ body }: Question): readonly string[] {
  const stop = body["stop"];
  if (typeof stop === "string") return [stop];
  return Array.isArray(stop) ? stop.filter((one) => typeof one === "string") : [];
}

function messagesOf({ body }: Question): string[] {
  const messages = body["messages"];
  if (!Array.isArray(messages)) return [];
  return messages.map((one: { content?: unknown }) => (typeof one.content === "string" ? one.content : ""));
}
