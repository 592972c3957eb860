// @vitest-environment node
import { beforeAll, describe, expect, it } from "vitest";

import { parseAnswerFile } from "../../../src/engine/answer_file";
import { UnjudgeableError } from "../../../src/engine/errors";
import { accusations, judgeReceipts, type Fragment } from "../../../src/engine/judgement";
import { checkPapers } from "../../../src/engine/papers";
import { recompute } from "../../../src/engine/recomputation";
import { loadModel, vectors, type LoadedModel, type StoredModel } from "./vectors";

interface Judged {
  readonly lie: string;
  readonly place: { readonly segment: number; readonly position: number } | null;
  readonly proof: any;
  readonly steps: readonly { number: number; name: string; passed: boolean; reason: string }[];
  readonly fragments: readonly Record<string, unknown>[];
  readonly word: string;
  readonly accusations: readonly (readonly [string, number, number])[];
}

const stored = vectors<StoredModel & { readonly answers: readonly Judged[] }>("web_answers");
const { answers } = stored;
let model: LoadedModel;
beforeAll(async () => {
  model = await loadModel(stored);
});

const NAMES = { from: "from_position", to: "to_position", firstDifference: "first_difference", toBlame: "to_blame" };

/** A fragment by the names that Python gives its fields. */
function named(fragment: Fragment): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fragment).map(([key, value]) => [NAMES[key as keyof typeof NAMES] ?? key, value]),
  );
}

describe.each(answers.map((judged, at) => [at, judged.lie, judged] as const))("answer %i, lie: %s", (_, __, judged) => {
  it("is judged as Python judges it", async () => {
    const answer = parseAnswerFile(judged.proof);
    const steps = await checkPapers(answer);
    expect(steps).toEqual(judged.steps.slice(0, 5));
    const fragments = judgeReceipts(
      answer,
      recompute(answer, model, () => undefined),
    );
    expect(fragments.map(named)).toEqual(judged.fragments);
    const accused = await accusations(answer, fragments);
    expect(accused.map(({ node, segment, to }) => [node, segment, to])).toEqual(judged.accusations);
    const passed = steps.every((step) => step.passed) && fragments.every((fragment) => fragment.verified);
    expect(passed).toBe(judged.steps.every((step) => step.passed));
    if (judged.place) {
      const [ask] = [answer.order.document.asks[judged.place.segment]!];
      expect(accused).toHaveLength(1);
      expect(accused[0]).toMatchObject({ segment: judged.place.segment, layers: [ask.layerStart, ask.layerEnd] });
      expect(accused[0]!.to).toBeGreaterThan(judged.place.position);
      expect(accused[0]!.from).toBeLessThanOrEqual(judged.place.position);
    }
  });
});

it("reports how far it is, to the end", () => {
  const seen: [number, number][] = [];
  const answer = parseAnswerFile(answers[0]!.proof);
  recompute(answer, model, (done, total) => seen.push([done, total]));
  const total = (answer.tokens.length - 1) * 3;
  expect(seen.at(-1)).toEqual([total, total]);
  expect(seen.every(([done], at) => at === 0 || done >= seen[at - 1]![0])).toBe(true);
});

describe("a file that is no answer file", () => {
  const changed = (change: (proof: any) => void): unknown => {
    const proof = structuredClone(answers[0]!.proof);
    change(proof);
    return proof;
  };
  const files: [string, unknown][] = [
    ["nothing", null],
    ["a list", []],
    ["another format", changed((p) => (p.format = "nexus.answer.v9"))],
    ["no tokens", changed((p) => (p.tokens = []))],
    ["a token that is no integer", changed((p) => (p.tokens[0] = 1.5))],
    ["a token of 33 bits", changed((p) => (p.tokens[0] = 2 ** 32))],
    ["more prompt than tokens", changed((p) => (p.promptLength = p.tokens.length + 1))],
    ["a prompt of nothing", changed((p) => (p.promptLength = 0))],
    ["a field more", changed((p) => (p.order.document.more = 1))],
    ["a field of another name", changed((p) => delete p.receipts[0].document.inRoot)],
    [
      "an address in one case",
      changed((p) => (p.receipts[0].document.node = p.receipts[0].document.node.toLowerCase())),
    ],
    ["a root in capitals", changed((p) => (p.order.document.promptRoot = p.order.document.promptRoot.toUpperCase()))],
    ["a number as text", changed((p) => (p.order.document.maxTokens = "36"))],
    ["an amount below zero", changed((p) => (p.receipts[0].document.price = -1))],
    ["an amount as a fraction", changed((p) => (p.receipts[0].document.price = 0.5))],
    ["a segment of 17 bits", changed((p) => (p.receipts[0].document.segment = 65536))],
    ["a signature of letters", changed((p) => (p.receipts[0].signature = "0xzz"))],
    ["leaves that are no digests", changed((p) => (p.leaves = [["00"]]))],
    ["a signer that is no address", changed((p) => (p.signer = "0x1"))],
  ];
  it.each(files)("%s", (_, file) => {
    expect(() => parseAnswerFile(file)).toThrow(UnjudgeableError);
  });
});

describe("an order that this model cannot have had", () => {
  const orders: [string, (asks: any[]) => void][] = [
    ["no segments", (asks) => asks.splice(0)],
    ["too few layers", (asks) => asks.pop()],
    ["a gap", (asks) => asks.splice(1, 1)],
    ["a segment of nothing", (asks) => (asks[0].layerEnd = 0)],
    ["layers beyond", (asks) => (asks.at(-1).layerEnd = 9)],
  ];
  it.each(orders)("%s", (_, change) => {
    const proof = structuredClone(answers[0]!.proof);
    change(proof.order.document.asks);
    expect(() => recompute(parseAnswerFile(proof), model, () => undefined)).toThrow(/another model/);
  });
});

it("survives a receipt of a segment that no order has", () => {
  const proof = structuredClone(answers[0]!.proof);
  proof.receipts[0].document.segment = 65535;
  const answer = parseAnswerFile(proof);
  const fragments = judgeReceipts(
    answer,
    recompute(answer, model, () => undefined),
  );
  expect(fragments.find(({ segment }) => segment === 65535)).toMatchObject({ verified: false, toBlame: false });
});
