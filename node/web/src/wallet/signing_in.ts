import { stringToHex, type Hex } from "viem";
import { credentials, forgetCredentials, useCredentials } from "../api/credentials";
import { ask, askJson, GatewayError } from "../api/gateway";
import { networkFacts } from "../chain/network";
import { request } from "../chain/provider";
import { requireAccount, type Connection } from "./connection";
import { signInMessage, termsOf } from "./sign_in_message";

/** The message for this account, to be shown before it is signed. Throws GatewayError, SignInRefusal. */
export async function prepareSignIn(who: Connection): Promise<string> {
  const facts = await networkFacts();
  const response = await ask("/v1/siwe/nonce");
  const terms = termsOf(await response.json().catch(() => undefined));
  return signInMessage(terms, who.account, facts.chainId, location, gatewayTime(response));
}

/** Have the wallet sign the message that was shown, and open a session. Throws WalletRefusal, GatewayError. */
export async function signIn(who: Connection, message: string): Promise<void> {
  const { provider } = who.wallet;
  await requireAccount(provider, who.account);
  const signature = await request<Hex>(provider, "personal_sign", [stringToHex(message), who.account]);
  const said = await askJson<Record<string, unknown>>("/v1/siwe/verify", { body: { message, signature } });
  const { token, account, expires } = said;
  if (typeof token !== "string" || typeof expires !== "number" || account !== who.account) {
    throw new GatewayError("the gateway signed somebody else in", 200, "malformed");
  }
  useCredentials({ token, account: who.account, expires });
}

/** End the session, here and at the gateway. Here it ends in any case. */
export async function signOut(): Promise<void> {
  const isSession = credentials.value?.account !== undefined;
  try {
    if (isSession) await ask("/v1/siwe/logout", { method: "POST" });
  } catch (error) {
    // A session that is over already is no trouble; one that may go on is said.
    if (!(error instanceof GatewayError) || error.status !== 401) throw error;
  } finally {
    forgetCredentials();
  }
}

/** The gateway's clock, which decides; this machine's where it says nothing. */
function gatewayTime(response: Response): Date {
  const said = Date.parse(response.headers.get("date") ?? "");
  return Number.isNaN(said) ? new Date() : new Date(said);
}
