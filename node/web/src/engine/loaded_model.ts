import { sha256 } from "@noble/hashes/sha2.js";
import { toHex } from "viem";

import { programRoot } from "./descriptors";
import { UnjudgeableError } from "./errors";
import { Kernels } from "./kernels";
import type { ModelListing } from "./model_version";
import { parseProgram, type Program } from "./program";
import type { RunnableModel } from "./recomputation";
import { requireReproducible } from "./reproduction";
import { parseSafetensors } from "./safetensors";
import { byteLevelCodec, type Codec } from "./text";
import { placeWeights } from "./weights";

/** Largest weights that a page recomputes with, bytes: they are held twice while they are checked. */
export const LARGEST_WEIGHTS = 256 << 20;
const LARGEST_PROGRAM = 64 << 20;
const LARGEST_TOKENIZER = 64 << 20;

/** Where the files of a model come from. `progress` counts bytes. */
export interface ModelSource {
  /** What `/v1/models/NAME/files` says. */
  listing(): Promise<ModelListing>;
  /** A file that the listing names. */
  file(name: string, progress: (bytes: number) => void): Promise<Uint8Array>;
  /** The module of the kernels. */
  kernels(): Promise<BufferSource>;
}

/** A model whose program, weights and tokenizer are those of its version. */
export interface LoadedModel extends RunnableModel {
  readonly listing: ModelListing;
  /** None for a tokenizer of a kind that is not decoded here. */
  readonly codec: Codec | undefined;
}

/** Fetch and check a model. `progress` counts bytes of weights, twice each: fetched and checked. */
export async function loadModel(
  listing: ModelListing,
  source: ModelSource,
  progress: (done: number) => void,
): Promise<LoadedModel> {
  const size = requireSizes(listing);
  const kernels = await Kernels.load(await source.kernels());
  const text = new TextDecoder();
  const program = parseProgram(text.decode(await source.file("program.json", () => undefined)));
  requireProgram(program, listing);
  const tokenizer = await source.file("tokenizer.json", () => undefined);
  if (toHex(sha256(tokenizer)) !== listing.tokenizerHash) throw notRegistered("tokenizer");
  const file = parseSafetensors(await source.file("weights.safetensors", progress));
  const { addresses, root } = placeWeights(kernels, program, file, (done) => progress(size + done));
  if (toHex(root) !== listing.weightsRoot) throw notRegistered("weights");
  return { listing, kernels, program, addresses, codec: byteLevelCodec(text.decode(tokenizer)) };
}

/** Bytes of a model's weights. */
export function weightBytes(listing: ModelListing): number {
  return listing.files.get("weights.safetensors")?.size ?? 0;
}

/** Size of the weights. Throws UnjudgeableError where a file is missing or too large. */
function requireSizes(listing: ModelListing): number {
  const limits = {
    "program.json": LARGEST_PROGRAM,
    "tokenizer.json": LARGEST_TOKENIZER,
    "weights.safetensors": LARGEST_WEIGHTS,
  };
  for (const [name, largest] of Object.entries(limits)) {
    const found = listing.files.get(name);
    if (!found) throw new UnjudgeableError(`the gateway has no ${name} of this model; use \`nexus verify\``);
    if (found.size > largest) {
      const [has, most] = [found.size, largest].map((bytes) => Math.ceil(bytes / 2 ** 20));
      throw new UnjudgeableError(`${name} has ${has} MiB and this page takes ${most}; use \`nexus verify\``);
    }
  }
  return weightBytes(listing);
}

/** A program is run only where it is the registered one, and one that builders make. */
function requireProgram(program: Program, listing: ModelListing): void {
  requireReproducible(program);
  if (toHex(programRoot(program)) !== listing.programRoot) throw notRegistered("program");
}

function notRegistered(what: string): UnjudgeableError {
  return new UnjudgeableError(`the model's ${what} from this gateway is not what its version registered`);
}
