import { describe, expect, it } from "vitest";
import { factsOf, recordsIn } from "../../../src/pages/audit/certificate";
import { fieldLabel, valueWithUnit } from "../../../src/pages/audit/field_words";
import type { Version } from "../../../src/pages/audit/gateway_types";
import { lineageOf, type Ancestor } from "../../../src/pages/audit/lineage";
import { heard, isOpen, type SeenAudit } from "../../../src/pages/audit/running_audit";

const version = (id: string, parent: string | null): Version => ({
  version: id,
  name: id,
  semver: "1.0.0",
  parent,
  publisher: null,
  layers: 1,
  weights_root: "0x",
  price_per_token_wei: "0",
  certificate: null,
});

const shape = (nodes: readonly Ancestor[]): unknown =>
  nodes.map(({ version: { version: id }, children }) => (children.length ? [id, shape(children)] : id));

describe("lineage", () => {
  it("puts each version below the one that it came from", () => {
    const found = lineageOf([version("a", null), version("b", "a"), version("c", "b"), version("d", "a")]);
    expect(shape(found)).toEqual([["a", [["b", ["c"]], "d"]]]);
  });

  it("loses none whose parent is unknown, or that is its own ancestor", () => {
    expect(shape(lineageOf([version("a", "gone"), version("b", "c"), version("c", "b"), version("d", "d")]))).toEqual([
      "a",
      "b",
      "c",
      "d",
    ]);
  });
});

describe("facts", () => {
  it("are all fields, nested ones by their path, and long lists by their length", () => {
    expect(factsOf({ a: 1, b: { c: "x", d: null }, e: [3, 4], f: true }, "s")).toEqual([
      { path: "s.a", value: "1" },
      { path: "s.b.c", value: "x" },
      { path: "s.b.d", value: "" },
      { path: "s.e", value: "2", whole: "3, 4" },
      { path: "s.f", value: "true" },
    ]);
    expect(recordsIn([{ a: 1 }])).toEqual([{ a: 1 }]);
    expect(recordsIn([1])).toBeUndefined();
  });

  it("have labels and units; unknown ones keep their own names", () => {
    expect(fieldLabel("evaluation.after.accuracy")).toBe("Accuracy (this version)");
    expect(fieldLabel("judge.something.new")).toBe("new (something)");
    expect(valueWithUnit("evaluation.after.accuracy", "0.77")).toBe("77%");
    expect(valueWithUnit("x.size", "1234567")).toBe("1,234,567 bytes");
    expect(valueWithUnit("x.cost_usd", "0.0125")).toBe("0.0125 USD");
    expect(valueWithUnit("x.name", "12345678901234567890")).toBe("12345678901234567890");
  });
});

describe("an audit that is followed", () => {
  const begun: SeenAudit = { id: "1", cid: "c", state: "running", reason: "", titles: [], steps: [] };

  it("grows by each event", () => {
    const step = { number: 1, title: "t", passed: true, detail: "d", checked: true };
    let seen = heard(begun, "titles", '["t","u"]');
    seen = heard(seen, "step", JSON.stringify(step));
    seen = heard(seen, "end", '{"state":"passed","reason":""}');
    expect(seen).toMatchObject({ titles: ["t", "u"], steps: [step], state: "passed" });
  });

  it("waits for its turn, and knows its place", () => {
    let seen = heard(begun, "place", "2");
    expect([seen.state, seen.place, isOpen(seen)]).toEqual(["waiting", 2, true]);
    seen = heard(heard(seen, "place", "1"), "place", "0");
    expect([seen.state, isOpen(seen)]).toEqual(["running", true]);
    expect(isOpen(heard(seen, "end", '{"state":"cancelled","reason":""}'))).toBe(false);
    expect(heard(begun, "place", '"first"')).toBe(begun);
  });

  it("is not changed by what is no event of it", () => {
    expect(heard(begun, "step", "{")).toBe(begun);
    expect(heard(begun, "other", "{}")).toBe(begun);
    expect(heard(begun, "titles", "{}")).toBe(begun);
  });
});
