import { sha256 } from "@noble/hashes/sha2.js";
import { recoverMessageAddress } from "viem";

const OPENING = '{"certificate":';
const CLOSING = /,"signature":"(0x[0-9a-f]{130})"\}$/;

/**
 * The account that signed a certificate, lower case; undefined where the document is none, or nobody can have signed.
 *
 * The signed bytes are taken as they stand in the document. So what is checked is what was hashed, and not what some
 * JSON library makes of it.
 */
export async function signerOf(document: Uint8Array): Promise<string | undefined> {
  const text = new TextDecoder().decode(document);
  const closing = CLOSING.exec(text);
  if (!text.startsWith(OPENING) || !closing) return undefined;
  const signed = new TextEncoder().encode(text.slice(OPENING.length, closing.index));
  try {
    const signature = closing[1] as `0x${string}`;
    return (await recoverMessageAddress({ message: { raw: sha256(signed) }, signature })).toLowerCase();
  } catch {
    return undefined;
  }
}
