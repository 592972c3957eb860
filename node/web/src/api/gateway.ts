import { credentials } from "./credentials";

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
  const token = credentials.value?.token;
  const request: RequestInit = {
    method: asked.method ?? (asked.body === undefined ? "GET" : "POST"),
    headers: {
      ...asked.headers,
      ...(asked.body === undefined ? {} : { "content-type": "application/json" }),
      ...(token ? { authorization: `Bearer ${token}` } : {}),
    },
    credentials: "omit",
    cache: "no-store",
    redirect: "error",
    ...(asked.signal ? { signal: asked.signal } : {}),
    ...(asked.body === undefined ? {} : { body: JSON.stringify(asked.body) }),
  };
  let response: Response;
  try {
    response = await fetch(path, request);
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new GatewayError("the gateway cannot be reached", 0, "unreachable");
  }
  if (!response.ok) throw await refusal(response);
  return response;
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
