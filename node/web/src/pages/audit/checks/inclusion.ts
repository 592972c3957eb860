import { sha256 } from "@noble/hashes/sha2.js";

/** An example with what leads from it to the root of all: `RecordProof` of `nexus_chain/content/record_lines.py`. */
export interface RecordProof {
  readonly format: string;
  readonly root: string;
  readonly size: number;
  readonly index: number;
  readonly record: string;
  readonly siblings: readonly string[];
}

/** Whether `proof` shows its record in the file of `size` records with this `root` (RFC 9162, 2.1.3.2). */
export function isIncluded(proof: RecordProof, root: string, size: number): boolean {
  if (proof.root !== root || proof.size !== size || !Number.isSafeInteger(proof.index)) return false;
  if (proof.index < 0 || proof.index >= size || !proof.siblings.every(isDigest)) return false;
  let hash = hashed(0, new TextEncoder().encode(proof.record));
  let [at, last] = [proof.index, size - 1];
  for (const sibling of proof.siblings) {
    if (last === 0) return false;
    const other = bytesOf(sibling);
    if (at % 2 === 1 || at === last) {
      hash = hashed(1, other, hash);
      // A last node without a neighbour is lifted until it has one.
      while (at % 2 === 0 && at !== 0) [at, last] = [at / 2, Math.floor(last / 2)];
    } else {
      hash = hashed(1, hash, other);
    }
    [at, last] = [Math.floor(at / 2), Math.floor(last / 2)];
  }
  return last === 0 && hexOf(hash) === root;
}

function hashed(prefix: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const state = sha256.create().update(new Uint8Array([prefix]));
  for (const part of parts) state.update(part);
  return state.digest();
}

function isDigest(text: string): boolean {
  return /^0x[0-9a-f]{64}$/.test(text);
}

function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from(hex.slice(2).match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

function hexOf(bytes: Uint8Array): string {
  return `0x${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}
