import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import type { VerifyAsked, WorkerSaid } from "../../../src/engine/messages";
import type { Verdict } from "../../../src/engine/verdict";

/** A worker that says what a test lets it say. */
class ScriptedWorker extends EventTarget {
  static readonly made: ScriptedWorker[] = [];
  readonly asked: VerifyAsked[] = [];
  isEnded = false;

  constructor(readonly script: unknown) {
    super();
    ScriptedWorker.made.push(this);
  }

  postMessage(asked: VerifyAsked): void {
    this.asked.push(asked);
  }

  terminate(): void {
    this.isEnded = true;
  }

  say(said: WorkerSaid): void {
    this.dispatchEvent(new MessageEvent("message", { data: said }));
  }
}

const RIGHT: Verdict = { outcome: "right", tokens: 3, milliseconds: 1 };
let verifyInBrowser: typeof import("../../../src/engine/verify").verifyInBrowser;

beforeEach(async () => {
  ScriptedWorker.made.length = 0;
  vi.stubGlobal("Worker", ScriptedWorker);
  vi.resetModules();
  ({ verifyInBrowser } = await import("../../../src/engine/verify"));
});
afterEach(() => vi.unstubAllGlobals());

const asked = { proof: { a: 1 }, text: "text", model: "m" };
const first = (): ScriptedWorker => ScriptedWorker.made[0]!;

describe("a verification", () => {
  it("is handed to one worker, and reports how far it is", async () => {
    const seen: number[][] = [];
    const one = verifyInBrowser({ ...asked, progress: (...far) => seen.push(far) });
    const other = verifyInBrowser({ ...asked, stops: ["x"], receiptKeys: {} });
    expect(ScriptedWorker.made).toHaveLength(1);
    expect(first().asked.map(({ evidence }) => evidence)).toEqual([
      { proof: { a: 1 }, text: "text", stops: [] },
      { proof: { a: 1 }, text: "text", stops: ["x"], receiptKeys: {} },
    ]);
    const [{ id }, { id: second }] = first().asked as [VerifyAsked, VerifyAsked];
    first().say({ id, kind: "progress", done: 1, total: 2 });
    first().say({ id: second, kind: "verdict", verdict: { ...RIGHT, tokens: 9 } });
    first().say({ id, kind: "verdict", verdict: RIGHT });
    expect(await one).toEqual(RIGHT);
    expect((await other).tokens).toBe(9);
    expect(seen).toEqual([[1, 2]]);
  });

  it("passes on what the gateway refused", async () => {
    const found = verifyInBrowser(asked);
    first().say({ id: first().asked[0]!.id, kind: "gateway", message: "away", status: 503, code: "x" });
    await expect(found).rejects.toMatchObject({ name: "GatewayError", message: "away", status: 503, code: "x" });
    const failed = verifyInBrowser(asked);
    first().say({ id: first().asked[1]!.id, kind: "error", message: "broken" });
    await expect(failed).rejects.toThrow("broken");
  });

  it("ends with its signal, and its worker with it where nobody else waits", async () => {
    const ends = [new AbortController(), new AbortController()] as const;
    const found = ends.map(({ signal }) => verifyInBrowser({ ...asked, signal }));
    ends[0].abort();
    await expect(found[0]).rejects.toMatchObject({ name: "AbortError" });
    expect(first().isEnded).toBe(false);
    ends[1].abort();
    await expect(found[1]).rejects.toMatchObject({ name: "AbortError" });
    expect(first().isEnded).toBe(true);
    await expect(verifyInBrowser({ ...asked, signal: ends[0].signal })).rejects.toMatchObject({ name: "AbortError" });
    const next = verifyInBrowser(asked);
    expect(ScriptedWorker.made).toHaveLength(2);
    ScriptedWorker.made[1]!.say({ id: ScriptedWorker.made[1]!.asked[0]!.id, kind: "verdict", verdict: RIGHT });
    expect(await next).toEqual(RIGHT);
  });

  it("fails where the browser ends the worker, and the next one has a new one", async () => {
    const found = [verifyInBrowser(asked), verifyInBrowser(asked)];
    const told = Promise.allSettled(found);
    first().dispatchEvent(new Event("error"));
    for (const one of await told) expect(one).toMatchObject({ status: "rejected", reason: { message: /ended/ } });
    void verifyInBrowser(asked);
    expect(ScriptedWorker.made).toHaveLength(2);
  });
});
