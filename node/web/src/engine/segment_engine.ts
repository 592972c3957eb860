import { KINDS, STEP_CODES } from "./op_kinds";
import { SIZES, type Kernels } from "./kernels";
import { CACHE, planSteps, type Plan, type PlannedStep, type WeightName } from "./plan";
import { SAMPLED, param, segmentOf, type Op, type Program, type TensorSpec } from "./program";
import { noiseKeys, type Sampling } from "./sampling";

/** Kernels read whole blocks of so many positions of a cache. */
const CAPACITY_STEP = 64;
const SAMPLING_WORDS = 3;

/** One sequence, from its first position on. */
export interface Sequence {
  readonly promptLength: number;
  readonly sampling: Sampling;
  /** Most positions. */
  readonly capacity: number;
}

/**
 * Layers [start, end) of a program over one sequence: the twin of nexus_chain/engine/native_executor.py. `close` it.
 *
 * `weights` are addresses in the kernels' memory; `keep` names tensors besides the output that can be read after a run.
 */
export class SegmentEngine {
  readonly output: TensorSpec;
  private readonly plan: Plan;
  private readonly buffers: number[];
  private readonly steps: number;
  private readonly batch: number;
  private readonly owned: number[] = [];
  private position = 0;

  constructor(
    private readonly kernels: Kernels,
    program: Program,
    private readonly weights: ReadonlyMap<string, number>,
    layers: readonly [number, number],
    private readonly sequence: Sequence,
    private readonly mostRows: number,
    keep: readonly string[] = [],
  ) {
    const ops = segmentOf(program, ...layers);
    this.output = ops.at(-1)!.outputs[0]!;
    const source = program.tensors.get(ops[0]!.inputs[0]!)!;
    this.plan = planSteps(ops, source, new Set([this.output.name, ...keep]));
    this.buffers = this.plan.buffers.map(({ rowBytes }) => this.own(kernels.allocate(rowBytes * mostRows)));
    this.steps = this.own(kernels.allocateZeros(this.plan.steps.length * SIZES.step));
    this.plan.steps.forEach((planned, number) => this.writeStep(this.steps + number * SIZES.step, planned));
    this.batch = this.writeBatch(ops);
  }

  /** Feed rows i32[t] or i32[t, width], at most `mostRows` of them; the output: residual rows, or sampled tokens. */
  forward(rows: Int32Array): Int32Array {
    const source = this.plan.specs.keys().next().value!;
    const width = this.plan.specs.get(source)!.shape[1] ?? 1;
    const count = rows.length / width;
    const sampled = this.fillBatch(count);
    this.kernels.words(this.buffers[this.plan.bufferOf.get(source)!]!, rows.length).set(rows);
    this.kernels.run(this.steps, this.plan.steps.length, this.batch);
    this.position += count;
    const isSampled = this.output.shape.includes(SAMPLED);
    const found = this.read(this.output.name, isSampled ? sampled : count);
    return new Int32Array(found.buffer);
  }

  /** Bytes of a kept tensor after a run over `count` rows (sampled rows for one over sampled positions). */
  read(name: string, count: number): Uint8Array {
    const index = this.plan.bufferOf.get(name)!;
    return this.kernels.bytes(this.buffers[index]!, this.plan.buffers[index]!.rowBytes * count).slice();
  }

  close(): void {
    for (const address of this.owned.splice(0)) this.kernels.free(address);
  }

  private own(address: number): number {
    this.owned.push(address);
    return address;
  }

  private writeStep(at: number, planned: PlannedStep): void {
    const addresses = planned.weights.map((name) => this.weightAddress(name));
    const view = this.kernels.view();
    const words = [STEP_CODES.get(planned.kind)!, Number(planned.sampled), Number(planned.chained), 0];
    words.forEach((word, n) => view.setInt32(at + 4 * n, word, true));
    planned.inputs.forEach((name, n) => view.setUint32(at + 16 + 4 * n, this.bufferAddress(name), true));
    planned.outputs.forEach((name, n) => view.setUint32(at + 40 + 4 * n, this.bufferAddress(name), true));
    addresses.forEach((address, n) => view.setUint32(at + 60 + 4 * n, address, true));
    planned.params.forEach((value, n) => view.setBigInt64(at + 72 + 8 * n, BigInt(value), true));
  }

  private bufferAddress(name: string | null): number {
    return name === null || name.startsWith(CACHE) ? 0 : this.buffers[this.plan.bufferOf.get(name)!]!;
  }

  private weightAddress(name: WeightName): number {
    if (name === null) return 0;
    if (typeof name === "string") return this.weights.get(name)!;
    const table = this.own(this.kernels.allocateZeros((name.length / 2) * SIZES.matrix));
    const view = this.kernels.view();
    name.forEach((weight, n) => {
      view.setUint32(table + Math.floor(n / 2) * SIZES.matrix + 4 * (n % 2), this.weights.get(weight)!, true);
    });
    return table;
  }

  /** What does not change from run to run: the sequence with its caches, and where rows are described. */
  private writeBatch(ops: readonly Op[]): number {
    const { mostRows, kernels } = this;
    const capacity = Math.ceil(this.sequence.capacity / CAPACITY_STEP) * CAPACITY_STEP;
    const caches = this.writeCaches(ops, capacity);
    const places = [4, 8, 8 * SAMPLING_WORDS].map((bytes) => this.own(kernels.allocateZeros(bytes * mostRows)));
    const sequence = this.own(kernels.allocateZeros(SIZES.sequence));
    const batch = this.own(kernels.allocateZeros(SIZES.batch));
    const view = kernels.view();
    view.setBigInt64(sequence + 24, BigInt(capacity), true);
    view.setUint32(sequence + 32, caches, true);
    view.setBigInt64(batch + 8, 1n, true);
    view.setBigInt64(batch + 24, 1n, true);
    [sequence, ...places].forEach((address, n) => view.setUint32(batch + 32 + 4 * n, address, true));
    return batch;
  }

  private writeCaches(ops: readonly Op[], capacity: number): number {
    const cached = ops.filter((op) => KINDS.get(op.kind)!.cached);
    const table = this.own(this.kernels.allocateZeros(Math.max(1, cached.length) * SIZES.cache));
    cached.forEach((op, slot) => {
      const groups = param(op, "kv_heads") * capacity;
      const bytes = groups * param(op, "head_dim");
      const tensors = [bytes, 4 * groups, 4 * groups, bytes, 4 * groups];
      const addresses = tensors.map((size) => this.own(this.kernels.allocateZeros(size)));
      const view = this.kernels.view();
      addresses.forEach((address, n) => view.setUint32(table + slot * SIZES.cache + 4 * n, address, true));
    });
    return table;
  }

  /** Describe the next `count` rows; returns how many of them are sampled. */
  private fillBatch(count: number): number {
    const { promptLength, sampling } = this.sequence;
    const first = Math.min(Math.max(promptLength - 1 - this.position, 0), count);
    const isLast = this.output.shape.includes(SAMPLED);
    const sampled = isLast ? count - first : 0;
    const view = this.kernels.view();
    const [sequence, positions, rows, noise] = [0, 1, 2, 3].map((n) => view.getUint32(this.batch + 32 + 4 * n, true));
    view.setBigInt64(this.batch, BigInt(count), true);
    view.setBigInt64(this.batch + 16, BigInt(sampled), true);
    view.setBigInt64(sequence! + 8, BigInt(count), true);
    view.setBigInt64(sequence! + 16, BigInt(this.position), true);
    for (let n = 0; n < count; n++) view.setInt32(positions! + 4 * n, this.position + n, true);
    for (let n = 0; n < sampled; n++) {
      view.setBigInt64(rows! + 8 * n, BigInt(first + n), true);
      const words = [sampling.beta, ...noiseKeys(sampling, this.position + first + n)];
      words.forEach((word, at) => view.setBigInt64(noise! + 8 * (SAMPLING_WORDS * n + at), BigInt(word), true));
    }
    return sampled;
  }
}
