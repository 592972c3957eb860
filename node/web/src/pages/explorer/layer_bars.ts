import type { Offer } from "../../chain/documents";

/** A node's layers as a bar: `x` and `width` in layers, `row` from 0. */
export interface Bar {
  readonly offer: Offer;
  readonly x: number;
  readonly width: number;
  readonly row: number;
}

/** Each offer on the first row where it meets no other; layers outside of [0, layers) are cut off. */
export function barsOf(offers: readonly Offer[], layers: number): Bar[] {
  const ends: number[] = [];
  const sorted = [...offers].sort((a, b) => a.layer_start - b.layer_start || a.layer_end - b.layer_end);
  const bars: Bar[] = [];
  for (const offer of sorted) {
    const x = Math.max(0, offer.layer_start);
    const end = Math.min(layers, offer.layer_end);
    if (end <= x) continue;
    let row = ends.findIndex((last) => last <= x);
    if (row < 0) row = ends.length;
    ends[row] = end;
    bars.push({ offer, x, width: end - x, row });
  }
  return bars;
}

/** How many active nodes serve each layer; `answering`: of those, how many are not known to be away. */
export function depthOf(offers: readonly Offer[], layers: number): { active: number; answering: number }[] {
  return Array.from({ length: layers }, (_, layer) => {
    const here = offers.filter((one) => one.active && one.layer_start <= layer && layer < one.layer_end);
    return { active: here.length, answering: here.filter((one) => one.online !== false).length };
  });
}

/** Layers that no active node serves, as ranges [start, end). */
export function gapsOf(offers: readonly Offer[], layers: number): [number, number][] {
  const gaps: [number, number][] = [];
  depthOf(offers, layers).forEach(({ active }, layer) => {
    if (active > 0) return;
    const last = gaps.at(-1);
    if (last && last[1] === layer) last[1] = layer + 1;
    else gaps.push([layer, layer + 1]);
  });
  return gaps;
}
