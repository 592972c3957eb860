import type { Parts, Sums } from "../../chain/documents";

/** One part of a sum, with its share of the width of a bar that is 1000 wide. */
export interface Segment {
  readonly name: "node" | "vault" | "user" | "returned" | "open";
  readonly wei: bigint;
  readonly start: number;
  readonly width: number;
}

const WIDTH = 1000n;

/**
 * Where the money of a settled line went, part by part, and whether the parts are just what was locked. A bar is cut
 * at cumulative amounts, so that its parts fill it without a gap, however small they are.
 */
export function settledParts(line: Parts & { cap_wei: string; returned_wei: string }): {
  parts: Segment[];
  total: bigint;
  exact: boolean;
} {
  const amounts: [Segment["name"], bigint][] = [
    ["node", BigInt(line.to_node_wei)],
    ["vault", BigInt(line.to_vault_wei)],
    ["user", BigInt(line.to_user_wei)],
    ["returned", BigInt(line.returned_wei)],
  ];
  const total = amounts.reduce((sum, [, wei]) => sum + wei, 0n);
  return { parts: segmentsOf(amounts, total), total, exact: total === BigInt(line.cap_wei) };
}

/** Where the money of many lines went. */
export function summedParts(sums: Sums): { parts: Segment[]; total: bigint } {
  const amounts: [Segment["name"], bigint][] = [
    ["node", BigInt(sums.to_node_wei)],
    ["vault", BigInt(sums.to_vault_wei)],
    ["user", BigInt(sums.to_user_wei)],
    ["returned", BigInt(sums.returned_wei)],
  ];
  const total = amounts.reduce((sum, [, wei]) => sum + wei, 0n);
  return { parts: segmentsOf(amounts, total), total };
}

/** Amounts as segments of one bar; those of nothing are left out. */
export function segmentsOf(amounts: readonly (readonly [Segment["name"], bigint])[], total: bigint): Segment[] {
  const found: Segment[] = [];
  let before = 0n;
  for (const [name, wei] of amounts) {
    if (wei <= 0n || total <= 0n) continue;
    const start = (before * WIDTH) / total;
    before += wei;
    found.push({ name, wei, start: Number(start), width: Number((before * WIDTH) / total - start) });
  }
  return found;
}
