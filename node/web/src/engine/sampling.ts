import { sha256 } from "@noble/hashes/sha2.js";

/** What an order fixes about sampling: `beta` is log2(e)/temperature in Q16, 0 for greedy; `seed` has 32 bytes. */
export interface Sampling {
  readonly beta: number;
  readonly seed: Uint8Array;
}

const DOMAIN = new TextEncoder().encode("nexus.gumbel.v1");

/** Two 32-bit keys of the noise that is added to the logits of a position. */
export function noiseKeys(sampling: Sampling, position: number): [number, number] {
  const place = new Uint8Array(8);
  new DataView(place.buffer).setBigUint64(0, BigInt(position));
  const digest = new DataView(sha256.create().update(DOMAIN).update(sampling.seed).update(place).digest().buffer);
  return [digest.getUint32(0), digest.getUint32(4)];
}
