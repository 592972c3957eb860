import { stringToHex, type Hex } from "viem";
import { credentials, forgetCredentials, useCredentials } from "../api/credentials";
import { ask, askJson, GatewayError } from "../api/gateway";
import { timeOf } from "../api/gateway_clock";
import { deleteSessionKey, makeSessionKey } from "../api/session_key";
import { networkFacts } from "../chain/network";
import { request } from "../chain/provider";
import { requireAccount, type Connection } from "./connection";
import { signInMessage, termsOf } from "./sign_in_message";

/** A message that is ready to be signed. `key`: thumbprint of the session's key; none where the browser keeps none. */
export interface PreparedSignIn {
  readonly message: string;
  readonly key?: string;
}

/**
 * The message for this account, to be shown before it is signed. It names a new key of this browser, which each
 * request of the session will prove. Throws GatewayError, SignInRefusal.
 */
export async function prepareSignIn(who: Connection): Promise<PreparedSignIn> {
  const facts = await networkFacts();
  const response = await ask("/v1/siwe/nonce");
  const terms = termsOf(await response.json().catch(() => undefined));
  // Made before there is a key: terms that are refused leave none behind.
  const at = timeOf(response) ?? new Date();
  signInMessage(terms, who.account, facts.chainId, location, at);
  const key = (await makeSessionKey())?.thumbprint;
  const message = signInMessage(terms, who.account, facts.chainId, location, at, key);
  return { message, ...(key === undefined ? {} : { key }) };
}

/** Have the wallet sign the message that was shown, and open a session. Throws WalletRefusal, GatewayError. */
export async function signIn(who: Connection, { message, key }: PreparedSignIn): Promise<void> {
  const { provider } = who.wallet;
  await requireAccount(provider, who.account);
  const signature = await request<Hex>(provider, "personal_sign", [stringToHex(message), who.account]);
  const said = await askJson<Record<string, unknown>>("/v1/siwe/verify", { body: { message, signature } });
  const { token, account, expires, thumbprint } = said;
  const bound = typeof thumbprint === "string" ? thumbprint : undefined;
  // A gateway that knows nothing of keys opens a session without one, which is shown.
  const isOurs = account === who.account && (bound === undefined || bound === key);
  if (typeof token !== "string" || typeof expires !== "number" || !isOurs) {
    throw new GatewayError("the gateway signed somebody else in", 200, "malformed");
  }
  if (bound === undefined && key !== undefined) await deleteSessionKey(key);
  await endSessionBefore();
  useCredentials({ token, account: who.account, expires, ...(bound === undefined ? {} : { key: bound }) });
}

/** INVARIANT: no session goes on that nobody sees any more, and so nobody could sign out of. */
async function endSessionBefore(): Promise<void> {
  const session = credentials.value;
  if (session?.account === undefined) return;
  await ask("/v1/siwe/logout", { method: "POST" }).catch(() => undefined); // it may be over already
  if (session.key !== undefined) await deleteSessionKey(session.key);
}

/** End the session, here and at the gateway, and delete its key. Here it ends in any case. */
export async function signOut(): Promise<void> {
  const session = credentials.value;
  try {
    if (session?.account !== undefined) await ask("/v1/siwe/logout", { method: "POST" });
  } catch (error) {
    // A session that is over already is no trouble; one that may go on is said.
    if (!(error instanceof GatewayError) || error.status !== 401) throw error;
  } finally {
    forgetCredentials();
    if (session?.key !== undefined) await deleteSessionKey(session.key);
  }
}
