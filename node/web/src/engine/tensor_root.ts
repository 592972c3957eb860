import { sha256 } from "@noble/hashes/sha2.js";

import { DTYPE_BYTES, DTYPE_CODES, type Dtype } from "./program";
import { MerkleTree, leafHash, type Digest } from "./tree";

/** Roots of integer tensors: the twin of nexus_chain/commitments/tensor.py, where the layout is explained. */
export const NO_SALT = new Uint8Array(32);
const LEAF_BYTES = 1024;
const LONGEST_LEAF = 8192;
const TAG = new TextEncoder().encode("nexus.tensor.v1");

export interface RowLayout {
  readonly rows: number;
  readonly rowBytes: number;
  readonly rowsPerLeaf: number;
  readonly leavesPerRow: number;
  /** Bytes of every leaf but the last. */
  readonly leafBytes: number;
}

export function rowLayout(dtype: Dtype, shape: readonly number[]): RowLayout {
  const columns = shape.length > 1 ? shape[shape.length - 1]! : 1;
  const rows = (shape.length > 1 ? shape.slice(0, -1) : shape).reduce((product, size) => product * size, 1);
  const rowBytes = DTYPE_BYTES[dtype] * columns;
  let rowsPerLeaf = 1;
  if (rowBytes > 0) while (rowsPerLeaf * 2 * rowBytes <= LEAF_BYTES) rowsPerLeaf *= 2;
  let leavesPerRow = 1;
  while (rowBytes > leavesPerRow * LONGEST_LEAF && columns % (2 * leavesPerRow) === 0) leavesPerRow *= 2;
  const leafBytes = Math.max(1, Math.floor((rowsPerLeaf * rowBytes) / leavesPerRow));
  return { rows, rowBytes, rowsPerLeaf, leavesPerRow, leafBytes };
}

/** Binds the root of a tensor's tree to its dtype, shape and salt. */
export function tensorRoot(dtype: Dtype, shape: readonly number[], tree: Digest, salt: Uint8Array = NO_SALT): Digest {
  const head = new DataView(new ArrayBuffer(2 + 8 * shape.length));
  head.setUint8(0, DTYPE_CODES[dtype]);
  head.setUint8(1, shape.length);
  shape.forEach((size, at) => head.setBigUint64(2 + 8 * at, BigInt(size)));
  return sha256.create().update(TAG).update(salt).update(new Uint8Array(head.buffer)).update(tree).digest();
}

/** Hashes of consecutive leaves. */
export function leafHashes(data: Uint8Array, leafBytes: number): Digest[] {
  const found: Digest[] = [];
  for (let at = 0; at < data.length; at += leafBytes) found.push(leafHash(data.subarray(at, at + leafBytes)));
  return found;
}

/** Root of a whole tensor from its little-endian bytes. */
export function commit(dtype: Dtype, shape: readonly number[], data: Uint8Array, salt: Uint8Array = NO_SALT): Digest {
  const tree = new MerkleTree(leafHashes(data, rowLayout(dtype, shape).leafBytes));
  return tensorRoot(dtype, shape, tree.root(), salt);
}

/** Root of tokens i32[n] under an order's salt. */
export function commitTokens(tokens: readonly number[], salt: Uint8Array): Digest {
  return commit("i32", [tokens.length], bytesOf(Int32Array.from(tokens)), salt);
}

/** Browsers are little-endian, as the commitments are. */
export function bytesOf(values: Int32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

/** Boundary rows i32[n, width], of which any prefix has a root. */
export class BoundaryRoots {
  readonly leaves: Digest[];
  private readonly tree: MerkleTree;
  private readonly layout: RowLayout;

  constructor(
    private readonly rows: Int32Array,
    readonly width: number,
    private readonly salt: Uint8Array,
  ) {
    this.layout = rowLayout("i32", [rows.length / width, width]);
    this.leaves = leafHashes(bytesOf(rows), this.layout.leafBytes);
    this.tree = new MerkleTree(this.leaves);
  }

  get length(): number {
    return this.layout.rows;
  }

  get rowsPerLeaf(): number {
    return this.layout.rowsPerLeaf;
  }

  /** First row of which a leaf holds anything. */
  firstRowOf(leaf: number): number {
    return Math.floor(leaf / this.layout.leavesPerRow) * this.layout.rowsPerLeaf;
  }

  /** Tensor root of the first `to` rows. */
  root(to: number): Digest {
    const { rowsPerLeaf, leavesPerRow, rowBytes } = this.layout;
    const full = Math.floor(to / rowsPerLeaf);
    const rest = bytesOf(this.rows).subarray(full * rowsPerLeaf * rowBytes, to * rowBytes);
    const tail = rest.length > 0 ? leafHash(rest) : undefined;
    return tensorRoot("i32", [to, this.width], this.tree.root(full * leavesPerRow, tail), this.salt);
  }
}
