import type { Parts, SettledShare, Sums } from "../../chain/documents";
import { publisherShare } from "../../chain/publisher_share";

/** One part of a sum, with its share of the width of a bar that is 1000 wide. */
export interface Segment {
  readonly name: "node" | "vault" | "publisher" | "user" | "returned" | "open";
  readonly wei: bigint;
  readonly start: number;
  readonly width: number;
}

const WIDTH = 1000n;

/**
 * Where the money of a settled line went, part by part, and whether the parts are just what was locked: the cap, and
 * beside it the publisher's share of the cap. A bar is cut at cumulative amounts, so that its parts fill it without a
 * gap, however small they are.
 */
export function settledParts(line: Parts & { cap_wei: string; returned_wei: string; share: SettledShare | null }): {
  parts: Segment[];
  total: bigint;
  exact: boolean;
} {
  const amounts: [Segment["name"], bigint][] = [
    ["node", BigInt(line.to_node_wei)],
    ["vault", BigInt(line.to_vault_wei)],
    ["publisher", BigInt(line.share?.to_publisher_wei ?? 0)],
    ["user", BigInt(line.to_user_wei) + BigInt(line.share?.returned_wei ?? 0)],
    ["returned", BigInt(line.returned_wei)],
  ];
  const total = amounts.reduce((sum, [, wei]) => sum + wei, 0n);
  const earned = BigInt(line.to_node_wei) + BigInt(line.to_vault_wei);
  const cap = BigInt(line.cap_wei);
  const rate = line.share?.share_basis_points ?? 0;
  const exact =
    total === cap + publisherShare(cap, rate) &&
    BigInt(line.share?.to_publisher_wei ?? 0) === publisherShare(earned, rate);
  return { parts: segmentsOf(amounts, total), total, exact };
}

/** Where the money of many lines went. */
export function summedParts(sums: Sums): { parts: Segment[]; total: bigint } {
  const amounts: [Segment["name"], bigint][] = [
    ["node", BigInt(sums.to_node_wei)],
    ["vault", BigInt(sums.to_vault_wei)],
    ["publisher", BigInt(sums.to_publisher_wei)],
    ["user", BigInt(sums.to_user_wei) + BigInt(sums.share_returned_wei)],
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
