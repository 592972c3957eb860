import { credentials, forgetCredentials } from "./credentials";
import { gatewaySeconds, learnClock } from "./gateway_clock";
import { keptSessionKey, proofFor } from "./session_key";

/** What the gateway refused, or why it could not be reached. `message` is a sentence for people. */
export class GatewayError extends Error {
  override name = "GatewayError";
  constructor(
    message: string,
    /** HTTP status; 0 where no answer came. */
    readonly status: number,
    readonly code: string,
    /** Seconds after which it may be asked again, where the gateway says so. */
    readonly retryAfter?: number,
  ) {
    super(message);
  }
}

export interface Asked {
  readonly method?: "GET" | "POST" | "DELETE";
  readonly body?: unknown;
  readonly signal?: AbortSignal;
  readonly headers?: Readonly<Record<string, string>>;
}

/** The response of the gateway that served the page. Throws GatewayError; an abort passes as the browser throws it. */
export async function ask(path: string, asked: Asked = {}): Promise<Response> {
  if (!path.startsWith("/") || path.startsWith("//")) throw new Error(`not a path of the gateway: ${path}`);
  let response = await send(path, asked);
  // The clocks may differ, and the refusal has told the gateway's: nothing was done yet, so it is asked once more.
  if (isProofRefused(response)) response = await send(path, asked);
  if (!response.ok) throw await refusal(response);
  return response;
}

async function send(path: string, asked: Asked): Promise<Response> {
  const method = asked.method ?? (asked.body === undefined ? "GET" : "POST");
  const request: RequestInit = {
    method,
    headers: {
      ...asked.headers,
      ...(asked.body === undefined ? {} : { "content-type": "application/json" }),
      ...(await authorization(method, path)),
    },
    credentials: "omit",
    cache: "no-store",
    redirect: "error",
    ...(asked.signal ? { signal: asked.signal } : {}),
    ...(asked.body === undefined ? {} : { body: JSON.stringify(asked.body) }),
  };
  try {
    const response = await fetch(path, request);
    learnClock(response);
    return response;
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new GatewayError("the gateway cannot be reached", 0, "unreachable");
  }
}

/** What shows who asks. A session whose key the browser has no more is over: the gateway then asks for another. */
async function authorization(method: string, path: string): Promise<Record<string, string>> {
  const held = credentials.value;
  if (!held) return {};
  if (held.key === undefined) return { authorization: `Bearer ${held.token}` };
  const key = await keptSessionKey(held.key).catch(() => {
    throw new GatewayError("the browser's database does not give the session's key: load the page again", 0, "no_key");
  });
  if (!key) {
    // Only this session is over, and not one that began meanwhile.
    if (credentials.value === held) forgetCredentials();
    return {};
  }
  const url = new URL(path, location.origin);
  const dpop = await proofFor(key, { method, url, token: held.token, seconds: gatewaySeconds() });
  return { authorization: `DPoP ${held.token}`, dpop };
}

function isProofRefused(response: Response): boolean {
  return response.status === 401 && (response.headers.get("www-authenticate") ?? "").includes("invalid_dpop_proof");
}

/** The JSON document at a path. Throws GatewayError. */
export async function askJson<Found>(path: string, asked: Asked = {}): Promise<Found> {
  const response = await ask(path, asked);
  try {
    return (await response.json()) as Found;
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new GatewayError("the gateway's answer is no JSON document", response.status, "malformed");
  }
}

async function refusal(response: Response): Promise<GatewayError> {
  const after = Number(response.headers.get("retry-after") ?? NaN);
  const known = Number.isFinite(after) ? after : undefined;
  try {
    const found = (await response.json()) as { error?: { message?: unknown; code?: unknown } };
    const { message, code } = found.error ?? {};
    if (typeof message === "string") {
      return new GatewayError(message, response.status, typeof code === "string" ? code : "refused", known);
    }
  } catch {
    // It is no document of the gateway: a proxy in between speaks for itself.
  }
  return new GatewayError(`the gateway answered ${response.status}`, response.status, "refused", known);
}
