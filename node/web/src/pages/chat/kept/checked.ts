import type { Evidence, RouteSegment } from "../evidence/evidence";
import type { Answer, Conversation, Lane, Sampling, Setup, Trouble, Turn } from "./conversation";
import { MOST_MODELS, MOST_STOPS } from "./conversation";

/**
 * A conversation out of what the browser had kept. Throws DamagedError for anything else: programs, people and disks
 * change what lies there. An answer that was coming when it was kept is one that broke off.
 */
export function checkedConversation(found: unknown): Conversation {
  const it = record(found);
  if (it["format"] !== 1) throw new DamagedError("format");
  return {
    format: 1,
    id: text(it["id"]),
    title: text(it["title"]),
    created: number(it["created"]),
    changed: number(it["changed"]),
    revision: number(it["revision"]),
    setup: checkedSetup(it["setup"]),
    turns: list(it["turns"]).map(turn),
  };
}

export class DamagedError extends Error {
  override name = "DamagedError";
}

/** Throws DamagedError. */
export function checkedSetup(found: unknown): Setup {
  const it = record(found);
  const models = list(it["models"]).map(text).slice(0, MOST_MODELS);
  return { models, system: text(it["system"]), sampling: sampling(it["sampling"]) };
}

function sampling(found: unknown): Sampling {
  const it = record(found);
  return {
    temperature: number(it["temperature"]),
    stop: list(it["stop"]).map(text).slice(0, MOST_STOPS),
    ...optional("seed", it, number),
    ...optional("maxTokens", it, number),
  };
}

function turn(found: unknown): Turn {
  const it = record(found);
  return { key: text(it["key"]), text: text(it["text"]), lanes: list(it["lanes"]).map(lane) };
}

function lane(found: unknown): Lane {
  const it = record(found);
  const answers = list(it["answers"]).map(answer);
  const shown = number(it["shown"]);
  if (!Number.isInteger(shown) || shown < 0 || shown > answers.length) throw new DamagedError("shown");
  return { answers, shown };
}

function answer(found: unknown): Answer {
  const it = record(found);
  const state = oneOf(it["state"], ["coming", "whole", "stopped", "broken", "refused"] as const);
  const question = record(it["question"]);
  const wasCut: Trouble = { status: 0, code: "left", message: "" };
  return {
    key: text(it["key"]),
    model: text(it["model"]),
    version: hash(it["version"]),
    question: {
      endpoint: oneOf(question["endpoint"], ["/v1/chat/completions", "/v1/completions"] as const),
      body: record(question["body"]),
    },
    text: text(it["text"]),
    state: state === "coming" ? "broken" : state,
    ...optional("id", it, answerId),
    ...optional("finish", it, (one) => oneOf(one, ["stop", "length"] as const)),
    ...optional("usage", it, (one) => ({
      prompt: number(record(one)["prompt"]),
      answer: number(record(one)["answer"]),
    })),
    ...(state === "coming" ? { trouble: wasCut } : optional("trouble", it, trouble)),
    ...optional("evidence", it, evidence),
  };
}

function trouble(found: unknown): Trouble {
  const it = record(found);
  return {
    status: number(it["status"]),
    code: text(it["code"]),
    message: text(it["message"]),
    ...optional("retryAt", it, number),
  };
}

function evidence(found: unknown): Evidence {
  const it = record(found);
  return {
    costWei: wei(it["costWei"]),
    nodesWei: wei(it["nodesWei"]),
    vaultWei: wei(it["vaultWei"]),
    ...optional("publisherWei", it, wei),
    gatewayWei: wei(it["gatewayWei"]),
    mostWei: wei(it["mostWei"]),
    audits: number(it["audits"]),
    order: hash(it["order"]),
    session: hash(it["session"]),
    version: hash(it["version"]),
    receipts: number(it["receipts"]),
    failovers: number(it["failovers"]),
    promptTokens: number(it["promptTokens"]),
    answerTokens: number(it["answerTokens"]),
    route: list(it["route"]).map(segment),
  };
}

function segment(found: unknown): RouteSegment {
  const it = record(found);
  const [start, end] = list(it["layers"]).map(number);
  if (start === undefined || end === undefined) throw new DamagedError("layers");
  return {
    layers: [start, end],
    nodes: list(it["nodes"]).map((one) => {
      const node = record(one);
      return { node: text(node["node"]), receipts: number(node["receipts"]), priceWei: wei(node["priceWei"]) };
    }),
  };
}

function record(found: unknown): Record<string, unknown> {
  if (typeof found !== "object" || found === null || Array.isArray(found)) throw new DamagedError("object");
  return found as Record<string, unknown>;
}

function list(found: unknown): readonly unknown[] {
  if (!Array.isArray(found)) throw new DamagedError("list");
  return found;
}

function text(found: unknown): string {
  if (typeof found !== "string") throw new DamagedError("text");
  return found;
}

function number(found: unknown): number {
  if (typeof found !== "number" || !Number.isFinite(found)) throw new DamagedError("number");
  return found;
}

function wei(found: unknown): string {
  if (typeof found !== "string" || !/^\d{1,78}$/.test(found)) throw new DamagedError("wei");
  return found;
}

function hash(found: unknown): string {
  if (typeof found !== "string" || !/^0x[0-9a-fA-F]{64}$/.test(found)) throw new DamagedError("hash");
  return found;
}

/** It goes into addresses and names of files. */
function answerId(found: unknown): string {
  if (typeof found !== "string" || !/^[0-9a-f]{32}$/.test(found)) throw new DamagedError("id");
  return found;
}

function oneOf<Known extends string>(found: unknown, known: readonly Known[]): Known {
  const one = known.find((name) => name === found);
  if (one === undefined) throw new DamagedError("word");
  return one;
}

function optional<Name extends string, Value>(
  name: Name,
  it: Record<string, unknown>,
  check: (found: unknown) => Value,
): { [key in Name]?: Value } {
  return it[name] === undefined ? {} : ({ [name]: check(it[name]) } as { [key in Name]: Value });
}
