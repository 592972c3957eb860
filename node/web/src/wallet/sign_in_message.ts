import { createSiweMessage } from "viem/siwe";
import type { Address } from "viem";

/** What the gateway says a message has to say. */
export interface SignInTerms {
  readonly nonce: string;
  readonly domain: string;
  readonly uri: string;
  readonly chainId: number;
}

/** Why a message was not made: each has its words. */
export type SignInFault = "otherDomain" | "otherUri" | "otherChain" | "malformed";

export class SignInRefusal extends Error {
  override name = "SignInRefusal";
  constructor(
    readonly fault: SignInFault,
    /** What the gateway named. */
    readonly named: string,
  ) {
    super(`${fault}: ${named}`);
  }
}

/** What the thumbprint of a session's key is called in a message (RFC 9278). */
const THUMBPRINT_URN = "urn:ietf:params:oauth:jwk-thumbprint:sha-256:";
const STATEMENT = "Sign in to this gateway. It costs nothing and moves no money.";

/** The gateway's answer to `/v1/siwe/nonce`. Throws SignInRefusal. */
export function termsOf(said: unknown): SignInTerms {
  const found = (typeof said === "object" && said !== null ? said : {}) as Record<string, unknown>;
  const { nonce, domain, uri, chain_id: chainId, version } = found;
  if (typeof nonce !== "string" || !/^[A-Za-z0-9]{8,128}$/.test(nonce)) throw new SignInRefusal("malformed", "nonce");
  if (typeof domain !== "string" || typeof uri !== "string") throw new SignInRefusal("malformed", "domain");
  if (!Number.isSafeInteger(chainId) || version !== "1") throw new SignInRefusal("malformed", "version");
  return { nonce, domain, uri, chainId: chainId as number };
}

/**
 * The message to sign (EIP-4361). It is made here, and names this page's own address: a gateway, or a proxy before it,
 * that names another has people sign in elsewhere, and is refused. `now`: the gateway's clock, as that of this machine
 * may be off by a day. `key`: thumbprint of the key that the session is bound to; with it the wallet vouches for the
 * key. Throws SignInRefusal.
 */
export function signInMessage(
  terms: SignInTerms,
  account: Address,
  chainId: number,
  here: Pick<Location, "host" | "origin">,
  now: Date,
  key?: string,
): string {
  // INVARIANT: what is signed opens this page's gateway and no other.
  if (terms.domain !== here.host) throw new SignInRefusal("otherDomain", terms.domain);
  if (originOf(terms.uri) !== here.origin) throw new SignInRefusal("otherUri", terms.uri);
  if (terms.chainId !== chainId) throw new SignInRefusal("otherChain", String(terms.chainId));
  try {
    return createSiweMessage({
      address: account,
      chainId,
      domain: here.host,
      uri: terms.uri,
      nonce: terms.nonce,
      version: "1",
      statement: STATEMENT,
      issuedAt: now,
      ...(key === undefined ? {} : { resources: [THUMBPRINT_URN + key] }),
    });
  } catch {
    throw new SignInRefusal("malformed", terms.domain);
  }
}

function originOf(uri: string): string {
  // Written out, and not only read by a browser: `https://here@elsewhere` and lines in it are no address of ours.
  if (!/^https?:\/\/[^\s@\\]+$/.test(uri)) return "";
  try {
    return new URL(uri).origin;
  } catch {
    return "";
  }
}
