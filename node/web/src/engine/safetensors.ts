import { UnjudgeableError } from "./errors";
import type { Dtype } from "./program";

const DTYPES: ReadonlyMap<unknown, Dtype> = new Map([
  ["I8", "i8"],
  ["I16", "i16"],
  ["I32", "i32"],
  ["I64", "i64"],
]);
const LONGEST_HEADER = 32 << 20;

export interface StoredTensor {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** Bytes [start, end) of the data. */
  readonly start: number;
  readonly end: number;
}

/** A safetensors file: its tensors by name, and the bytes behind its header. */
export interface TensorFile {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly data: Uint8Array;
}

/** Throws UnjudgeableError for anything but a safetensors file of integers. */
export function parseSafetensors(file: Uint8Array): TensorFile {
  const view = new DataView(file.buffer, file.byteOffset, file.length);
  const length = file.length >= 8 ? Number(view.getBigUint64(0, true)) : 0;
  if (length === 0 || length > Math.min(LONGEST_HEADER, file.length - 8)) throw malformed("its header is cut off");
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(file.subarray(8, 8 + length)));
  } catch {
    throw malformed("its header is no JSON");
  }
  if (typeof header !== "object" || header === null) throw malformed("its header is no object");
  const data = file.subarray(8 + length);
  const entries = Object.entries(header).filter(([name]) => name !== "__metadata__");
  return { tensors: new Map(entries.map(([name, entry]) => [name, tensorOf(name, entry, data.length)])), data };
}

function tensorOf(name: string, entry: unknown, size: number): StoredTensor {
  const { dtype, shape, data_offsets: offsets } = (entry ?? {}) as Record<string, unknown>;
  const type = DTYPES.get(dtype);
  if (!type || !isSizes(shape) || !isSizes(offsets) || offsets.length !== 2)
    throw malformed(`${name} is not described`);
  const [start, end] = offsets as [number, number];
  if (start > end || end > size) throw malformed(`${name} lies outside of it`);
  return { dtype: type, shape, start, end };
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);
}

function malformed(problem: string): UnjudgeableError {
  return new UnjudgeableError(`the model's weights are no safetensors file: ${problem}`);
}
