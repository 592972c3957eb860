import { encodeAbiParameters, isAddress, keccak256, type Address, type Hex } from "viem";

import { UnjudgeableError } from "./errors";

/** A file of a model, as the gateway lists it. */
export interface ListedFile {
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  readonly sha256: string;
}

/** What the registry fixes of a version, and the files that have to be those. */
export interface ModelListing {
  /** The version's id, computed from its fields. */
  readonly id: Hex;
  readonly weightsRoot: Hex;
  readonly programRoot: Hex;
  /** SHA-256 of the tokenizer's file. */
  readonly tokenizerHash: Hex;
  readonly files: ReadonlyMap<string, ListedFile>;
}

/** ModelVersion of contracts/interfaces/IModelRegistry.sol: its hash with the publisher is the version's id. */
const VERSION = {
  type: "tuple",
  components: [
    { name: "weightsRoot", type: "bytes32" },
    { name: "programRoot", type: "bytes32" },
    { name: "tokenizerHash", type: "bytes32" },
    { name: "parent", type: "bytes32" },
    { name: "pricePerToken", type: "uint128" },
    { name: "layers", type: "uint16" },
    {
      name: "semver",
      type: "tuple",
      components: [
        { name: "major", type: "uint16" },
        { name: "minor", type: "uint16" },
        { name: "patch", type: "uint16" },
      ],
    },
    { name: "manifestCid", type: "string" },
  ],
} as const;

/** What `/v1/models/NAME/files` said. Throws UnjudgeableError. */
export function parseListing(data: unknown): ModelListing {
  try {
    const { publisher, version, data: files } = data as { publisher: Address; version: any; data: ListedFile[] };
    if (!isAddress(publisher)) throw new Error("publisher");
    const [major, minor, patch] = version.semver as [number, number, number];
    const registered = {
      weightsRoot: version.weights_root as Hex,
      programRoot: version.program_root as Hex,
      tokenizerHash: version.tokenizer_hash as Hex,
      parent: version.parent as Hex,
      pricePerToken: BigInt(version.price_per_token as string),
      layers: version.layers as number,
      semver: { major, minor, patch },
      manifestCid: version.manifest_cid as string,
    };
    const encoded = encodeAbiParameters([{ type: "address" }, VERSION], [publisher, registered]);
    if (!files.every((file) => Number.isSafeInteger(file.size) && file.size >= 0)) throw new Error("size");
    return { ...registered, id: keccak256(encoded), files: new Map(files.map((file) => [file.name, file])) };
  } catch {
    throw new UnjudgeableError("the gateway's list of the model's files is malformed");
  }
}
