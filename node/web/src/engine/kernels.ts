import { UnjudgeableError } from "./errors";
import type { Digest } from "./tree";

/** Sizes of the structures of native/steps.h where pointers have 32 bits: steps, caches, sequences, batches, matrices. */
export const SIZES = { step: 136, cache: 20, sequence: 40, batch: 48, matrix: 12 } as const;
const ALIGNMENT = 64;
const DIGEST_BYTES = 32;

interface Exports {
  readonly memory: WebAssembly.Memory;
  _initialize(): void;
  aligned_alloc(alignment: number, bytes: number): number;
  free(address: number): void;
  nexus_run(steps: number, count: bigint, batch: number): number;
  nexus_layout(out: number): void;
  nexus_tree_root(data: number, bytes: bigint, leaf: bigint, out: number): void;
}

/** The engine's kernels in their own memory. Addresses are bytes from its start. */
export class Kernels {
  private constructor(private readonly exports: Exports) {}

  /** Throws UnjudgeableError where the module is none of this build's, or this browser has no vectors of 128 bits. */
  static async load(module: BufferSource): Promise<Kernels> {
    let exports: Exports;
    try {
      const { instance } = await WebAssembly.instantiate(module, {});
      exports = instance.exports as unknown as Exports;
    } catch (error) {
      throw new UnjudgeableError(`this browser cannot run the engine (${String(error)})`);
    }
    exports._initialize();
    const kernels = new Kernels(exports);
    kernels.requireLayout();
    return kernels;
  }

  /** Memory of so many bytes that stays until `free`. Throws UnjudgeableError where there is none left. */
  allocate(bytes: number): number {
    const rounded = Math.max(ALIGNMENT, Math.ceil(bytes / ALIGNMENT) * ALIGNMENT);
    const address = rounded < 2 ** 31 ? this.exports.aligned_alloc(ALIGNMENT, rounded) >>> 0 : 0;
    if (address === 0) throw new UnjudgeableError("this browser has not the memory to recompute the answer");
    return address;
  }

  /** Zeroed memory. */
  allocateZeros(bytes: number): number {
    const address = this.allocate(bytes);
    this.bytes(address, bytes).fill(0);
    return address;
  }

  free(address: number): void {
    this.exports.free(address);
  }

  /** A view that is good until the next allocation. */
  bytes(address: number, length: number): Uint8Array {
    return new Uint8Array(this.exports.memory.buffer, address, length);
  }

  /** The same as i32[length]; the address is one of the allocator's. */
  words(address: number, length: number): Int32Array {
    return new Int32Array(this.exports.memory.buffer, address, length);
  }

  view(): DataView {
    return new DataView(this.exports.memory.buffer);
  }

  /** Throws UnjudgeableError where the kernels find no scratch memory, or stop: then they cannot be used again. */
  run(steps: number, count: number, batch: number): void {
    let failed: number;
    try {
      failed = this.exports.nexus_run(steps, BigInt(count), batch);
    } catch (error) {
      throw new UnjudgeableError(`the engine stopped (${String(error)}); use \`nexus verify\``);
    }
    if (failed !== 0) throw new UnjudgeableError("this browser has not the memory to recompute the answer");
  }

  /** Root of the tree over leaves of `leafBytes` bytes at an address; there is at least one byte. */
  treeRoot(address: number, length: number, leafBytes: number): Digest {
    const out = this.allocate(DIGEST_BYTES);
    this.exports.nexus_tree_root(address, BigInt(length), BigInt(leafBytes), out);
    const found = this.bytes(out, DIGEST_BYTES).slice();
    this.free(out);
    return found;
  }

  private requireLayout(): void {
    const out = this.allocate(5 * 8);
    this.exports.nexus_layout(out);
    const view = this.view();
    const found = Object.values(SIZES).map((_, at) => Number(view.getBigInt64(out + 8 * at, true)));
    this.free(out);
    if (!Object.values(SIZES).every((size, at) => size === found[at])) {
      throw new UnjudgeableError("the engine was built for another page; load the page again");
    }
  }
}
