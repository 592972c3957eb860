import { DecoderBuilder, type Choices } from "./decoder";
import { UnjudgeableError } from "./errors";
import type { ModelShape, Op, Program } from "./program";

const WIDE = 15;
const DOWN_CHUNK = 8192;
const MAX_EXPERTS = 64;
const MAX_SLOTS = 8;
/** Of programs that are proved not to overflow; the kernels keep a head on their stack. */
const MOST_HEAD_COLUMNS = 256;

/** The linear ops that read each kind of row, without the layer's prefix; whichever of them a program has. */
const READERS: Readonly<Record<string, readonly string[]>> = {
  attention_input: ["attention.query"],
  attention_output: ["attention.output"],
  mlp_input: ["mlp.gate", "mlp.slots.0.gate", "mlp.up"],
  down: ["mlp.down.0", "mlp.slots.0.down.0"],
};

/** Where a layer's matrices are that may have two parts. */
const MATRICES: Readonly<Record<string, string>> = {
  query: "attention.query",
  key: "attention.key",
  value: "attention.value",
  output: "attention.output",
  gate: "mlp.gate",
  up: "mlp.up",
  down: "mlp.down.0",
};

/**
 * Throws UnjudgeableError unless the builders make exactly this decoder: then every buffer has the size that the kernels
 * expect, and contract and engines read the same. The twin of nexus_chain/program/reproduction.py.
 */
export function requireReproducible(program: Program): void {
  const problem = shapeProblem(program);
  if (problem) throw refused(problem);
  const built = new DecoderBuilder(program.shape, choicesOf(program));
  built.build();
  for (let at = 0; at < Math.max(built.ops.length, program.ops.length); at++) {
    if (opText(program.ops[at]) !== opText(built.ops[at]))
      throw refused(`op ${program.ops[at]?.name ?? "(none)"} is another`);
  }
  const weights = [...built.weights.values()];
  for (let at = 0; at < Math.max(weights.length, program.weights.length); at++) {
    const [found, made] = [program.weights[at], weights[at]];
    if (specText(found) !== specText(made)) throw refused(`weight ${found?.name ?? "(none)"} is another`);
  }
}

function refused(problem: string): UnjudgeableError {
  return new UnjudgeableError(`no builder makes this model's program: ${problem}`);
}

function choicesOf(program: Program): Choices {
  const ops = new Map(program.ops.map((op) => [op.name, op]));
  const bitsOf = (name: string): number => (ops.get(name)?.params.get("bits") === WIDE ? WIDE : 8);
  const place = (name: string): [string, string] => {
    const dot = name.indexOf(".");
    return [name.slice(0, dot), name.slice(dot + 1)];
  };
  return {
    embedShift: ops.get("embed")?.params.get("shift") ?? 0,
    headBits: bitsOf("head"),
    isWide: (name) => {
      const [layer, family] = place(name);
      return READERS[family]!.some((reader) => bitsOf(`layers.${layer}.${reader}`) === WIDE);
    },
    isFine: (name) => {
      if (name === "head") return ops.has("head.remainder");
      const [layer, matrix] = place(name);
      return ops.has(`layers.${layer}.${MATRICES[matrix]}.remainder`);
    },
  };
}

/** Why no decoder has this shape, or an empty string. Bounds the work of building it as well. */
function shapeProblem({ shape, ops }: Program): string {
  if (shape.encoder) return "it is an encoder, which this page does not recompute; use `nexus verify`";
  if (![0, shape.layers].includes(shape.windows.length) || shape.windows.some((window) => window < 0)) {
    return `${shape.windows.length} windows of ${shape.layers} layers`;
  }
  if (shape.rms_eps >= 1) return `its norms add ${shape.rms_eps} to what they divide by`;
  if (shape.head_dim > MOST_HEAD_COLUMNS) return `heads of ${shape.head_dim} columns are too wide`;
  if (shape.heads % shape.kv_heads || shape.head_dim % 2) return "its heads cannot share its key heads";
  return expertsProblem(shape) || sizeProblem(shape, ops);
}

function expertsProblem(shape: ModelShape): string {
  const { experts, experts_per_token: slots } = shape;
  const isOdd = experts > MAX_EXPERTS || slots > Math.min(MAX_SLOTS, experts) || experts > 0 !== slots > 0;
  return isOdd ? `a row cannot choose ${slots} of ${experts} experts` : "";
}

function sizeProblem(shape: ModelShape, ops: readonly Op[]): string {
  const chunks = Math.ceil(shape.ffn / DOWN_CHUNK);
  const least = shape.layers * chunks * Math.max(1, shape.experts_per_token);
  return least > ops.length + chunks ? `${ops.length} ops are too few for its shape` : "";
}

function opText(op: Op | undefined): string {
  if (!op) return "";
  const params = [...op.params].sort(([one], [other]) => (one < other ? -1 : 1));
  return JSON.stringify([op.kind, op.name, op.layer, op.inputs, op.outputs.map(specText), op.weights, params]);
}

function specText(spec: Program["weights"][number] | undefined): string {
  return spec ? JSON.stringify([spec.name, spec.dtype, spec.shape]) : "";
}
