import { UnjudgeableError } from "./errors";
import type { Kernels } from "./kernels";
import { DTYPE_BYTES, type Program, type TensorSpec } from "./program";
import type { TensorFile } from "./safetensors";
import { rowLayout, tensorRoot } from "./tensor_root";
import { MerkleTree, leafHash, type Digest } from "./tree";
import { joined } from "./descriptors";

const MANTISSA_MAX = 2 ** 16 - 1;
const EXPONENT_LIMIT = 128;
const TABLE_LARGEST: Readonly<Record<string, number>> = { "tables.exp2": 2 ** 23, "tables.log2": 2 ** 24 };

/** A model's weights in the kernels' memory, by name, and the root over all of them. */
export interface PlacedWeights {
  readonly addresses: ReadonlyMap<string, number>;
  readonly root: Digest;
}

/**
 * Check every tensor against the program and put it where the kernels read it. `progress` counts bytes.
 * Throws UnjudgeableError where one is missing, of another form, or out of the ranges that ops read.
 */
export function placeWeights(
  kernels: Kernels,
  program: Program,
  file: TensorFile,
  progress: (done: number) => void,
): PlacedWeights {
  const extra = [...file.tensors.keys()].find((name) => !program.weightSpecs.has(name));
  if (extra !== undefined) throw new UnjudgeableError(`tensor ${extra} is not part of the model's program`);
  const addresses = new Map<string, number>();
  const tree = new MerkleTree();
  let done = 0;
  for (const spec of program.weights) {
    const data = tensorOf(file, spec);
    requireRange(spec, data);
    const address = kernels.allocate(data.length);
    kernels.bytes(address, data.length).set(data);
    addresses.set(spec.name, address);
    const tensorTree = kernels.treeRoot(address, data.length, rowLayout(spec.dtype, spec.shape).leafBytes);
    const root = tensorRoot(spec.dtype, spec.shape, tensorTree);
    tree.append(leafHash(joined([new TextEncoder().encode(spec.name), Uint8Array.of(0), root])));
    progress((done += data.length));
  }
  return { addresses, root: tree.root() };
}

/** Bytes of a tensor whose shape is fixed. */
export function tensorBytes(spec: TensorSpec): number {
  return spec.shape.reduce((product, size) => product * size, DTYPE_BYTES[spec.dtype]);
}

function tensorOf(file: TensorFile, spec: TensorSpec): Uint8Array {
  const found = file.tensors.get(spec.name);
  const isRight =
    found?.dtype === spec.dtype &&
    JSON.stringify(found.shape) === JSON.stringify(spec.shape) &&
    found.end - found.start === tensorBytes(spec);
  if (!found || !isRight) throw new UnjudgeableError(`tensor ${spec.name} is not what the model's program declares`);
  return file.data.subarray(found.start, found.end);
}

/** Ops normalise what they read; honest weights need no normalising, and kernels expect none that does. */
function requireRange(spec: TensorSpec, data: Uint8Array): void {
  const largest = TABLE_LARGEST[spec.name];
  if (spec.dtype !== "i32" || (largest === undefined && !spec.name.endsWith(".scale"))) return;
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  for (let at = 0; at < data.length; at += 4) {
    const value = view.getInt32(at, true);
    const isExponent = largest === undefined && at % 8 === 4;
    const [low, high] = isExponent ? [-EXPONENT_LIMIT, EXPONENT_LIMIT] : [0, largest ?? MANTISSA_MAX];
    if (value < low || value > high) throw new UnjudgeableError(`tensor ${spec.name} leaves [${low}, ${high}]`);
  }
}
