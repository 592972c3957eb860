import { eventsOf } from "../../../api/event_stream";
import { GatewayError, ask } from "../../../api/gateway";

/** What a model is asked: the body of the request, as `nexus verify --request` takes it. */
export interface Question {
  readonly endpoint: "/v1/chat/completions" | "/v1/completions";
  readonly body: Readonly<Record<string, unknown>>;
}

/** Whether a text is continued, and no conversation. */
export function isContinued(question: Question): boolean {
  return question.endpoint === "/v1/completions";
}

export type StreamPart =
  /** The gateway has begun; `id` names the answer at `/v1/receipts/ID`. */
  | { readonly kind: "begun"; readonly id: string | undefined }
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "ended"; readonly finish: Finish; readonly usage: Usage | undefined };

export type Finish = "stop" | "length";

/** Tokens of prompt and answer. */
export interface Usage {
  readonly prompt: number;
  readonly answer: number;
}

/** Characters of an answer at most: far beyond every model's context, and little enough to keep the page alive. */
export const MOST_TEXT = 4_000_000;

/** Milliseconds of work after which the page gets a turn. */
const WORK_AT_ONCE = 8;

/**
 * The parts of an answer as they come. Throws GatewayError for what is refused, and for a stream that ends before the
 * answer does; an abort passes as the browser throws it.
 */
export async function* answerParts(question: Question, signal: AbortSignal): AsyncGenerator<StreamPart> {
  const response = await ask(question.endpoint, { body: question.body, signal });
  yield { kind: "begun", id: idOf(response.headers.get("x-nexus-answer-id")) };
  let finish: Finish | undefined;
  let usage: Usage | undefined;
  let length = 0;
  let since = performance.now();
  for await (const data of dataOf(response)) {
    if (data === "[DONE]") {
      if (finish === undefined) throw broken();
      yield { kind: "ended", finish, usage };
      return;
    }
    const chunk = chunkOf(data);
    finish = chunk.finish ?? finish;
    usage = chunk.usage ?? usage;
    length += chunk.text.length;
    if (length > MOST_TEXT) throw new GatewayError("the answer is longer than any model writes", 0, "too_long");
    if (chunk.text !== "") yield { kind: "text", text: chunk.text };
    if (performance.now() - since > WORK_AT_ONCE) {
      await turnOfPage();
      since = performance.now();
    }
  }
  throw broken();
}

async function* dataOf(response: Response): AsyncGenerator<string> {
  try {
    for await (const event of eventsOf(response)) yield event.data;
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw broken();
  }
}

interface Chunk {
  readonly text: string;
  readonly finish?: Finish;
  readonly usage?: Usage;
}

function chunkOf(data: string): Chunk {
  let found: unknown;
  try {
    found = JSON.parse(data);
  } catch {
    throw malformed();
  }
  if (!isRecord(found)) throw malformed();
  if (found["error"] !== undefined) throw errorOf(found["error"]);
  const choice = Array.isArray(found["choices"]) ? (found["choices"][0] as unknown) : undefined;
  const finish = isRecord(choice) ? choice["finish_reason"] : undefined;
  const usage = usageOf(found["usage"]);
  return {
    text: isRecord(choice) ? textOf(choice) : "",
    ...(finish === "stop" || finish === "length" ? { finish } : {}),
    ...(usage ? { usage } : {}),
  };
}

function textOf(choice: Record<string, unknown>): string {
  const text = isRecord(choice["delta"]) ? choice["delta"]["content"] : choice["text"];
  if (text === undefined || text === null) return "";
  if (typeof text !== "string") throw malformed();
  return text;
}

function usageOf(found: unknown): Usage | undefined {
  if (!isRecord(found)) return undefined;
  const { prompt_tokens: prompt, completion_tokens: answer } = found;
  return typeof prompt === "number" && typeof answer === "number" ? { prompt, answer } : undefined;
}

/** Statuses that the codes of errors have outside a stream. */
const STATUS: Readonly<Record<string, number>> = {
  insufficient_quota: 402,
  rate_limit_exceeded: 429,
  answer_withheld: 502,
  service_unavailable: 503,
};

function errorOf(found: unknown): GatewayError {
  if (!isRecord(found) || typeof found["message"] !== "string") return malformed();
  const code = typeof found["code"] === "string" ? found["code"] : "refused";
  return new GatewayError(found["message"], STATUS[code] ?? 500, code);
}

function broken(): GatewayError {
  return new GatewayError("the connection ended before the answer did", 0, "broken_off");
}

function malformed(): GatewayError {
  return new GatewayError("the gateway sent something that is no part of an answer", 0, "malformed");
}

/** An answer's id ends up in addresses and names of files, so it is 32 hex digits or nothing. */
function idOf(header: string | null): string | undefined {
  return header !== null && /^[0-9a-f]{32}$/.test(header) ? header : undefined;
}

function isRecord(found: unknown): found is Record<string, unknown> {
  return typeof found === "object" && found !== null && !Array.isArray(found);
}

function turnOfPage(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
