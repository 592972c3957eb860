import { IDBFactory } from "fake-indexeddb";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { credentials, forgetCredentials, useCredentials } from "../../../src/api/credentials";
import { keptSessionKey, makeSessionKey } from "../../../src/api/session_key";
import type { Connection } from "../../../src/wallet/connection";
import { prepareSignIn, signIn, signOut } from "../../../src/wallet/signing_in";
import { ALICE, BOB, FakeWallet, found, refuses } from "./fake_wallet";

const ADDRESS = "0x5FbDB2315678afecb367f032d93F642f64180aa3";
const NETWORK = {
  chain_id: 31337,
  name: "Test",
  rpc_urls: [],
  currency: { name: "Ether", symbol: "ETH", decimals: 18 },
  contracts: { node_registry: ADDRESS, inference_market: ADDRESS, dispute_game: ADDRESS },
  block: 0,
  confirmations: 1,
  deposits: null,
  sign_in: true,
};
const SESSION = { token: "ses-1", account: ALICE, expires: 1_789_997_600 };

interface Sent {
  readonly path: string;
  readonly request: RequestInit;
}

/** A gateway that answers from a table; what it was sent is returned. */
function gateway(
  answers: Record<string, { status?: number; body?: unknown; headers?: Record<string, string> }>,
): Sent[] {
  const sent: Sent[] = [];
  vi.stubGlobal("fetch", async (path: string, request: RequestInit) => {
    sent.push({ path, request });
    const { status = 200, body = {}, headers = {} } = answers[path] ?? { status: 404 };
    return new Response(status === 204 ? null : JSON.stringify(body), { status, headers });
  });
  return sent;
}

const nonce = (changes = {}) => ({
  body: {
    nonce: "0123456789abcdef",
    domain: location.host,
    uri: location.origin,
    chain_id: 31337,
    version: "1",
    ...changes,
  },
  headers: { date: "Mon, 21 Sep 2026 13:33:20 GMT" },
});
const who = (wallet: FakeWallet): Connection => ({ wallet: found(wallet), account: ALICE, chainId: 31337 });

describe("signing in", () => {
  beforeEach(() => forgetCredentials());
  afterEach(() => vi.unstubAllGlobals());

  test("has the message that was shown signed, and keeps the session's token", async () => {
    const sent = gateway({
      "/page/network": { body: NETWORK },
      "/v1/siwe/nonce": nonce(),
      "/v1/siwe/verify": { body: SESSION },
    });
    const wallet = new FakeWallet({ eth_accounts: [ALICE], personal_sign: "0x1234" });
    const prepared = await prepareSignIn(who(wallet));
    const { message } = prepared;
    expect(message.split("\n")[0]).toBe(`${location.host} wants you to sign in with your Ethereum account:`);
    expect(message).toContain("Issued At: 2026-09-21T13:33:20.000Z");
    await signIn(who(wallet), prepared);
    const signed = wallet.asked.find((one) => one.method === "personal_sign")?.params ?? [];
    expect(Buffer.from(String(signed[0]).slice(2), "hex").toString()).toBe(message);
    expect(signed[1]).toBe(ALICE);
    const verified = sent.find((one) => one.path === "/v1/siwe/verify");
    expect(JSON.parse(String(verified?.request.body))).toEqual({ message, signature: "0x1234" });
    expect(credentials.value).toEqual(SESSION);
  });

  test("binds the session to a key of this browser, which signing out deletes", async () => {
    vi.stubGlobal("indexedDB", new IDBFactory());
    const answers = {
      "/page/network": { body: NETWORK },
      "/v1/siwe/nonce": nonce(),
      "/v1/siwe/logout": { status: 204 },
    };
    gateway(answers);
    const wallet = new FakeWallet({ eth_accounts: [ALICE], personal_sign: "0x1234" });
    const prepared = await prepareSignIn(who(wallet));
    const key = prepared.key ?? "none";
    expect(prepared.message).toMatch(/\nResources:\n- urn:ietf:params:oauth:jwk-thumbprint:sha-256:[\w-]{43}$/);
    expect(prepared.message.endsWith(`sha-256:${key}`)).toBe(true);
    const sent = gateway({ ...answers, "/v1/siwe/verify": { body: { ...SESSION, thumbprint: key } } });
    await signIn(who(wallet), prepared);
    expect(credentials.value).toEqual({ ...SESSION, key });
    await signOut();
    const last = new Headers(sent.at(-1)?.request.headers);
    expect(last.get("authorization")).toBe("DPoP ses-1");
    expect(last.has("dpop")).toBe(true);
    expect(credentials.value).toBeUndefined();
    expect(await keptSessionKey(key)).toBeUndefined();
  });

  test("with another account ends the session before, and deletes its key", async () => {
    vi.stubGlobal("indexedDB", new IDBFactory());
    const before = (await makeSessionKey())?.thumbprint ?? "none";
    useCredentials({ token: "ses-0", account: BOB, expires: SESSION.expires, key: before });
    const sent = gateway({ "/v1/siwe/verify": { body: SESSION }, "/v1/siwe/logout": { status: 503 } });
    const wallet = new FakeWallet({ eth_accounts: [ALICE], personal_sign: "0x1234" });
    await signIn(who(wallet), { message: "text" });
    const ended = sent.find((one) => one.path === "/v1/siwe/logout");
    expect(new Headers(ended?.request.headers).get("authorization")).toBe("DPoP ses-0");
    expect(await keptSessionKey(before)).toBeUndefined();
    expect(credentials.value).toEqual(SESSION);
  });

  test("takes no session that is bound to a key of somebody else", async () => {
    vi.stubGlobal("indexedDB", new IDBFactory());
    gateway({
      "/page/network": { body: NETWORK },
      "/v1/siwe/nonce": nonce(),
      "/v1/siwe/verify": { body: { ...SESSION, thumbprint: "A".repeat(43) } },
    });
    const wallet = new FakeWallet({ eth_accounts: [ALICE], personal_sign: "0x1234" });
    await expect(signIn(who(wallet), await prepareSignIn(who(wallet)))).rejects.toThrow();
    expect(credentials.value).toBeUndefined();
  });

  test("sends no cookie, and follows no redirect: neither another site nor an open redirect gets the token", async () => {
    const sent = gateway({ "/v1/siwe/logout": { status: 204 } });
    useCredentials(SESSION);
    await signOut();
    for (const { path, request } of sent) {
      expect(path).toMatch(/^\/[^/]/);
      expect(request).toMatchObject({ credentials: "omit", redirect: "error" });
      expect(new Headers(request.headers).get("authorization")).toBe("Bearer ses-1");
    }
    expect(sent).toHaveLength(1);
  });

  test.each([
    [{ domain: "elsewhere.example" }, "otherDomain"],
    [{ uri: "https://elsewhere.example" }, "otherUri"],
    [{ chain_id: 1 }, "otherChain"],
    [{ nonce: "x" }, "malformed"],
  ])("asks no wallet where the gateway names %o", async (changes, fault) => {
    gateway({ "/page/network": { body: NETWORK }, "/v1/siwe/nonce": nonce(changes) });
    const wallet = new FakeWallet({});
    await expect(prepareSignIn(who(wallet))).rejects.toMatchObject({ fault });
    expect(wallet.methods()).toEqual([]);
  });

  test.each([
    [4001, "rejected"],
    [-32002, "pending"],
  ])("is nobody's where the wallet says %i", async (code, kind) => {
    gateway({});
    const wallet = new FakeWallet({ eth_accounts: [ALICE], personal_sign: refuses(code) });
    await expect(signIn(who(wallet), { message: "text" })).rejects.toMatchObject({ kind });
    expect(credentials.value).toBeUndefined();
  });

  test("does not sign with an account that the wallet turned to meanwhile", async () => {
    const wallet = new FakeWallet({ eth_accounts: [BOB], personal_sign: "0x12" });
    await expect(signIn(who(wallet), { message: "text" })).rejects.toMatchObject({ kind: "otherAccount" });
    expect(wallet.methods()).not.toContain("personal_sign");
  });

  test.each([{ account: BOB }, { token: 5 }, { expires: "soon" }])("takes no session with %o", async (changed) => {
    gateway({ "/v1/siwe/verify": { body: { ...SESSION, ...changed } } });
    const wallet = new FakeWallet({ eth_accounts: [ALICE], personal_sign: "0x1234" });
    await expect(signIn(who(wallet), { message: "text" })).rejects.toThrow();
    expect(credentials.value).toBeUndefined();
  });

  test("ends here also where the gateway cannot be told, which is said", async () => {
    gateway({ "/v1/siwe/logout": { status: 503 } });
    useCredentials(SESSION);
    await expect(signOut()).rejects.toThrow();
    expect(credentials.value).toBeUndefined();
  });
});
