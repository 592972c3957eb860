import { IDBFactory } from "fake-indexeddb";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { credentials, forgetCredentials, useCredentials } from "../../../src/api/credentials";
import { ask, GatewayError } from "../../../src/api/gateway";
import { shareSession } from "../../../src/api/other_tabs";
import { deleteSessionKey, keptSessionKey, makeSessionKey, type SessionKey } from "../../../src/api/session_key";

const DAY = 86_400_000;
const NOW = Date.parse("2026-09-21T13:33:20Z");

interface Proof {
  readonly header: { typ: string; alg: string; jwk: JsonWebKey };
  readonly claims: { htm: string; htu: string; iat: number; jti: string; ath: string };
}

function opened(headers: Headers): Proof {
  const [header, claims] = (headers.get("dpop") ?? "").split(".").map((part) => Buffer.from(part, "base64url"));
  return { header: JSON.parse(String(header)), claims: JSON.parse(String(claims)) };
}

async function isSigned(headers: Headers): Promise<boolean> {
  const [header, claims, signature] = (headers.get("dpop") ?? "").split(".");
  const { jwk } = opened(headers).header;
  const key = await crypto.subtle.importKey("jwk", jwk, { name: "ECDSA", namedCurve: "P-256" }, false, ["verify"]);
  const said = new TextEncoder().encode(`${header}.${claims}`);
  const given = Buffer.from(String(signature), "base64url");
  return crypto.subtle.verify({ name: "ECDSA", hash: "SHA-256" }, key, given, said);
}

/** A gateway whose answers are given in turn; returns the headers that it was sent. */
function gateway(...answers: { status?: number; headers?: Record<string, string> }[]): Headers[] {
  const sent: Headers[] = [];
  vi.stubGlobal("fetch", async (_: string, request: RequestInit) => {
    sent.push(new Headers(request.headers));
    const { status = 200, headers = {} } = answers.shift() ?? {};
    return new Response("{}", { status, headers });
  });
  return sent;
}

const REFUSED = { status: 401, headers: { "www-authenticate": 'DPoP error="invalid_dpop_proof", algs="ES256"' } };
const dated = (time: number) => ({ date: new Date(time).toUTCString() });

async function made(): Promise<SessionKey> {
  const key = await makeSessionKey();
  if (!key) throw new Error("no key was made");
  return key;
}

async function signedIn(): Promise<SessionKey> {
  const key = await made();
  useCredentials({ token: "nexus-session-one", account: "0x01", expires: NOW / 1000 + 3600, key: key.thumbprint });
  return key;
}

beforeEach(() => {
  vi.stubGlobal("indexedDB", new IDBFactory());
  vi.useFakeTimers({ toFake: ["Date"], now: NOW });
  forgetCredentials();
});

afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

describe("a session's key", () => {
  test("is one that no script can read, and every tab finds it in the browser's database", async () => {
    const { thumbprint } = await made();
    const found = await keptSessionKey(thumbprint);
    expect(found?.thumbprint).toBe(thumbprint);
    expect(found?.sign.extractable).toBe(false);
    for (const format of ["jwk", "pkcs8", "raw"] as const) {
      await expect(crypto.subtle.exportKey(format, found?.sign as CryptoKey)).rejects.toThrow();
    }
  });

  test("is named by its RFC 7638 thumbprint", async () => {
    const { thumbprint, jwk } = await made();
    expect(Object.keys(jwk)).toEqual(["crv", "kty", "x", "y"]);
    const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(JSON.stringify(jwk)));
    expect(thumbprint).toBe(Buffer.from(digest).toString("base64url"));
  });

  test("is another at each sign-in", async () => {
    expect((await made()).thumbprint).not.toBe((await made()).thumbprint);
  });

  test("is none where the browser has no database, refuses it, or has no WebCrypto", async () => {
    vi.stubGlobal("indexedDB", undefined);
    expect(await makeSessionKey()).toBeUndefined();
    vi.stubGlobal("indexedDB", {
      open: () => {
        throw new DOMException("forbidden", "SecurityError");
      },
    });
    expect(await makeSessionKey()).toBeUndefined();
    vi.stubGlobal("indexedDB", new IDBFactory());
    vi.stubGlobal("crypto", { getRandomValues: crypto.getRandomValues.bind(crypto) });
    expect(await makeSessionKey()).toBeUndefined();
  });

  test("is gone when it is deleted", async () => {
    const { thumbprint } = await made();
    await deleteSessionKey(thumbprint);
    expect(await keptSessionKey(thumbprint)).toBeUndefined();
  });

  test("is not taken for gone where the database does not answer: the session goes on", async () => {
    const session = { token: "nexus-session-one", account: "0x01", expires: NOW / 1000 + 3600, key: "unknown here" };
    useCredentials(session);
    vi.stubGlobal("indexedDB", {
      open: () => {
        throw new DOMException("busy", "UnknownError");
      },
    });
    const sent = gateway();
    await expect(ask("/v1/account")).rejects.toMatchObject({ code: "no_key" });
    expect(sent).toEqual([]);
    expect(credentials.value).toEqual(session);
  });

  test("leaves no database open that opened too late", async () => {
    vi.useFakeTimers({ now: NOW });
    const asked: { result?: { close: () => void }; onsuccess?: () => void } = {};
    const close = vi.fn();
    vi.stubGlobal("indexedDB", { open: () => asked });
    const found = expect(keptSessionKey("unknown here")).rejects.toThrow("does not open");
    await vi.advanceTimersByTimeAsync(5000);
    await found;
    asked.result = { close };
    asked.onsuccess?.();
    expect(close).toHaveBeenCalledOnce();
  });

  test("of a session that is long over goes when another is made", async () => {
    const old = await made();
    vi.setSystemTime(NOW + DAY / 2);
    const living = await made();
    vi.setSystemTime(NOW + DAY + 1);
    await made();
    expect(await keptSessionKey(old.thumbprint)).toBeUndefined();
    expect(await keptSessionKey(living.thumbprint)).toBeDefined();
  });
});

describe("a request of a session with a key", () => {
  test("carries a proof for itself alone", async () => {
    const key = await signedIn();
    const sent = gateway({ headers: dated(NOW) }, {});
    await ask("/v1/account?of=me");
    await ask("/v1/keys", { body: {} });
    const [first, second] = sent as [Headers, Headers];
    expect(first.get("authorization")).toBe("DPoP nexus-session-one");
    const { header, claims } = opened(first);
    expect(header).toEqual({ typ: "dpop+jwt", alg: "ES256", jwk: key.jwk });
    const token = await crypto.subtle.digest("SHA-256", new TextEncoder().encode("nexus-session-one"));
    expect(claims).toEqual({
      htm: "GET",
      htu: `${location.origin}/v1/account`,
      iat: NOW / 1000,
      jti: claims.jti,
      ath: Buffer.from(token).toString("base64url"),
    });
    expect(claims.jti).toHaveLength(22);
    expect(opened(second).claims).toMatchObject({ htm: "POST", htu: `${location.origin}/v1/keys` });
    expect(opened(second).claims.jti).not.toBe(claims.jti);
    expect(await isSigned(first)).toBe(true);
    expect(await isSigned(second)).toBe(true);
  });

  test.each([DAY, -DAY])("is asked again by the gateway's clock where this machine's is off by %i ms", async (off) => {
    await signedIn();
    gateway({ headers: dated(NOW) });
    await ask("/health"); // whatever another test taught it
    vi.setSystemTime(NOW + off);
    const sent = gateway({ ...REFUSED, headers: { ...REFUSED.headers, ...dated(NOW) } }, {}, {});
    await ask("/v1/account");
    await ask("/v1/account");
    expect(sent.map((headers) => opened(headers).claims.iat)).toEqual([(NOW + off) / 1000, NOW / 1000, NOW / 1000]);
    const [first, second] = sent as [Headers, Headers];
    expect(opened(first).claims.jti).not.toBe(opened(second).claims.jti);
  });

  test("is asked again once, and no more", async () => {
    await signedIn();
    const sent = gateway(REFUSED, REFUSED, REFUSED);
    await expect(ask("/v1/account")).rejects.toMatchObject({ status: 401 });
    expect(sent).toHaveLength(2);
  });

  test("is nobody's once the key is gone: the session is over, and its token is not sent", async () => {
    const key = await signedIn();
    await deleteSessionKey(key.thumbprint);
    const sent = gateway({ status: 401 });
    await expect(ask("/v1/account")).rejects.toBeInstanceOf(GatewayError);
    expect(sent[0]?.has("authorization")).toBe(false);
    expect(credentials.value).toBeUndefined();
  });

  test("whose key is gone ends no session that began meanwhile", async () => {
    const key = await signedIn();
    await deleteSessionKey(key.thumbprint);
    gateway({ status: 401 });
    const asking = ask("/v1/account");
    const next = { token: "nexus-session-two", account: "0x02", expires: 5, key: "next" };
    useCredentials(next);
    await expect(asking).rejects.toBeInstanceOf(GatewayError);
    expect(credentials.value).toEqual(next);
  });

  test("is as before with an API key: Bearer, without a proof, and not asked again", async () => {
    useCredentials({ token: "sk-nexus-one" });
    const sent = gateway({ status: 401, headers: { "www-authenticate": "Bearer" } });
    await expect(ask("/v1/account")).rejects.toMatchObject({ status: 401 });
    expect(sent).toHaveLength(1);
    expect(sent[0]?.get("authorization")).toBe("Bearer sk-nexus-one");
    expect(sent[0]?.has("dpop")).toBe(false);
  });
});

describe("the tabs of a page", () => {
  const told: unknown[] = [];
  let channel: { onmessage?: (event: { data: unknown }) => void } = {};
  const hear = (data: unknown) => channel.onmessage?.({ data });
  let stop = () => {};
  const SESSION = { token: "nexus-session-one", account: "0x01", expires: 5, key: "thumb" };

  beforeEach(() => {
    told.length = 0;
    vi.stubGlobal(
      "BroadcastChannel",
      class {
        onmessage = () => {};
        constructor() {
          channel = this as typeof channel;
        }
        postMessage = (data: unknown) => void told.push(data);
        close = () => {};
      },
    );
  });
  afterEach(() => stop());

  test("share a session that is bound to a key", () => {
    stop = shareSession();
    expect(told).toEqual([{ who: true }]);
    hear({ session: SESSION });
    expect(credentials.value).toEqual(SESSION);
    hear({ who: true });
    expect(told.at(-1)).toEqual({ session: SESSION });
  });

  test("hear of a session that begins in another", () => {
    stop = shareSession();
    told.length = 0;
    useCredentials(SESSION);
    expect(told).toEqual([{ session: SESSION }]);
  });

  test("share neither an API key nor a session without a key", () => {
    useCredentials({ token: "sk-nexus-one" });
    stop = shareSession();
    hear({ who: true });
    expect(told).toEqual([]);
    forgetCredentials();
    for (const said of [{ session: { token: "t" } }, { session: 5 }, null, "x", { session: { token: 5, key: "k" } }]) {
      hear(said);
    }
    expect(credentials.value).toBeUndefined();
  });

  test("keep their own session, whatever another has", () => {
    useCredentials(SESSION);
    stop = shareSession();
    hear({ session: { ...SESSION, token: "other", key: "other" } });
    hear({ over: "other" });
    expect(credentials.value).toEqual(SESSION);
  });

  test("follow where one signs in with another account, and keep what an API key replaces in one", () => {
    const other = { ...SESSION, token: "nexus-session-two", account: "0x02", key: "other" };
    useCredentials(SESSION);
    stop = shareSession();
    useCredentials(other);
    expect(told).toEqual([{ over: "thumb" }, { session: other }]);
    told.length = 0;
    useCredentials({ token: "sk-nexus-one" });
    expect(told).toEqual([]);
  });

  test("are all signed out where one is", () => {
    useCredentials(SESSION);
    stop = shareSession();
    hear({ over: "thumb" });
    expect(credentials.value).toBeUndefined();
    useCredentials(SESSION);
    told.length = 0;
    forgetCredentials();
    expect(told).toEqual([{ over: "thumb" }]);
  });
});
