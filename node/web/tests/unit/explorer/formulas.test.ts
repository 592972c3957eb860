import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, test } from "vitest";
import { FORMULAS } from "../../../src/pages/explorer/formulas";

const SOURCE = resolve(import.meta.dirname, "../../../../../nexus_chain/program/op_kinds.py");

test("every op kind of the program has a formula, and no other has one", () => {
  const table = readFileSync(SOURCE, "utf8").split("KINDS: Mapping[str, OpKind] = {")[1] ?? "";
  const kinds = [...table.matchAll(/"([a-z0-9_]+)": OpKind\(/g)].map((found) => found[1]);
  expect(kinds.length).toBeGreaterThan(20);
  expect(Object.keys(FORMULAS).sort()).toEqual([...kinds, "sequence", "input"].sort());
});
