import { KINDS, WHOLE_STEPS } from "./op_kinds";
import { DTYPE_BYTES, SAMPLED, param, type Op, type TensorSpec } from "./program";

/** Prefix of the names that stand for an attention op's cache. */
export const CACHE = "cache:";

/** Bytes for every row of the batch (or every sampled row); `byColumn`: rows are innermost. */
export interface PlannedBuffer {
  readonly rowBytes: number;
  readonly sampled: boolean;
  readonly byColumn: boolean;
}

/** A weight, a table of matrices (weight and scale of each), or nothing. */
export type WeightName = string | readonly string[] | null;

export interface PlannedStep {
  readonly kind: string;
  readonly sampled: boolean;
  readonly inputs: readonly (string | null)[];
  readonly outputs: readonly string[];
  readonly weights: readonly WeightName[];
  readonly params: readonly number[];
  chained: boolean;
}

/** Steps in order, and the buffer of every tensor name. */
export interface Plan {
  readonly steps: PlannedStep[];
  readonly buffers: PlannedBuffer[];
  readonly bufferOf: Map<string, number>;
  readonly specs: Map<string, TensorSpec>;
}

/**
 * Steps for `ops` that read `source`; the tensors named in `keep` survive the run. The twin of
 * nexus_chain/engine/native_plan.py, for one thread: nobody waits for anybody.
 */
export function planSteps(ops: readonly Op[], source: TensorSpec, keep: ReadonlySet<string>): Plan {
  const specs = new Map([[source.name, source]]);
  for (const op of ops) for (const spec of op.outputs) specs.set(spec.name, spec);
  const plan: Plan = { steps: [], buffers: [], bufferOf: new Map(), specs };
  let slot = 0;
  for (const op of ops) {
    const inputs = op.inputs.map((name) => selected(plan, op, name));
    plan.steps.push(...stepsOf(plan, op, inputs, slot));
    if (KINDS.get(op.kind)!.cached) slot++;
  }
  assignBuffers(plan, source.name, keep);
  markChains(plan);
  return plan;
}

function rowBytesOf(spec: TensorSpec): number {
  return spec.shape.reduce((product, size) => product * Math.max(size, 1), DTYPE_BYTES[spec.dtype]);
}

function isSampled(spec: TensorSpec): boolean {
  return spec.shape.includes(SAMPLED);
}

/** The tensor that an op over sampled positions reads instead of one over all positions. */
function selected(plan: Plan, op: Op, name: string): string {
  const spec = plan.specs.get(name)!;
  if (isSampled(spec) || !isSampled(op.outputs[0]!)) return name;
  const chosen = `${name}@sampled`;
  if (!plan.specs.has(chosen)) {
    plan.specs.set(chosen, { name: chosen, dtype: spec.dtype, shape: [SAMPLED, ...spec.shape.slice(1)] });
    plan.steps.push(step("select_rows", true, [name], [chosen], [], [rowBytesOf(spec)]));
  }
  return chosen;
}

function step(
  kind: string,
  sampled: boolean,
  inputs: readonly (string | null)[],
  outputs: readonly string[],
  weights: readonly WeightName[],
  params: readonly number[],
): PlannedStep {
  return { kind, sampled, inputs, outputs, weights, params, chained: false };
}

function stepsOf(plan: Plan, op: Op, inputs: readonly string[], slot: number): PlannedStep[] {
  const outputs = op.outputs.map((spec) => spec.name);
  const p = (name: string): number => param(op, name);
  const width = (): number => plan.specs.get(inputs[0]!)!.shape.at(-1)!;
  const made = (params: number[], operands: (string | null)[] = [...inputs], weights: WeightName[] = [...op.weights]) =>
    step(op.kind, isSampled(op.outputs[0]!), operands, outputs, weights, params);
  switch (op.kind) {
    case "row_max":
    case "row_squares":
    case "quantise":
      return [made([width(), p("start"), p("stop"), op.params.get("bits") ?? 0])];
    case "sample_blocks":
      return [made([width(), p("vocab"), p("block")])];
    case "linear": {
      const bias = p("bias") ? op.weights[2]! : null;
      return [made(["rows", "columns", "bits", "fraction"].map(p), [...inputs], [...op.weights.slice(0, 2), bias])];
    }
    case "normalise":
      return [
        made(KINDS.get(op.kind)!.params.map(p), [...inputs], [op.weights[0]!, p("bias") ? op.weights[1]! : null]),
      ];
    case "expert_linear": {
      const [gate, residual] = p("combine") ? [inputs[4]!, inputs[5]!] : [null, null];
      const params = ["rows", "columns", "bits", "fraction", "experts", "slots", "slot"].map(p);
      return [made(params, [...inputs.slice(0, 3), residual, inputs[3]!, gate], [op.weights])];
    }
    case "attention": {
      const cache = `${CACHE}${slot}`;
      const sizes = ["heads", "kv_heads", "head_dim", "block", "window", "scale"].map(p);
      return [
        step("append", false, inputs.slice(3), [cache], [], [slot, p("kv_heads"), p("head_dim")]),
        made([slot, ...sizes], [...inputs.slice(0, 3), cache]),
      ];
    }
    default:
      return [made(KINDS.get(op.kind)!.params.map(p))];
  }
}

/** A buffer is free again after the last reader of its tensor. */
function assignBuffers(plan: Plan, source: string, keep: ReadonlySet<string>): void {
  const last = new Map<string, number>();
  plan.steps.forEach((planned, number) => {
    for (const name of planned.inputs) if (name !== null) last.set(name, number);
  });
  const free = new Map<string, number[]>();
  takeBuffer(plan, source, free);
  plan.steps.forEach((planned, number) => {
    const outputs = planned.outputs.filter((name) => !name.startsWith(CACHE));
    for (const name of outputs) takeBuffer(plan, name, free);
    const read = planned.inputs.filter((name): name is string => name !== null && !name.startsWith(CACHE));
    for (const name of new Set([...read, ...outputs])) {
      if ((last.get(name) ?? number) !== number || keep.has(name)) continue;
      const index = plan.bufferOf.get(name)!;
      const key = JSON.stringify(plan.buffers[index]);
      free.set(key, [...(free.get(key) ?? []), index]);
    }
  });
}

function takeBuffer(plan: Plan, name: string, free: Map<string, number[]>): void {
  const spec = plan.specs.get(name)!;
  const byColumn = spec.shape.length > 1 && spec.shape.at(-1)! < 0;
  const wanted: PlannedBuffer = { rowBytes: rowBytesOf(spec), sampled: isSampled(spec), byColumn };
  const found = free.get(JSON.stringify(wanted))?.pop();
  if (found === undefined) plan.buffers.push(wanted);
  plan.bufferOf.set(name, found ?? plan.buffers.length - 1);
}

/** A row-wise step joins the one before it where both run over the same rows; `select_rows` reads others. */
function markChains(plan: Plan): void {
  for (let at = 1; at < plan.steps.length; at++) {
    const [before, planned] = [plan.steps[at - 1]!, plan.steps[at]!];
    const isRowwise = !WHOLE_STEPS.has(before.kind) && !WHOLE_STEPS.has(planned.kind);
    planned.chained = isRowwise && before.sampled === planned.sampled && planned.kind !== "select_rows";
  }
}
