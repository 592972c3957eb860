import { render } from "preact";
import { act } from "preact/test-utils";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { useCredentials } from "../../../src/api/credentials";
import { networkFacts } from "../../../src/chain/network";
import { receiptsOf } from "../../../src/pages/chat/evidence/evidence";
import { askSecond, readVerdict, secondWords, wordKey } from "../../../src/pages/chat/evidence/second_gateway";
import { SecondGateways } from "../../../src/pages/chat/evidence/second_panel";
import type { Answer } from "../../../src/pages/chat/kept/conversation";

vi.mock("../../../src/chain/network", () => ({ networkFacts: vi.fn() }));
vi.mock("../../../src/pages/chat/evidence/evidence", async (original) => ({
  ...(await original<object>()),
  receiptsOf: vi.fn(),
}));

const ORIGIN = "https://second.example";
const ORDER = `0x${"0a".repeat(32)}`;
const VERSION = `0x${"0b".repeat(32)}`;
const NODE = `0x${"1".repeat(40)}`;
const PROOF = { order: { document: { samplingSeed: `0x${"0".repeat(64)}`, sampling: 0, maxTokens: 5 } } };
const ANSWER: Answer & { id: string } = {
  key: "k",
  model: "m",
  version: VERSION,
  question: { endpoint: "/v1/completions", body: { prompt: "def", temperature: 0, max_tokens: 5, stop: ["\n"] } },
  text: " fib",
  state: "whole",
  id: "0".repeat(32),
};
const RIGHT = {
  object: "nexus.verdict",
  order: ORDER,
  model_version: VERSION,
  weights_root: ORDER,
  verified: true,
  recomputed: true,
  tokens: 6,
  steps: [{ number: 6, name: "recompute", passed: true, reason: "" }],
  wrong: [],
  text: " fib\nmore",
  prompt: "def",
  is_complete: true,
};
const LIE = {
  layers: [2, 6],
  node: NODE,
  from_position: 0,
  to_position: 9,
  first_difference: 7,
  exact: true,
  to_blame: true,
  reason: "node signed an output that its input does not give",
};
const WRONG = {
  ...RIGHT,
  verified: false,
  steps: [{ number: 6, name: "recompute", passed: false, reason: "segment 1" }],
  wrong: [LIE],
};

interface Sent {
  readonly url: string;
  readonly request: RequestInit;
}

/** A second gateway that answers with these events, or with a refusal. */
function second(events: [string, unknown][], status = 200): Sent[] {
  const sent: Sent[] = [];
  vi.stubGlobal("fetch", async (url: string, request: RequestInit) => {
    sent.push({ url, request });
    if (status !== 200) return new Response(JSON.stringify({ error: { message: "not for this page" } }), { status });
    const said = events.map(([name, data]) => `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`).join("");
    return new Response(said, { headers: { "content-type": "text/event-stream" } });
  });
  return sent;
}

function receipts(passed?: boolean): void {
  vi.mocked(receiptsOf).mockResolvedValue({ proof: PROOF, evidence: { order: ORDER }, passed } as never);
}

const word = () => secondWords.value.get(wordKey(ANSWER, ORIGIN));

let place: HTMLElement;

/** What the page shows once the second gateway has been asked. */
async function shown(events: [string, unknown][], status?: number): Promise<HTMLElement> {
  second(events, status);
  await act(() => render(<SecondGateways answer={ANSWER} />, place));
  await vi.waitFor(() => expect(place.textContent).toContain("Ask second.example"));
  await act(() => askSecond(ANSWER, ORIGIN));
  return place.querySelector<HTMLElement>(".verdict") ?? place;
}

beforeEach(() => {
  secondWords.value = new Map();
  receipts();
  vi.mocked(networkFacts).mockResolvedValue({ verifiers: [ORIGIN] } as never);
  place = document.createElement("div");
  document.body.replaceChildren(place);
});
afterEach(() => {
  render(null, place);
  vi.unstubAllGlobals();
});

test("the second gateway is sent the answer file, and neither a key nor a cookie", async () => {
  useCredentials({ token: "sk-nexus-secret" });
  const sent = second([["verdict", RIGHT]]);
  await askSecond(ANSWER, ORIGIN);
  expect(sent).toHaveLength(1);
  const { url, request } = sent[0] as Sent;
  expect(url).toBe(`${ORIGIN}/v1/verifications`);
  expect(request).toMatchObject({ credentials: "omit", redirect: "error", referrerPolicy: "no-referrer" });
  expect([...new Headers(request.headers).keys()]).toEqual(["content-type"]);
  expect(JSON.parse(String(request.body))).toEqual({ proof: PROOF, stops: ["\n"] });
  expect(JSON.stringify(sent)).not.toContain("sk-nexus-secret");
});

test("what it calls right is its word, and not green", async () => {
  const found = await shown([
    ["progress", { done: 1, total: 2 }],
    ["verdict", RIGHT],
  ]);
  expect(found.dataset["verdict"]).toBe("open");
  expect(found.textContent).toContain("second.example says: right");
  expect(found.textContent).toContain("This browser did not compute it");
});

test("what it calls wrong is red, with layers and node", async () => {
  const found = await shown([["verdict", WRONG]]);
  expect(found.dataset["verdict"]).toBe("wrong");
  expect(found.getAttribute("role")).toBe("alert");
  expect(found.textContent).toContain("second.example says: wrong");
  expect(found.textContent).toContain("layers 2 to 5, position 7");
  expect(found.querySelector("a")?.getAttribute("href")).toBe(`/app/explorer/nodes/${NODE}`);
  expect(found.textContent).toContain("does not give");
});

describe("two gateways that contradict each other are red", () => {
  test.each([
    [true, WRONG],
    [false, RIGHT],
  ])("where this one had found %s", async (passed, said) => {
    receipts(passed);
    const found = await shown([["verdict", said]]);
    expect(found.dataset["verdict"]).toBe("wrong");
    expect(found.textContent).toContain("This gateway says the opposite");
  });

  test.each([
    [{ order: VERSION }, "another order"],
    [{ text: " fob\n" }, "not the one that you read"],
    [{ prompt: "class" }, "another question"],
    [{ model_version: ORDER }, "another version"],
    [{ is_complete: false }, "cut short"],
  ])("where it judged %o", async (changes, words) => {
    const found = await shown([["verdict", { ...RIGHT, ...changes }]]);
    expect(found.dataset["verdict"]).toBe("wrong");
    expect(found.textContent).toContain(words);
  });

  test("what the nodes signed is compared with what was sent", async () => {
    const document = { ...PROOF.order.document, maxTokens: 900 };
    const proof = { order: { document } };
    vi.mocked(receiptsOf).mockResolvedValue({ proof, evidence: { order: ORDER } } as never);
    const found = await shown([["verdict", RIGHT]]);
    expect(found.textContent).toContain("another number of tokens");
  });
});

test("where both found the same there is no contradiction", async () => {
  receipts(true);
  const found = await shown([["verdict", RIGHT]]);
  expect(found.dataset["verdict"]).toBe("open");
});

describe("no verdict", () => {
  test.each([
    ["says that it could not", [["error", { code: "x", message: "no \u202eroom" }]], 200, "no ⟦U+202E⟧room"],
    ["refuses this page", [], 403, "not for this page"],
    ["ends in the middle", [["progress", { done: 1, total: 2 }]], 200, "ended before its verdict"],
    ["speaks nonsense", [["verdict", { verified: "yes" }]], 200, "cannot be read"],
  ] as [string, [string, unknown][], number, string][])("is shown where it %s", async (_, events, status, words) => {
    const found = await shown(events, status);
    expect(found.dataset["verdict"]).toBe("open");
    expect(found.textContent).toContain("gave no verdict");
    expect(found.textContent).toContain(words);
  });

  test("is shown where it cannot be reached", async () => {
    vi.stubGlobal("fetch", () => Promise.reject(new TypeError("Failed to fetch")));
    await askSecond(ANSWER, ORIGIN);
    expect(word()).toMatchObject({ kind: "failed", error: { code: "second_away" } });
  });

  test("is left behind by a check that is cancelled", async () => {
    vi.stubGlobal(
      "fetch",
      (_: string, { signal }: RequestInit) =>
        new Promise((_done, fail) => signal?.addEventListener("abort", () => fail(signal.reason))),
    );
    const asking = askSecond(ANSWER, ORIGIN);
    await vi.waitFor(() => expect(word()?.kind).toBe("asking"));
    const found = word();
    if (found?.kind === "asking") found.cancel();
    await asking;
    expect(word()).toBeUndefined();
  });
});

test.each([
  { verified: true, recomputed: false },
  { verified: true, wrong: [LIE] },
  { steps: [{ number: 1, name: "order", passed: false, reason: "" }] },
  { order: "0x12" },
  { tokens: -1 },
  { text: 5 },
  { wrong: "none" },
  { verified: false, wrong: [{ ...LIE, node: "javascript:1" }] },
])("a verdict with %o cannot be read", (changes) => {
  expect(() => readVerdict({ ...RIGHT, ...changes })).toThrow("cannot be read");
});

test("who chose the second gateway, and what it is sent, is said before it is asked", async () => {
  second([]);
  await act(() => render(<SecondGateways answer={ANSWER} />, place));
  await vi.waitFor(() => expect(place.textContent).toContain("Ask second.example"));
  expect(place.textContent).toContain("The operator of this gateway chose which gateways stand here.");
  expect(place.textContent).toContain("is sent the question and the answer");
});

test("a gateway that names itself offers none", async () => {
  vi.mocked(networkFacts).mockResolvedValue({ verifiers: [location.origin] } as never);
  await act(() => render(<SecondGateways answer={ANSWER} />, place));
  await act(() => Promise.resolve());
  expect(place.textContent).toBe("");
});

test("a gateway that names no other offers none", async () => {
  vi.mocked(networkFacts).mockResolvedValue({ verifiers: [] } as never);
  await act(() => render(<SecondGateways answer={ANSWER} />, place));
  expect(place.textContent).toBe("");
});
