import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";

import { Kernels } from "../../../src/engine/kernels";
import { parseProgram, type Program } from "../../../src/engine/program";
import { parseSafetensors } from "../../../src/engine/safetensors";
import { placeWeights, type PlacedWeights } from "../../../src/engine/weights";

const PAGE = new URL("../../../", import.meta.url);
const VECTORS = new URL("../../tests/vectors/", PAGE);

/** A model as the vectors hold it. */
export interface StoredModel {
  readonly program: string;
  readonly weights: string;
  readonly programRoot: string;
  readonly weightsRoot: string;
}

export interface LoadedModel extends PlacedWeights {
  readonly kernels: Kernels;
  readonly program: Program;
}

/** The golden vectors in tests/vectors, which scripts/make_web_vectors.py makes. */
export function vectors<Found>(name: string): Found {
  return JSON.parse(gunzipSync(readFileSync(new URL(`${name}.json.gz`, VECTORS))).toString()) as Found;
}

/** Lines of a file of golden vectors. */
export function lines<Found>(name: string): Found[] {
  const text = readFileSync(new URL(name, VECTORS), "utf8").trim();
  return text.split("\n").map((line) => JSON.parse(line) as Found);
}

export async function loadKernels(): Promise<Kernels> {
  return await Kernels.load(readFileSync(new URL("src/engine/engine.wasm", PAGE)));
}

export async function loadModel(stored: StoredModel): Promise<LoadedModel> {
  const kernels = await loadKernels();
  const program = parseProgram(stored.program);
  const file = parseSafetensors(new Uint8Array(Buffer.from(stored.weights, "base64")));
  return { kernels, program, ...placeWeights(kernels, program, file, () => undefined) };
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
