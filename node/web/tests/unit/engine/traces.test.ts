// @vitest-environment node
import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";

import { programRoot } from "../../../src/engine/descriptors";
import { SAMPLED, type Op } from "../../../src/engine/program";
import { SegmentEngine } from "../../../src/engine/segment_engine";
import { hex, loadModel, vectors, type LoadedModel, type StoredModel } from "./vectors";

interface Trace extends StoredModel {
  readonly name: string;
  readonly same?: boolean;
  readonly tokens: number[];
  readonly promptLength: number;
  readonly sampling: { readonly beta: number; readonly seed: string };
  readonly tensors: Readonly<Record<string, string>>;
  readonly sampled: number[];
}

const traces = vectors<Trace[]>("web_traces");
/** The second trace of a model does not repeat it. */
const modelOf = (at: number): Trace => (traces[at]!.same ? traces[at - 1]! : traces[at]!);

function sequenceOf(trace: Trace) {
  const sampling = { beta: trace.sampling.beta, seed: Buffer.from(trace.sampling.seed, "hex") };
  return { promptLength: trace.promptLength, sampling, capacity: trace.tokens.length };
}

/** What a chain of segments puts out in the end when it is fed blocks of `size` rows. */
function fed(model: LoadedModel, trace: Trace, splits: readonly [number, number][], size: number): number[] {
  const engines = splits.map(
    (layers) => new SegmentEngine(model.kernels, model.program, model.addresses, layers, sequenceOf(trace), size),
  );
  const found: number[] = [];
  for (let at = 0; at < trace.tokens.length; at += size) {
    let rows = Int32Array.from(trace.tokens.slice(at, at + size));
    for (const engine of engines) rows = engine.forward(rows) as Int32Array<ArrayBuffer>;
    found.push(...rows);
  }
  for (const engine of engines) engine.close();
  return found;
}

describe.each(traces.map((trace, at) => [trace.name, at] as const))("%s", (_, at) => {
  const trace = traces[at]!;

  it("has the same bits in every tensor as torch", async () => {
    const model = await loadModel(modelOf(at));
    const specs = model.program.ops.flatMap((op: Op) => op.outputs);
    const names = specs.map((spec) => spec.name);
    const all = [0, model.program.shape.layers] as const;
    const { kernels, program, addresses } = model;
    const engine = new SegmentEngine(kernels, program, addresses, all, sequenceOf(trace), trace.tokens.length, names);
    const sampled = engine.forward(Int32Array.from(trace.tokens));
    const found = specs.map((spec) => {
      const rows = spec.shape.includes(SAMPLED) ? sampled.length : trace.tokens.length;
      return [spec.name, createHash("sha256").update(engine.read(spec.name, rows)).digest("hex")];
    });
    expect(Object.fromEntries(found)).toEqual(trace.tensors);
    expect([...sampled]).toEqual(trace.sampled);
  });

  it("puts out the same however its rows come and its layers are split", async () => {
    const model = await loadModel(modelOf(at));
    const { layers } = model.program.shape;
    const each = Array.from({ length: layers }, (_, layer) => [layer, layer + 1] as [number, number]);
    expect(fed(model, trace, [[0, layers]], 7)).toEqual(trace.sampled);
    expect(fed(model, trace, each, 64)).toEqual(trace.sampled);
  });

  it("has the roots that Python gives the model", async () => {
    const model = await loadModel(modelOf(at));
    expect(hex(model.root)).toBe(modelOf(at).weightsRoot);
    expect(hex(programRoot(model.program))).toBe(modelOf(at).programRoot);
  });
});

it("runs every kind of op that decoders have", () => {
  const kinds = new Set(traces.flatMap((_, at) => JSON.parse(modelOf(at).program).ops.map((op: Op) => op.kind)));
  for (const kind of ["linear", "expert_linear", "route", "normalise", "attention", "silu_product", "sample"]) {
    expect(kinds).toContain(kind);
  }
  expect(kinds.size).toBe(17);
});
