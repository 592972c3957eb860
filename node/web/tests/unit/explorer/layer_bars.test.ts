import { expect, test } from "vitest";
import type { Offer } from "../../../src/chain/documents";
import { barsOf, depthOf, gapsOf } from "../../../src/pages/explorer/layer_bars";

function offer(node: string, start: number, end: number, more: Partial<Offer> = {}): Offer {
  return {
    version: "0x",
    node,
    layer_start: start,
    layer_end: end,
    wei_per_token: "1",
    active: true,
    online: true,
    latency_ms: null,
    uptime: null,
    ...more,
  };
}

test("bars share a row where they do not meet", () => {
  const bars = barsOf([offer("c", 0, 4), offer("a", 0, 2), offer("b", 2, 4)], 4);
  expect(bars.map((bar) => [bar.offer.node, bar.x, bar.width, bar.row])).toEqual([
    ["a", 0, 2, 0],
    ["c", 0, 4, 1],
    ["b", 2, 2, 0],
  ]);
});

test("no two bars of a row overlap, and none is lost", () => {
  const offers = Array.from({ length: 60 }, (_, n) => offer(String(n), (n * 7) % 20, ((n * 7) % 20) + 1 + (n % 9)));
  const bars = barsOf(offers, 32);
  expect(bars).toHaveLength(60);
  for (const one of bars)
    for (const other of bars)
      if (one !== other && one.row === other.row)
        expect(one.x + one.width <= other.x || other.x + other.width <= one.x).toBe(true);
});

test("layers outside of the model are cut off", () => {
  const bars = barsOf([offer("a", 2, 9), offer("b", 5, 7)], 4);
  expect(bars.map((bar) => [bar.offer.node, bar.x, bar.width])).toEqual([["a", 2, 2]]);
});

test("depth counts active nodes; one that nobody met is not taken for away", () => {
  const offers = [offer("a", 0, 2), offer("b", 1, 3, { online: false }), offer("c", 1, 2, { online: null })];
  expect(depthOf([...offers, offer("d", 0, 3, { active: false })], 3)).toEqual([
    { active: 1, answering: 1 },
    { active: 3, answering: 2 },
    { active: 1, answering: 0 },
  ]);
});

test("gaps are ranges that no active node serves", () => {
  expect(gapsOf([offer("a", 1, 2), offer("b", 4, 5), offer("c", 2, 4, { active: false })], 6)).toEqual([
    [0, 1],
    [2, 4],
    [5, 6],
  ]);
  expect(gapsOf([offer("a", 0, 3)], 3)).toEqual([]);
});
