import { UnjudgeableError } from "./errors";

/** Dimensions that depend on the sequence: positions consumed, and positions whose token is sampled. */
export const POSITIONS = -1;
export const SAMPLED = -2;
export const TOKENS = "tokens";

export type Dtype = "i8" | "i16" | "i32" | "i64";
export const DTYPE_BYTES: Readonly<Record<Dtype, number>> = { i8: 1, i16: 2, i32: 4, i64: 8 };
export const DTYPE_CODES: Readonly<Record<Dtype, number>> = { i8: 1, i16: 2, i32: 3, i64: 4 };

export interface TensorSpec {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
}

/** One step of a program; see nexus_chain/program/OPERATORS.md. */
export interface Op {
  readonly kind: string;
  readonly name: string;
  readonly layer: number;
  readonly inputs: readonly string[];
  readonly outputs: readonly TensorSpec[];
  readonly weights: readonly string[];
  readonly params: ReadonlyMap<string, number>;
}

/** Sizes of a transformer, by the names of `program.json`: see ModelShape in nexus_chain/program/descriptors.py. */
export interface ModelShape {
  readonly layers: number;
  readonly width: number;
  readonly heads: number;
  readonly kv_heads: number;
  readonly head_dim: number;
  readonly ffn: number;
  readonly vocab: number;
  /** Most positions. */
  readonly context: number;
  readonly rms_eps: number;
  readonly attention_bias: boolean;
  readonly mlp_bias: boolean;
  readonly qkv_bias: boolean;
  readonly qk_norm: boolean;
  /** Positions that each layer's attention looks back on (0: all); empty: all everywhere. */
  readonly windows: readonly number[];
  readonly experts: number;
  readonly experts_per_token: number;
  readonly encoder: boolean;
}

export interface Program {
  readonly name: string;
  readonly shape: ModelShape;
  readonly ops: readonly Op[];
  readonly weights: readonly TensorSpec[];
  /** Every activation by name in trace order: `tokens` first. */
  readonly tensors: ReadonlyMap<string, TensorSpec>;
  readonly weightSpecs: ReadonlyMap<string, TensorSpec>;
}

/** The program that `program.json` holds; `requireReproducible` says whether it is one that builders make. Throws UnjudgeableError. */
export function parseProgram(text: string): Program {
  let found: unknown;
  try {
    found = JSON.parse(text);
  } catch {
    throw new UnjudgeableError("the model's program is not JSON");
  }
  const { name, shape, ops, weights } = record(found, "it");
  return assembled(
    string(name, "name"),
    shapeOf(record(shape, "shape")),
    list(ops, "ops").map(opOf),
    list(weights, "weights").map(specOf),
  );
}

function shapeOf(data: Readonly<Record<string, unknown>>): ModelShape {
  const flag = (name: string): boolean => data[name] === true;
  const count = (name: string): number => size(data[name], name);
  const { rms_eps: epsilon, windows } = data;
  if (typeof epsilon !== "number" || !(epsilon >= 0)) throw malformed("rms_eps");
  return {
    layers: count("layers"),
    width: count("width"),
    heads: count("heads"),
    kv_heads: count("kv_heads"),
    head_dim: count("head_dim"),
    ffn: count("ffn"),
    vocab: count("vocab"),
    context: count("context"),
    rms_eps: epsilon,
    attention_bias: flag("attention_bias"),
    mlp_bias: flag("mlp_bias"),
    qkv_bias: flag("qkv_bias"),
    qk_norm: flag("qk_norm"),
    windows: windows === undefined ? [] : list(windows, "windows").map((item) => whole(item, "windows")),
    experts: data.experts === undefined ? 0 : count("experts"),
    experts_per_token: data.experts_per_token === undefined ? 0 : count("experts_per_token"),
    encoder: flag("encoder"),
  };
}

/** A program with its tensors by name. */
export function assembled(
  name: string,
  shape: ModelShape,
  ops: readonly Op[],
  weights: readonly TensorSpec[],
): Program {
  const tensors = new Map<string, TensorSpec>([[TOKENS, { name: TOKENS, dtype: "i32", shape: [POSITIONS] }]]);
  for (const op of ops) for (const spec of op.outputs) tensors.set(spec.name, spec);
  return {
    name,
    shape,
    ops,
    weights,
    tensors,
    weightSpecs: new Map(weights.map((spec) => [spec.name, spec])),
  };
}

/** Ops of layers [start, end). */
export function segmentOf(program: Program, start: number, end: number): Op[] {
  return program.ops.filter((op) => start <= op.layer && op.layer < end);
}

/** A parameter that the op's kind has, once the program was validated. */
export function param(op: Op, name: string): number {
  const found = op.params.get(name);
  if (found === undefined) throw new UnjudgeableError(`op ${op.name} has no parameter ${name}`);
  return found;
}

function opOf(data: unknown): Op {
  const { kind, name, layer, inputs, outputs, weights, params } = record(data, "op");
  return {
    kind: string(kind, "kind"),
    name: string(name, "name"),
    layer: whole(layer, "layer"),
    inputs: list(inputs, "inputs").map((item) => string(item, "input")),
    outputs: list(outputs, "outputs").map(specOf),
    weights: list(weights, "weights").map((item) => string(item, "weight")),
    params: new Map(Object.entries(record(params, "params")).map(([key, value]) => [key, whole(value, key)])),
  };
}

function specOf(data: unknown): TensorSpec {
  const { name, dtype, shape } = record(data, "tensor");
  const type = string(dtype, "dtype");
  if (!Object.hasOwn(DTYPE_BYTES, type)) throw malformed("dtype");
  return {
    name: string(name, "name"),
    dtype: type as Dtype,
    shape: list(shape, "shape").map((item) => whole(item, "shape")),
  };
}

function malformed(field: string): UnjudgeableError {
  return new UnjudgeableError(`this is not an integer program: ${field} is malformed`);
}

function record(value: unknown, field: string): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw malformed(field);
  return value as Record<string, unknown>;
}

function list(value: unknown, field: string): readonly unknown[] {
  if (!Array.isArray(value)) throw malformed(field);
  return value;
}

function string(value: unknown, field: string): string {
  if (typeof value !== "string") throw malformed(field);
  return value;
}

function whole(value: unknown, field: string): number {
  if (!Number.isSafeInteger(value)) throw malformed(field);
  return value as number;
}

function size(value: unknown, field: string): number {
  const found = whole(value, field);
  if (found < 1 || found >= 2 ** 31) throw malformed(field);
  return found;
}
