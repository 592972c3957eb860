import { ACTIVATION_FRACTION, ProgramBuilder, RESIDUAL_FRACTION, ROUTER_FRACTION } from "./builder";
import type { ExpertChoice, Product, Rows } from "./builder";
import { POSITIONS, SAMPLED, TOKENS, type ModelShape } from "./program";

const DOWN_CHUNK = 8192;
const ATTENTION_BLOCK = 1024;
const SAMPLE_BLOCK = 512;
const LOGITS_PIECE = 2048;
const ATTENTION_SCALE = 66572;

/** What a program says of itself, besides its shape: all that builders leave open. */
export interface Choices {
  readonly embedShift: number;
  readonly headBits: number;
  /** Whether the rows "LAYER.FAMILY" have 15 bits. */
  readonly isWide: (name: string) => boolean;
  /** Whether the matrix "LAYER.NAME", or "head", has two parts. */
  readonly isFine: (name: string) => boolean;
}

/** Builds the op list of a decoder: the twin of nexus_chain/program/blocks.py and decoder.py. */
export class DecoderBuilder extends ProgramBuilder {
  constructor(
    private readonly shape: ModelShape,
    private readonly choices: Choices,
  ) {
    super();
  }

  build(): void {
    const { shape } = this;
    const table = this.weight("embed.table", "i16", shape.vocab, shape.width);
    let [residual] = this.add(
      "embed",
      "embed",
      [TOKENS],
      { "embed.residual": ["i32", POSITIONS, shape.width] },
      [table],
      {
        vocab: shape.vocab,
        width: shape.width,
        shift: this.choices.embedShift,
      },
    ) as [string];
    for (this.layer = 0; this.layer < shape.layers; this.layer++) residual = this.mlp(this.attention(residual));
    this.layer = shape.layers - 1;
    this.head(residual);
  }

  private bitsOf(family: string): number {
    return this.choices.isWide(`${this.layer}.${family}`) ? 15 : 8;
  }

  private exp2(): string {
    return this.weight("tables.exp2", "i32", 257);
  }

  /** A product, in two parts where the matrix `matrix` is a fine one. */
  private projection(name: string, matrix: string, made: Product): string {
    const output = made.output ?? `${name}.output`;
    if (!this.choices.isFine(matrix === "head" ? matrix : `${this.layer}.${matrix}`)) {
      return this.linear(name, { ...made, output });
    }
    const first = this.linear(name, { ...made, output: `${name}.rounded` });
    return this.linear(`${name}.remainder`, {
      rows: made.rows,
      size: made.size,
      bits: made.bits,
      residual: first,
      output,
      fraction: made.residual === undefined ? ACTIVATION_FRACTION : RESIDUAL_FRACTION,
    });
  }

  private normedRows(name: string, source: string, bits: number): Rows {
    const { width, rms_eps } = this.shape;
    const largest = this.rowMax(name, source, 0, width);
    const squares = { [`${name}.squares`]: ["i64", this.rowCount] as const };
    const range = { start: 0, stop: width };
    const total = this.add("row_squares", `${name}.row_squares`, [source, largest], squares, [], range);
    const epsilon = normEpsilon(rms_eps, width, RESIDUAL_FRACTION);
    this.add("norm_scale", `${name}.norm_scale`, [largest, ...total], this.scaleOf(name), [], { epsilon });
    return [this.quantise(name, source, largest, [0, width], bits), `${name}.m`, `${name}.e`];
  }

  private normedHeads(name: string, source: string, heads: number): string {
    const size = this.shape.head_dim;
    const gain = this.weight(`${name}.gain`, "i32", size);
    this.add("normalise", name, [source], { [`${name}.output`]: ["i32", POSITIONS, heads * size] }, [gain], {
      groups: heads,
      size,
      centred: 0,
      epsilon: normEpsilon(this.shape.rms_eps, size, ACTIVATION_FRACTION),
      bias: 0,
    });
    return `${name}.output`;
  }

  private attention(residual: string): string {
    const { shape } = this;
    const prefix = `layers.${this.layer}.attention`;
    const bits = this.bitsOf("attention_input");
    const rows = this.normedRows(`${prefix}.norm`, residual, bits);
    const projected = (name: string, heads: number): string => {
      const bias = shape.attention_bias || shape.qkv_bias;
      return this.projection(`${prefix}.${name}`, name, {
        rows,
        size: [heads * shape.head_dim, shape.width],
        bits,
        bias,
      });
    };
    let query = projected("query", shape.heads);
    let key = projected("key", shape.kv_heads);
    const value = projected("value", shape.kv_heads);
    if (shape.qk_norm) {
      query = this.normedHeads(`${prefix}.query_norm`, query, shape.heads);
      key = this.normedHeads(`${prefix}.key_norm`, key, shape.kv_heads);
    }
    const q = this.rotatedHeads(`${prefix}.q`, query, shape.heads);
    const k = this.rotatedHeads(`${prefix}.k`, key, shape.kv_heads);
    const mixed = this.mixedValues(prefix, [...q, ...k, ...this.values(prefix, value)]);
    const wide = shape.heads * shape.head_dim;
    const outputBits = this.bitsOf("attention_output");
    return this.projection(`${prefix}.output`, "output", {
      rows: this.scaledRows(`${prefix}.mixed`, mixed, 0, wide, outputBits),
      size: [shape.width, wide],
      bits: outputBits,
      bias: shape.attention_bias,
      residual,
      output: `${prefix}.residual`,
    });
  }

  private rotatedHeads(name: string, source: string, heads: number): Rows {
    const size = this.shape.head_dim;
    const perHead = ["i32", POSITIONS, heads] as const;
    const outputs = {
      [name]: ["i8", POSITIONS, heads, size] as const,
      [`${name}_max`]: perHead,
      [`${name}_m`]: perHead,
      [`${name}_e`]: perHead,
    };
    const table = this.weight("tables.rope", "i16", this.shape.context, size);
    this.add("rope_quantise", `${name}.rope_quantise`, [source], outputs, [table], { heads, head_dim: size });
    return [name, `${name}_m`, `${name}_e`];
  }

  private values(prefix: string, source: string): string[] {
    const { kv_heads: heads, head_dim: size } = this.shape;
    const params = { heads, head_dim: size };
    const rows = {
      [`${prefix}.v`]: ["i8", POSITIONS, heads, size] as const,
      [`${prefix}.v_max`]: ["i32", POSITIONS, heads] as const,
    };
    const byRow = this.add("value_quantise", `${prefix}.value_quantise`, [source], rows, [], params);
    const columns = {
      [`${prefix}.v_columns`]: ["i8", heads, size, POSITIONS] as const,
      [`${prefix}.v_max_columns`]: ["i32", heads, POSITIONS] as const,
    };
    return this.add("value_layout", `${prefix}.value_layout`, byRow, columns, [], params);
  }

  private mixedValues(prefix: string, heads: readonly string[]): string {
    const { shape } = this;
    const outputs = { [`${prefix}.mixed`]: ["i32", POSITIONS, shape.heads * shape.head_dim] as const };
    this.add("attention", `${prefix}.attention`, heads, outputs, [this.exp2()], {
      heads: shape.heads,
      kv_heads: shape.kv_heads,
      head_dim: shape.head_dim,
      block: ATTENTION_BLOCK,
      window: shape.windows[this.layer] ?? 0,
      scale: ATTENTION_SCALE,
    });
    return `${prefix}.mixed`;
  }

  private mlp(residual: string): string {
    const { shape } = this;
    const prefix = `layers.${this.layer}.mlp`;
    const bits = this.bitsOf("mlp_input");
    const rows = this.normedRows(`${prefix}.norm`, residual, bits);
    if (shape.experts) {
      return this.routed(prefix, residual, rows).reduce(
        (sum, choice) => this.expert(prefix, choice, rows, sum),
        residual,
      );
    }
    const projected = (name: string): string =>
      this.projection(`${prefix}.${name}`, name, { rows, size: [shape.ffn, shape.width], bits, bias: shape.mlp_bias });
    const gate = projected("gate");
    const source = this.activated(prefix, gate, projected("up"));
    return this.chunks(prefix, source, residual, (name, made, start) =>
      this.projection(name, "down", { ...made, bias: shape.mlp_bias && start === 0 }),
    );
  }

  /** The down projection in chunks, each added to the residual. */
  private chunks(
    prefix: string,
    source: string,
    residual: string,
    product: (name: string, made: Product, start: number, number: number) => string,
  ): string {
    const bits = this.bitsOf("down");
    for (let start = 0, number = 0; start < this.shape.ffn; start += DOWN_CHUNK, number++) {
      const stop = Math.min(start + DOWN_CHUNK, this.shape.ffn);
      const name = `${prefix}.down.${number}`;
      const rows = this.scaledRows(name, source, start, stop, bits);
      const size = [this.shape.width, stop - start] as const;
      residual = product(name, { rows, size, bits, residual, output: `${name}.residual` }, start, number);
    }
    return residual;
  }

  private activated(prefix: string, gate: string, up: string): string {
    const width = this.shape.ffn;
    const hidden = { [`${prefix}.hidden`]: ["i32", POSITIONS, width] as const };
    this.add("silu_product", `${prefix}.silu_product`, [gate, up], hidden, [this.exp2()], { width });
    return `${prefix}.hidden`;
  }

  private routed(prefix: string, residual: string, normed: Rows): ExpertChoice[] {
    const { shape } = this;
    const name = `${prefix}.router`;
    let rows = normed;
    if (this.bitsOf("mlp_input") !== 15) {
      rows = [this.quantise(name, residual, `${prefix}.norm.max`, [0, shape.width], 15), normed[1], normed[2]];
    }
    const size = [shape.experts, shape.width] as const;
    const logits = this.linear(name, { rows, size, bits: 15, fraction: ROUTER_FRACTION });
    const slots = ["i32", POSITIONS, shape.experts_per_token] as const;
    const outputs = { [`${prefix}.route.index`]: slots, [`${prefix}.route.gate`]: slots };
    const params = { experts: shape.experts, slots: shape.experts_per_token };
    const [index, gate] = this.add("route", `${prefix}.route`, [logits], outputs, [this.exp2()], params) as [
      string,
      string,
    ];
    return Array.from({ length: params.slots }, (_, slot) => ({ index, gate, ...params, slot }));
  }

  private expert(prefix: string, choice: ExpertChoice, rows: Rows, residual: string): string {
    const { shape } = this;
    const slot = `${prefix}.slots.${choice.slot}`;
    const matrices = (name: string) => (expert: number) => `${prefix}.experts.${expert}.${name}`;
    const made = { rows, size: [shape.ffn, shape.width] as const, bits: this.bitsOf("mlp_input") };
    const gate = this.expertLinear(`${slot}.gate`, made, choice, matrices("gate"));
    const source = this.activated(slot, gate, this.expertLinear(`${slot}.up`, made, choice, matrices("up")));
    return this.chunks(slot, source, residual, (name, product, _, number) =>
      this.expertLinear(name, product, choice, matrices(`down.${number}`)),
    );
  }

  private head(residual: string): void {
    const { vocab, width } = this.shape;
    this.rowCount = SAMPLED;
    const bits = this.choices.headBits;
    const rows = this.normedRows("head.norm", residual, bits);
    const size = [logitsWidth(vocab), width] as const;
    const logits = this.projection("head", "head", { rows, size, bits, output: "head.logits" });
    const blocks = Math.ceil(vocab / SAMPLE_BLOCK);
    const outputs = {
      "sample.block_max": ["i64", SAMPLED, blocks] as const,
      "sample.block_index": ["i32", SAMPLED, blocks] as const,
    };
    const params = { vocab, block: SAMPLE_BLOCK };
    const table = this.weight("tables.log2", "i32", 257);
    const best = this.add("sample_blocks", "sample_blocks", [logits], outputs, [table], params);
    this.add("sample", "sample", best, { "sample.token": ["i32", SAMPLED] }, [], { blocks });
  }
}

/** Columns of the logits of `vocab` tokens: as many more as let a row be halved into short pieces. */
function logitsWidth(vocab: number): number {
  let pieces = 1;
  while (pieces * LOGITS_PIECE < vocab) pieces *= 2;
  return Math.ceil(vocab / pieces) * pieces;
}

/** A norm's epsilon in units of a sum of `size` squares; halves to even, as Python rounds. */
function normEpsilon(epsilon: number, size: number, fraction: number): number {
  const exact = epsilon * size * 2 ** (2 * fraction);
  const floor = Math.floor(exact);
  const rest = exact - floor;
  if (rest === 0.5) return floor % 2 === 0 ? floor : floor + 1;
  return rest < 0.5 ? floor : floor + 1;
}
