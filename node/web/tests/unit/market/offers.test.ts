import { expect, test } from "vitest";
import type { Model, Offer } from "../../../src/chain/documents";
import { chosen, entryOf, ORDERS } from "../../../src/pages/market/offers";

const OFFER: Offer = {
  version: "0x",
  node: "0xn",
  layer_start: 0,
  layer_end: 2,
  wei_per_token: "1",
  active: true,
  online: true,
  latency_ms: 5,
  uptime: { asked: 4, answered: 3 },
};

function model(version: string, more: Partial<Model> = {}): Model {
  return {
    id: "1-0",
    version,
    publisher: "0xPublisher",
    parent: null,
    published_at: 0,
    record: {
      semver: "1.0.0",
      layers: 4,
      price_per_token_wei: "1",
      weights_root: "0x",
      program_root: "0x",
      manifest_cid: "b",
    },
    certificate: null,
    names: [],
    licence: null,
    offers: [],
    wei_per_token: null,
    share_basis_points: 0,
    answers: false,
    pace: null,
    ...more,
  };
}

function certified(figures: Record<string, string | number>, problem: string | null = null): Partial<Model> {
  return { certificate: { cid: "baf", anchored_at: 1, quality: { format: "f", name: "Named", figures, problem } } };
}

const NOTHING = { text: "", answering: false, certified: false, here: false };
const names = (models: Model[], wanted = NOTHING, order: (typeof ORDERS)[number] = "newest") =>
  chosen(models.map(entryOf), wanted, order).map((entry) => entry.model.version);

test("what nobody knows comes last, in every order", () => {
  const known = model("known", {
    ...certified({ accuracy: "0.5", perplexity: "9.5", top1_hits: 1, tokens: 2 }),
    offers: [OFFER, { ...OFFER, layer_start: 2, layer_end: 4 }],
    wei_per_token: "7",
    pace: { answers: 1, tokens: 10, seconds: 2 },
  });
  for (const order of ORDERS.slice(1)) expect(names([model("unknown"), known], NOTHING, order)[0]).toBe("known");
});

test("prices beyond a double's reach are compared exactly", () => {
  const dear = model("dear", { wei_per_token: String(2n ** 80n + 1n) });
  const cheap = model("cheap", { wei_per_token: String(2n ** 80n) });
  expect(names([dear, cheap], NOTHING, "price")).toEqual(["cheap", "dear"]);
});

test("the cheapest is what costs its user least, the publisher's share included", () => {
  const shared = model("shared", { wei_per_token: "100", share_basis_points: 2_000 });
  const plain = model("plain", { wei_per_token: "119" });
  const equal = model("equal", { wei_per_token: "120" });
  expect(names([shared, equal, plain], NOTHING, "price")).toEqual(["plain", "shared", "equal"]);
});

test("latency is of a whole way through the layers, the fastest", () => {
  const offers = [
    OFFER,
    { ...OFFER, layer_start: 2, layer_end: 4, latency_ms: 9 },
    { ...OFFER, layer_start: 2, layer_end: 4, latency_ms: 1, online: false },
    { ...OFFER, layer_start: 0, layer_end: 4, latency_ms: 20 },
  ];
  expect(entryOf(model("a", { offers })).latency).toBe(14);
  expect(entryOf(model("b", { offers: [OFFER] })).latency).toBeUndefined();
});

test("figures are only those of a certificate that can be used", () => {
  const good = entryOf(model("a", certified({ perplexity_integer: "3.2500", top1_hits: 3, tokens: 4 })));
  expect([good.perplexity, good.top1, good.accuracy]).toEqual([3.25, 0.75, undefined]);
  expect([entryOf(model("b")).perplexity, entryOf(model("b")).top1]).toEqual([undefined, undefined]);
});

test("filters keep what is wanted", () => {
  const models = [
    model("a", { answers: true, names: ["tiny"] }),
    model("b", certified({})),
    model("c", certified({}, "not to be had")),
  ];
  expect(names(models, { ...NOTHING, answering: true })).toEqual(["a"]);
  expect(names(models, { ...NOTHING, certified: true })).toEqual(["b"]);
  expect(names(models, { ...NOTHING, here: true })).toEqual(["a"]);
  expect(names(models, { ...NOTHING, text: " TINY " })).toEqual(["a"]);
  expect(names(models, { ...NOTHING, text: "named" })).toEqual(["b", "c"]);
  expect(names(models, { ...NOTHING, text: "nothing like it" })).toEqual([]);
});
