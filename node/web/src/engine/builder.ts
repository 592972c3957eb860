import { POSITIONS, type Dtype, type Op, type TensorSpec } from "./program";

export const ACTIVATION_FRACTION = 12;
export const RESIDUAL_FRACTION = 16;
export const ROUTER_FRACTION = 15;

type Form = readonly [Dtype, ...number[]];

/** One slot of a `route` op: names of its outputs, and its sizes. */
export interface ExpertChoice {
  readonly index: string;
  readonly gate: string;
  readonly experts: number;
  readonly slots: number;
  readonly slot: number;
}

/** Names of quantised rows and of their scales: (q, m, e). */
export type Rows = readonly [string, string, string];

export interface Product {
  readonly rows: Rows;
  /** Output rows and columns of the matrix. */
  readonly size: readonly [number, number];
  readonly bits: number;
  readonly bias?: boolean;
  readonly residual?: string;
  readonly output?: string;
  readonly fraction?: number;
}

/** Collects ops and weights: the twin of nexus_chain/program/builder.py. */
export class ProgramBuilder {
  readonly ops: Op[] = [];
  readonly weights = new Map<string, TensorSpec>();
  layer = 0;
  /** Dimension of the rows of what is added: positions or sampled ones. */
  rowCount = POSITIONS;

  weight(name: string, dtype: Dtype, ...shape: number[]): string {
    if (!this.weights.has(name)) this.weights.set(name, { name, dtype, shape });
    return name;
  }

  /** Append an op of the current layer; returns the names of its outputs. */
  add(
    kind: string,
    name: string,
    inputs: readonly string[],
    outputs: Readonly<Record<string, Form>>,
    weights: readonly string[],
    params: Readonly<Record<string, number>>,
  ): string[] {
    const specs = Object.entries(outputs).map(([tensor, [dtype, ...shape]]) => ({ name: tensor, dtype, shape }));
    const known = new Map(Object.entries(params));
    this.ops.push({ kind, name, layer: this.layer, inputs, outputs: specs, weights, params: known });
    return Object.keys(outputs);
  }

  /** Largest magnitude of every row's columns [start, stop). */
  rowMax(name: string, source: string, start: number, stop: number): string {
    this.add("row_max", `${name}.row_max`, [source], { [`${name}.max`]: ["i32", this.rowCount] }, [], { start, stop });
    return `${name}.max`;
  }

  quantise(name: string, source: string, largest: string, range: readonly [number, number], bits: number): string {
    const [start, stop] = range;
    const planes = bits === 15 ? [2] : [];
    const outputs: Record<string, Form> = { [`${name}.q`]: ["i8", this.rowCount, ...planes, stop - start] };
    this.add("quantise", `${name}.quantise`, [source, largest], outputs, [], { start, stop, bits });
    return `${name}.q`;
  }

  /** Rows quantised by their own largest element. */
  scaledRows(name: string, source: string, start: number, stop: number, bits: number): Rows {
    const largest = this.rowMax(name, source, start, stop);
    this.add("row_scale", `${name}.row_scale`, [largest], this.scaleOf(name), [], {});
    return [this.quantise(name, source, largest, [start, stop], bits), `${name}.m`, `${name}.e`];
  }

  scaleOf(name: string): Record<string, Form> {
    return { [`${name}.m`]: ["i32", this.rowCount], [`${name}.e`]: ["i32", this.rowCount] };
  }

  /** A product with an int8 matrix; returns its output's name. */
  linear(name: string, made: Product): string {
    const { rows, size, bits, bias = false, residual } = made;
    const [count, columns] = size;
    const weights = [
      this.weight(`${name}.weight`, "i8", count, columns),
      this.weight(`${name}.scale`, "i32", count, 2),
    ];
    if (bias) weights.push(this.weight(`${name}.bias`, "i32", count));
    const output = made.output ?? `${name}.output`;
    const inputs = residual === undefined ? rows : [...rows, residual];
    this.add("linear", name, inputs, { [output]: ["i32", this.rowCount, count] }, weights, {
      rows: count,
      columns,
      bits,
      fraction: made.fraction ?? fractionOf(residual),
      bias: Number(bias),
      residual: Number(residual !== undefined),
    });
    return output;
  }

  /** A product with the matrix of the expert that a slot chose; `matrices` names expert n's. */
  expertLinear(name: string, made: Product, choice: ExpertChoice, matrices: (expert: number) => string): string {
    const { rows, size, bits, residual } = made;
    const [count, columns] = size;
    const weights: string[] = [];
    for (let expert = 0; expert < choice.experts; expert++) {
      weights.push(this.weight(`${matrices(expert)}.weight`, "i8", count, columns));
      weights.push(this.weight(`${matrices(expert)}.scale`, "i32", count, 2));
    }
    const output = made.output ?? `${name}.output`;
    const combined = residual === undefined ? [] : [choice.gate, residual];
    this.add(
      "expert_linear",
      name,
      [...rows, choice.index, ...combined],
      { [output]: ["i32", this.rowCount, count] },
      weights,
      {
        rows: count,
        columns,
        bits,
        fraction: fractionOf(residual),
        experts: choice.experts,
        slots: choice.slots,
        slot: choice.slot,
        combine: Number(residual !== undefined),
      },
    );
    return output;
  }
}

function fractionOf(residual: string | undefined): number {
  return residual === undefined ? ACTIVATION_FRACTION : RESIDUAL_FRACTION;
}
