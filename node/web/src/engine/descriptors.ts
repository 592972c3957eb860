import { sha256 } from "@noble/hashes/sha2.js";

import { KINDS } from "./op_kinds";
import { DTYPE_CODES, param, type Op, type Program, type TensorSpec } from "./program";
import { MerkleTree, leafHash, type Digest } from "./tree";

const DESCRIPTOR_VERSION = 1;
const MAX_DIMENSIONS = 3;
const WORD = 32;

/** Root over the canonical bytes of every op: what a version's `programRoot` is. */
export function programRoot(program: Program): Digest {
  return new MerkleTree(descriptors(program).map(leafHash)).root();
}

/** Canonical bytes of every op: the twin of `Program.descriptors` in nexus_chain/program/descriptors.py. */
export function descriptors(program: Program): Uint8Array[] {
  const activations = new Map([...program.tensors.keys()].map((name, number) => [name, number]));
  const weights = new Map(program.weights.map((spec, number) => [spec.name, number]));
  return program.ops.map((op) => {
    const tensors = [...op.inputs, ...op.outputs.map((spec) => spec.name)];
    return joined([
      header(op),
      ...KINDS.get(op.kind)!.params.map((name) => signedWord(param(op, name))),
      ...tensors.flatMap((name) => tensorWords(program.tensors.get(name)!, activations.get(name)!)),
      ...op.weights.flatMap((name) => tensorWords(program.weightSpecs.get(name)!, weights.get(name)!)),
    ]);
  });
}

function header(op: Op): Uint8Array {
  const word = new Uint8Array(WORD);
  const sizes = [op.params.size, op.inputs.length, op.outputs.length, op.weights.length];
  word.set([DESCRIPTOR_VERSION, KINDS.get(op.kind)!.code, op.layer >> 8, op.layer & 255, ...sizes]);
  return word;
}

function signedWord(value: number): Uint8Array {
  const word = new Uint8Array(WORD).fill(value < 0 ? 255 : 0);
  new DataView(word.buffer).setBigInt64(WORD - 8, BigInt(value));
  return word;
}

/** SHA-256 of the name, then type, rank, number and dimensions. */
function tensorWords(spec: TensorSpec, number: number): Uint8Array[] {
  const word = new Uint8Array(WORD);
  const view = new DataView(word.buffer);
  word.set([DTYPE_CODES[spec.dtype], spec.shape.length]);
  view.setUint32(4, number);
  for (let at = 0; at < MAX_DIMENSIONS; at++) view.setBigInt64(8 + 8 * at, BigInt(spec.shape[at] ?? 1));
  return [sha256(new TextEncoder().encode(spec.name)), word];
}

export function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
