/**
 * Keys of sessions. A session that is bound to a key is worth nothing to whoever copies its token: each request
 * carries a proof that this key signed (DPoP, RFC 9449).
 *
 * The browser keeps the private half and gives it to nobody, this page included (`extractable` is false). It lies in
 * the browser's database, so that all tabs of this page have it.
 */
export interface SessionKey {
  /** Its name: the SHA-256 thumbprint of its public half (RFC 7638). */
  readonly thumbprint: string;
  readonly jwk: PublicKey;
  readonly sign: CryptoKey;
}

/** A public P-256 key, with its members in the order of RFC 7638. */
interface PublicKey {
  readonly crv: "P-256";
  readonly kty: "EC";
  readonly x: string;
  readonly y: string;
}

/** How a key lies in the database. `made`: milliseconds since 1970, by this machine's clock. */
interface KeptKey extends SessionKey {
  readonly made: number;
}

const NAME = "nexus-session";
const KEYS = "keys";
const CURVE = { name: "ECDSA", namedCurve: "P-256" };
const SIGNING = { name: "ECDSA", hash: "SHA-256" };
/** Sessions end after half of this. */
const FORGOTTEN_AFTER = 86_400_000;
/** Milliseconds that the browser gets to open its database: a damaged one may never answer. */
const OPEN_WITHIN = 4000;

const known = new Map<string, SessionKey>();

/**
 * A new key, kept by the browser. Undefined where the browser keeps none: without https, in some private windows,
 * with a database that is forbidden or damaged.
 */
export async function makeSessionKey(): Promise<SessionKey | undefined> {
  try {
    const pair = await crypto.subtle.generateKey(CURVE, false, ["sign", "verify"]);
    const { x, y } = await crypto.subtle.exportKey("jwk", pair.publicKey);
    if (!x || !y) return undefined;
    const jwk = { crv: "P-256", kty: "EC", x, y } as const;
    const thumbprint = await sha256(JSON.stringify(jwk));
    const made: KeptKey = { thumbprint, jwk, sign: pair.privateKey, made: Date.now() };
    await keep(made);
    // As the other tabs will find it: a browser that keeps no keys gives none back.
    known.delete(thumbprint);
    return await keptSessionKey(thumbprint);
  } catch {
    return undefined;
  }
}

/** The key of that name; undefined where the browser has it no more. Throws where its database does not answer. */
export async function keptSessionKey(thumbprint: string): Promise<SessionKey | undefined> {
  const before = known.get(thumbprint);
  if (before) return before;
  const found = await inKeys("readonly", (keys) => keys.get(thumbprint));
  if (!isKey(found)) return undefined;
  known.set(thumbprint, found);
  return found;
}

/** Delete a key: no request is made with it again. */
export async function deleteSessionKey(thumbprint: string): Promise<void> {
  known.delete(thumbprint);
  try {
    await inKeys("readwrite", (keys) => keys.delete(thumbprint));
  } catch {
    // The browser keeps none.
  }
}

/** A proof for one request (RFC 9449, section 4.2). `seconds`: since 1970, by the clock of the one who checks it. */
export async function proofFor(
  key: SessionKey,
  request: { readonly method: string; readonly url: URL; readonly token: string; readonly seconds: number },
): Promise<string> {
  const header = { typ: "dpop+jwt", alg: "ES256", jwk: key.jwk };
  const claims = {
    htm: request.method,
    htu: request.url.origin + request.url.pathname,
    iat: request.seconds,
    jti: base64url(crypto.getRandomValues(new Uint8Array(16))),
    ath: await sha256(request.token),
  };
  const said = [header, claims].map((part) => base64url(new TextEncoder().encode(JSON.stringify(part)))).join(".");
  const signature = await crypto.subtle.sign(SIGNING, key.sign, new TextEncoder().encode(said));
  return `${said}.${base64url(new Uint8Array(signature))}`;
}

/** Keep a key, and let go of those whose sessions are over. */
async function keep(key: KeptKey): Promise<void> {
  await inKeys("readwrite", (keys) => keys.put(key));
  const all: unknown[] = await inKeys("readonly", (keys) => keys.getAll());
  const old = all.filter(isKey).filter((one) => Math.abs(key.made - one.made) > FORGOTTEN_AFTER);
  await Promise.all(old.map((one) => deleteSessionKey(one.thumbprint)));
}

function isKey(found: unknown): found is KeptKey {
  if (typeof found !== "object" || found === null) return false;
  const { thumbprint, sign, jwk, made } = found as Partial<KeptKey>;
  if (typeof thumbprint !== "string" || typeof jwk !== "object" || typeof made !== "number") return false;
  // INVARIANT: no key is used that a script could read.
  return sign instanceof CryptoKey && !sign.extractable;
}

async function inKeys<Found>(
  mode: IDBTransactionMode,
  work: (keys: IDBObjectStore) => IDBRequest<Found>,
): Promise<Found> {
  const database = await opened();
  try {
    const transaction = database.transaction(KEYS, mode);
    const asked = work(transaction.objectStore(KEYS));
    await new Promise<void>((resolve, reject) => {
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(transaction.error ?? new Error("the browser's database failed"));
    });
    return asked.result;
  } finally {
    database.close();
  }
}

function opened(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    let isLate = false;
    const late = setTimeout(() => {
      isLate = true;
      reject(new Error("the browser's database does not open"));
    }, OPEN_WITHIN);
    const asked = indexedDB.open(NAME, 1);
    asked.onupgradeneeded = () => void asked.result.createObjectStore(KEYS, { keyPath: "thumbprint" });
    asked.onerror = () => {
      clearTimeout(late);
      reject(asked.error ?? new Error("the browser's database does not open"));
    };
    asked.onsuccess = () => {
      clearTimeout(late);
      // Nobody waits for it any more, and nobody else would close it.
      if (isLate) asked.result.close();
      else resolve(asked.result);
    };
  });
}

async function sha256(text: string): Promise<string> {
  return base64url(new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text))));
}

function base64url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replace(/\+/g, "-")
    .replace(/\//g, "_")
    .replace(/=+$/, "");
}
