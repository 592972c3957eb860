import { getAddress, hashTypedData, isAddress, isAddressEqual, recoverAddress, type Address, type Hex } from "viem";

/** A signed document that is not what it should be. `message` is the sentence that `nexus verify` says. */
export class PaperError extends Error {
  override name = "PaperError";
}

/** Where a signature counts: one market contract on one chain. */
export interface Domain {
  readonly chainId: bigint;
  readonly market: Address;
}

export interface Ask {
  readonly layerStart: number;
  readonly layerEnd: number;
  readonly weiPerToken: bigint;
}

export interface Order {
  readonly session: Hex;
  readonly salt: Hex;
  readonly modelVersion: Hex;
  readonly promptRoot: Hex;
  readonly maxTokens: number;
  readonly samplingSeed: Hex;
  readonly sampling: number;
  readonly maxPrice: bigint;
  readonly asks: readonly Ask[];
  readonly deadline: bigint;
}

export interface TokenFeed {
  readonly orderDigest: Hex;
  readonly to: number;
  readonly root: Hex;
}

export interface Receipt {
  readonly orderDigest: Hex;
  readonly node: Address;
  readonly segment: number;
  readonly from: number;
  readonly to: number;
  readonly inRoot: Hex;
  readonly outRoot: Hex;
  readonly predecessors: readonly Hex[];
  readonly price: bigint;
}

export interface AuditOrder {
  readonly orderDigest: Hex;
  readonly node: Address;
  readonly segment: number;
  readonly to: number;
  readonly inRoot: Hex;
  readonly price: bigint;
}

/** A document with its digest in its domain, and r || s || v of 65 bytes. */
export interface Signed<Document> {
  readonly kind: keyof typeof TYPES;
  readonly document: Document;
  readonly digest: Hex;
  readonly signature: Hex;
}

/** Members by their EIP-712 names and types: the twin of nexus_chain/market/documents.py. */
const TYPES = {
  Ask: [
    { name: "layerStart", type: "uint16" },
    { name: "layerEnd", type: "uint16" },
    { name: "weiPerToken", type: "uint128" },
  ],
  Order: [
    { name: "session", type: "bytes32" },
    { name: "salt", type: "bytes32" },
    { name: "modelVersion", type: "bytes32" },
    { name: "promptRoot", type: "bytes32" },
    { name: "maxTokens", type: "uint32" },
    { name: "samplingSeed", type: "bytes32" },
    { name: "sampling", type: "uint32" },
    { name: "maxPrice", type: "uint128" },
    { name: "asks", type: "Ask[]" },
    { name: "deadline", type: "uint64" },
  ],
  TokenFeed: [
    { name: "orderDigest", type: "bytes32" },
    { name: "to", type: "uint32" },
    { name: "root", type: "bytes32" },
  ],
  Receipt: [
    { name: "orderDigest", type: "bytes32" },
    { name: "node", type: "address" },
    { name: "segment", type: "uint16" },
    { name: "from", type: "uint32" },
    { name: "to", type: "uint32" },
    { name: "inRoot", type: "bytes32" },
    { name: "outRoot", type: "bytes32" },
    { name: "predecessors", type: "bytes32[]" },
    { name: "price", type: "uint128" },
  ],
  AuditOrder: [
    { name: "orderDigest", type: "bytes32" },
    { name: "node", type: "address" },
    { name: "segment", type: "uint16" },
    { name: "to", type: "uint32" },
    { name: "inRoot", type: "bytes32" },
    { name: "price", type: "uint128" },
  ],
} as const;

/** Half of the order of secp256k1: a signature with a larger s is a second spelling of one. */
const HALF_ORDER = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0n;

/** A signed document of an answer file, in its only accepted spelling. Throws PaperError. */
export function signedDocument<Document>(kind: keyof typeof TYPES, data: unknown, domain: Domain): Signed<Document> {
  if (!isRecord(data)) throw new PaperError(`a ${kind} is missing`);
  const { document: written, signature } = data;
  if (typeof signature !== "string" || !/^(0x)?([0-9a-fA-F]{2})*$/.test(signature)) {
    throw new PaperError(`the signature of a ${kind} is no hexadecimal text`);
  }
  const document = documentOf(kind, written);
  const digest = hashTypedData({
    domain: { name: "Neural Nexus", version: "1", chainId: domain.chainId, verifyingContract: domain.market },
    types: TYPES,
    primaryType: kind,
    message: document as never,
  });
  return { kind, document: document as Document, digest, signature: `0x${signature.replace(/^0x/, "").toLowerCase()}` };
}

function documentOf(kind: keyof typeof TYPES, data: unknown): Record<string, unknown> {
  const fields: readonly { name: string; type: string }[] = TYPES[kind];
  if (!isRecord(data) || Object.keys(data).length !== fields.length) throw malformed(kind);
  return Object.fromEntries(fields.map(({ name, type }) => [name, valueOf(type, data[name], `${kind}.${name}`)]));
}

function valueOf(type: string, value: unknown, where: string): unknown {
  if (type.endsWith("[]")) {
    if (!Array.isArray(value)) throw malformed(where);
    return value.map((item: unknown) => valueOf(type.slice(0, -2), item, where));
  }
  if (type === "Ask") return documentOf(type, value);
  if (type === "address" && isChecksummed(value)) return value;
  if (type === "bytes32" && typeof value === "string" && /^0x[0-9a-f]{64}$/.test(value)) return value;
  if (type.startsWith("uint")) return integerOf(Number(type.slice(4)), value, where);
  throw malformed(where);
}

/** Numbers up to 2^53 - 1, decimal strings above: as numbers where the type's largest is one, else as bigint. */
function integerOf(bits: number, value: unknown, where: string): number | bigint {
  const isNumber = Number.isSafeInteger(value) && (value as number) >= 0;
  const isText = typeof value === "string" && /^[1-9][0-9]{15,38}$/.test(value);
  if (!isNumber && !(isText && BigInt(value) > BigInt(Number.MAX_SAFE_INTEGER))) throw malformed(where);
  const found = BigInt(value as number | string);
  if (found >= 1n << BigInt(bits)) throw malformed(where);
  return bits <= 32 ? Number(found) : found;
}

/** Whether it is an address in the spelling of EIP-55, the only one that documents have. */
export function isChecksummed(value: unknown): value is Address {
  return typeof value === "string" && isAddress(value, { strict: false }) && getAddress(value) === value;
}

/** Throws PaperError unless `signer` signed the document. */
export async function requireSigner(signed: Signed<unknown>, signer: Address): Promise<void> {
  const found = await signerOf(signed);
  if (!isAddressEqual(found, signer)) {
    throw new PaperError(`this ${signed.kind} was signed by ${found}, not by ${signer}`);
  }
}

export async function isSignedBy(signed: Signed<unknown>, signer: Address): Promise<boolean> {
  try {
    await requireSigner(signed, signer);
    return true;
  } catch (error) {
    if (error instanceof PaperError) return false;
    throw error;
  }
}

/** Recovering a key takes milliseconds, and several checks ask for the same one. */
const RECOVERED = new WeakMap<Signed<unknown>, Promise<Address>>();

function signerOf(signed: Signed<unknown>): Promise<Address> {
  const found = RECOVERED.get(signed) ?? recovered(signed);
  RECOVERED.set(signed, found);
  return found;
}

async function recovered({ digest, signature }: Signed<unknown>): Promise<Address> {
  const bytes = (signature.length - 2) / 2;
  if (bytes !== 65) throw new PaperError(`a signature has 65 bytes, this one ${bytes}`);
  if (BigInt(`0x${signature.slice(66, 130)}`) > HALF_ORDER)
    throw new PaperError("the signature's s is in the upper half");
  const v = Number.parseInt(signature.slice(130), 16);
  if (v !== 27 && v !== 28) throw new PaperError(`the signature's v is ${v}`);
  try {
    return await recoverAddress({ hash: digest, signature });
  } catch {
    throw new PaperError("the signature recovers no key");
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function malformed(where: string): PaperError {
  return new PaperError(`${where} is not in its canonical form`);
}
