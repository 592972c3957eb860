import { askJson } from "../../api/gateway";
import type { ReadCertificate } from "./certificate";
import { anchorThrough, type AskChain } from "./checks/anchor";
import { cidOf } from "./checks/cid";
import { isIncluded, type RecordProof } from "./checks/inclusion";
import { signerOf } from "./checks/signature";

export type CheckName = "bytes" | "signature" | "anchor" | "inclusion";

/** What this browser found. `open`: it could not look; `why` is a word of the page's own, or an error's text. */
export interface BrowserCheck {
  readonly name: CheckName;
  readonly verdict: "right" | "wrong" | "open";
  /** What was found: an address, a number. */
  readonly found: string;
  readonly why?: "noCertificate" | "noWallet" | "otherChain" | "notAnchored" | "failed";
  /** An example that was shown to be in the dataset. */
  readonly example?: string;
}

export interface ChainAtHand {
  readonly ask: AskChain;
  readonly chainId: number;
}

/** The document's bytes against the address that was asked for. */
export function checkBytes(cid: string, document: Uint8Array): BrowserCheck {
  const found = cidOf(document);
  return { name: "bytes", verdict: found === cid ? "right" : "wrong", found };
}

/** Whether the publisher that the certificate names signed it. */
export async function checkSignature(document: Uint8Array, read: ReadCertificate | undefined): Promise<BrowserCheck> {
  if (!read) return { name: "signature", verdict: "wrong", found: "", why: "noCertificate" };
  const signer = await signerOf(document);
  const isRight = signer !== undefined && signer === read.publisher;
  return { name: "signature", verdict: isRight ? "right" : "wrong", found: signer ?? "" };
}

/** Whether the chain behind the reader's own wallet has this certificate for that version. */
export async function checkAnchor(
  cid: string,
  read: ReadCertificate | undefined,
  registry: { readonly chain_id: number; readonly certificate_registry: string },
  chain: ChainAtHand | undefined,
): Promise<BrowserCheck> {
  if (!read) return { name: "anchor", verdict: "wrong", found: "", why: "noCertificate" };
  if (!chain) return { name: "anchor", verdict: "open", found: "", why: "noWallet" };
  if (chain.chainId !== registry.chain_id)
    return { name: "anchor", verdict: "open", found: String(registry.chain_id), why: "otherChain" };
  try {
    const anchor = await anchorThrough(chain.ask, registry.certificate_registry, read.version);
    if (!anchor) return { name: "anchor", verdict: "wrong", found: "", why: "notAnchored" };
    return { name: "anchor", verdict: anchor.cid === cid ? "right" : "wrong", found: anchor.cid };
  } catch (error) {
    return { name: "anchor", verdict: "open", found: textOf(error), why: "failed" };
  }
}

/** Draw one example by this browser's own chance, and check that it is in the certified dataset. Throws GatewayError. */
export async function checkInclusion(cid: string, read: ReadCertificate): Promise<BrowserCheck | undefined> {
  if (!read.dataset) return undefined;
  const { root, examples } = read.dataset;
  const index = drawn(examples);
  const path = `/page/certificates/${encodeURIComponent(cid)}/examples/${index}`;
  const proof = await askJson<RecordProof>(path);
  const isRight = proof.index === index && isIncluded(proof, root, examples);
  return { name: "inclusion", verdict: isRight ? "right" : "wrong", found: String(index), example: proof.record };
}

/** A whole number below `count`, which no gateway could know beforehand. */
function drawn(count: number): number {
  const [random] = crypto.getRandomValues(new Uint32Array(1));
  return Math.floor((random! / 2 ** 32) * count);
}

function textOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).slice(0, 200);
}
