// @vitest-environment node
import { afterEach, expect, test, vi } from "vitest";
import { GatewayError } from "../../../src/api/gateway";
import { MOST_TEXT, answerParts, type Question, type StreamPart } from "../../../src/pages/chat/stream/answer_stream";

const ID = "0123456789abcdef0123456789abcdef";
const QUESTION: Question = { endpoint: "/v1/chat/completions", body: { model: "m", messages: [] } };

afterEach(() => vi.unstubAllGlobals());

/** A gateway that sends these pieces of a stream, and then ends it, or breaks it off. */
function gateway(pieces: readonly (string | Error)[], headers: Record<string, string> = { "x-nexus-answer-id": ID }) {
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const piece of pieces) {
        if (piece instanceof Error) return controller.error(piece);
        controller.enqueue(encoder.encode(piece));
      }
      controller.close();
    },
  });
  const asked = vi.fn(async () => new Response(body, { headers }));
  vi.stubGlobal("fetch", asked);
  return asked;
}

async function read(question = QUESTION): Promise<{ parts: StreamPart[]; error: unknown }> {
  const parts: StreamPart[] = [];
  try {
    for await (const part of answerParts(question, new AbortController().signal)) parts.push(part);
    return { parts, error: undefined };
  } catch (error) {
    return { parts, error };
  }
}

const event = (value: unknown) => `data: ${JSON.stringify(value)}\n\n`;
const delta = (content: string, finish: string | null = null) =>
  event({ choices: [{ delta: { content }, finish_reason: finish }], usage: null });
const usage = event({ choices: [], usage: { prompt_tokens: 3, completion_tokens: 2 } });
const DONE = "data: [DONE]\n\n";

const textOf = (parts: readonly StreamPart[]) => parts.map((part) => (part.kind === "text" ? part.text : "")).join("");

test("parts of an answer come in order, and its end says why and how many", async () => {
  gateway([delta(""), delta("Olá "), delta("한국"), delta("", "stop"), usage, DONE]);
  const { parts } = await read();
  expect(parts).toEqual([
    { kind: "begun", id: ID },
    { kind: "text", text: "Olá " },
    { kind: "text", text: "한국" },
    { kind: "ended", finish: "stop", usage: { prompt: 3, answer: 2 } },
  ]);
});

test("texts that are continued have another shape", async () => {
  gateway([event({ choices: [{ text: "    return", finish_reason: null }] }), delta("", "length"), DONE]);
  const { parts } = await read({ endpoint: "/v1/completions", body: {} });
  expect(textOf(parts)).toBe("    return");
});

test("events may be cut anywhere, also within a character", async () => {
  const bytes = new TextEncoder().encode(delta("é한😀") + delta("", "stop") + DONE);
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const byte of bytes) controller.enqueue(Uint8Array.of(byte));
      controller.close();
    },
  });
  vi.stubGlobal("fetch", async () => new Response(body));
  const { parts, error } = await read();
  expect(error).toBeUndefined();
  expect(textOf(parts)).toBe("é한😀");
});

test.each([
  ["ends without its end", [delta("half")]],
  ["ends within an event", [delta("half"), "data: {"]],
  ["says that it is done without a reason", [delta("half"), DONE]],
  ["breaks", [delta("half"), new TypeError("network error")]],
])("a stream that %s is no whole answer, and what came stays", async (_, pieces) => {
  gateway(pieces);
  const { parts, error } = await read();
  expect(error).toMatchObject({ status: 0, code: "broken_off" });
  if (!(pieces.at(-1) instanceof Error)) expect(textOf(parts)).toBe("half");
});

test("an error in the middle has the status that it would have had outside", async () => {
  gateway([delta("half"), event({ error: { message: "receipt 3 is wrong", code: "answer_withheld" } })]);
  const { parts, error } = await read();
  expect(textOf(parts)).toBe("half");
  expect(error).toMatchObject({ status: 502, code: "answer_withheld", message: "receipt 3 is wrong" });
});

test.each([
  ["no JSON", "data: <html>\n\n"],
  ["a list", event([1])],
  ["a number as text", event({ choices: [{ text: 5 }] })],
])("%s is no part of an answer", async (_, piece) => {
  gateway([piece]);
  const { error } = await read();
  expect(error).toBeInstanceOf(GatewayError);
  expect(error).toMatchObject({ code: "malformed" });
});

test("an answer without an end is given up", async () => {
  const large = delta("x".repeat(1_000_000));
  gateway(Array.from({ length: 1 + MOST_TEXT / 1_000_000 }, () => large));
  expect((await read()).error).toMatchObject({ code: "too_long" });
});

test("an id that is none is not used: it would end up in addresses and names of files", async () => {
  gateway([delta("", "stop"), DONE], { "x-nexus-answer-id": "../../etc" });
  expect((await read()).parts[0]).toEqual({ kind: "begun", id: undefined });
});

test("a refusal has its status, and the seconds to wait", async () => {
  const refused = { error: { message: "too many", code: "rate_limit_exceeded" } };
  vi.stubGlobal(
    "fetch",
    async () => new Response(JSON.stringify(refused), { status: 429, headers: { "retry-after": "7" } }),
  );
  expect((await read()).error).toMatchObject({ status: 429, retryAfter: 7, code: "rate_limit_exceeded" });
});
