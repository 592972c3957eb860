import { sha256 } from "@noble/hashes/sha2.js";

/** SHA-256 Merkle trees of RFC 9162: leaf = H(0x00 || data), node = H(0x01 || left || right), empty = H(""). */
export type Digest = Uint8Array;

const LEAF = Uint8Array.of(0);
const NODE = Uint8Array.of(1);

export function leafHash(data: Uint8Array): Digest {
  return sha256.create().update(LEAF).update(data).digest();
}

export function nodeHash(left: Digest, right: Digest): Digest {
  return sha256.create().update(NODE).update(left).update(right).digest();
}

/** A tree that grows and keeps every perfect subtree, so that any prefix has a cheap root. */
export class MerkleTree {
  /** [level][i]: root over leaves [i << level, (i + 1) << level). */
  private readonly levels: Digest[][] = [[]];

  constructor(hashes: Iterable<Digest> = []) {
    for (const hash of hashes) this.append(hash);
  }

  get size(): number {
    return this.levels[0]!.length;
  }

  append(hash: Digest): void {
    this.levels[0]!.push(hash);
    for (let level = 0; this.levels[level]!.length % 2 === 0; level++) {
      const below = this.levels[level]!;
      const above = (this.levels[level + 1] ??= []);
      above.push(nodeHash(below[below.length - 2]!, below[below.length - 1]!));
    }
  }

  /** Root over the first `size` leaves, followed by the leaf hash `tail` where there is one. */
  root(size = this.size, tail?: Digest): Digest {
    if (size < 0 || size > this.size) throw new RangeError(`the tree has ${this.size} leaves, not ${size}`);
    let fold = tail;
    for (let level = 0; 2 ** level <= size; level++) {
      const index = Math.floor(size / 2 ** level);
      if (index % 2 === 0) continue;
      const part = this.levels[level]![index - 1]!;
      fold = fold === undefined ? part : nodeHash(part, fold);
    }
    return fold ?? sha256(new Uint8Array());
  }
}

export function sameBytes(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, at) => byte === other[at]);
}
