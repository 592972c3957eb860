// @vitest-environment node
import { describe, expect, it } from "vitest";

import { programRoot } from "../../../src/engine/descriptors";
import { UnjudgeableError } from "../../../src/engine/errors";
import { parseProgram } from "../../../src/engine/program";
import { requireReproducible } from "../../../src/engine/reproduction";
import { hex, vectors } from "./vectors";

interface Described {
  readonly name: string;
  readonly program: string;
  readonly programRoot: string;
}

const programs = vectors<Described[]>("web_programs");
const plain = (): any => JSON.parse(programs.find((one) => one.name === "tiny")!.program);

describe.each(programs)("$name", ({ program, programRoot: root }) => {
  it("is what the builder here makes, with the root that Python gives it", () => {
    const parsed = parseProgram(program);
    requireReproducible(parsed);
    expect(hex(programRoot(parsed))).toBe(root);
  });
});

describe("a program that no builder makes", () => {
  const changes: [string, (program: any) => void][] = [
    ["a buffer too small", (p) => (p.ops[0].outputs[0].shape[1] = 8)],
    ["an unknown width of rows", (p) => (p.ops.find((op: any) => op.kind === "quantise").params.bits = 3)],
    ["a range beyond the row", (p) => (p.ops.find((op: any) => op.kind === "row_max").params.stop = 1000)],
    ["an op of no kind", (p) => (p.ops[3].kind = "constructor")],
    ["another input", (p) => (p.ops[5].inputs[0] = "tokens")],
    ["ops left out", (p) => p.ops.pop()],
    ["one op more", (p) => p.ops.push(p.ops[0])],
    ["a weight more", (p) => p.weights.push({ name: "more", dtype: "i8", shape: [1, 1] })],
    ["a weight of another shape", (p) => (p.weights[0].shape[0] = 2)],
    ["two weights exchanged", (p) => p.weights.reverse()],
    ["another width", (p) => (p.shape.width = 2 ** 20)],
    ["more layers than ops", (p) => (p.shape.layers = 2 ** 30)],
    ["heads that share nothing", (p) => (p.shape.kv_heads = 3)],
    ["experts that nobody chooses", (p) => (p.shape.experts = 4)],
    ["windows of other layers", (p) => (p.shape.windows = [1])],
    ["heads wider than the kernels' stack", (p) => (p.shape.head_dim = 258)],
    ["an encoder", (p) => (p.shape.encoder = true)],
  ];
  it.each(changes)("%s", (_, change) => {
    const program = plain();
    change(program);
    expect(() => requireReproducible(parseProgram(JSON.stringify(program)))).toThrow(UnjudgeableError);
  });

  const texts = ["", "[]", "null", "{}", '{"name":1}', JSON.stringify({ ...plain(), ops: 3 })];
  it.each(texts)("no program: %s", (text) => {
    expect(() => parseProgram(text)).toThrow(UnjudgeableError);
  });
});
