/** What the list of conversations shows, kept apart from the conversations, which may be long. */
export interface Head {
  readonly id: string;
  readonly title: string;
  readonly created: number;
  readonly changed: number;
  readonly revision: number;
}

/** Where conversations lie. Everything read is unchecked. All of it may reject: disks fill, people forbid. */
export interface Shelf {
  heads(): Promise<unknown[]>;
  body(id: string): Promise<unknown>;
  /**
   * Keep it unless another tab has kept a later one: `expected` is the revision that this one was made from. Of the
   * others all but the newest `most - 1` go. Returns whether it is kept.
   */
  put(head: Head, body: unknown, expected: number, most: number): Promise<boolean>;
  remove(id: string): Promise<void>;
  clear(): Promise<void>;
}

const NAME = "nexus-chat";
const HEADS = "heads";
const BODIES = "bodies";
/** Milliseconds that the browser gets to open its database: a damaged one may never answer. */
const OPEN_WITHIN = 4000;

/** A shelf in the browser's database. Rejects where there is none, or it is damaged. */
export async function browserShelf(): Promise<Shelf> {
  const database = await opened();
  const transact = (mode: IDBTransactionMode) => database.transaction([HEADS, BODIES], mode);
  return {
    heads: () => result(transact("readonly").objectStore(HEADS).getAll()),
    body: (id) => result(transact("readonly").objectStore(BODIES).get(id)),
    async put(head, body, expected, most) {
      const transaction = transact("readwrite");
      const done = completed(transaction);
      const heads = transaction.objectStore(HEADS);
      const bodies = transaction.objectStore(BODIES);
      const before = (await result(heads.get(head.id))) as { revision?: unknown } | undefined;
      if (before && before.revision !== expected) {
        await done;
        return false;
      }
      heads.put(head, head.id);
      bodies.put(body, head.id);
      for (const id of surplus(await result(heads.getAll()), head.id, most)) {
        heads.delete(id);
        bodies.delete(id);
      }
      await done;
      return true;
    },
    async remove(id) {
      const transaction = transact("readwrite");
      const done = completed(transaction);
      transaction.objectStore(HEADS).delete(id);
      transaction.objectStore(BODIES).delete(id);
      await done;
    },
    async clear() {
      const transaction = transact("readwrite");
      const done = completed(transaction);
      transaction.objectStore(HEADS).clear();
      transaction.objectStore(BODIES).clear();
      await done;
    },
  };
}

/** A shelf that lasts as long as the page, where the browser has none. */
export function fleetingShelf(): Shelf {
  const kept = new Map<string, { head: Head; body: unknown }>();
  return {
    heads: async () => [...kept.values()].map(({ head }) => head),
    body: async (id) => kept.get(id)?.body,
    async put(head, body, expected, most) {
      const before = kept.get(head.id);
      if (before && before.head.revision !== expected) return false;
      kept.set(head.id, { head, body });
      const heads = [...kept.values()].map((one) => one.head);
      for (const id of surplus(heads, head.id, most)) kept.delete(id);
      return true;
    },
    remove: async (id) => void kept.delete(id),
    clear: async () => kept.clear(),
  };
}

/** Ids of the oldest heads beyond `most`; never `spared`. */
function surplus(heads: readonly unknown[], spared: string, most: number): string[] {
  const known = heads.filter(
    (one): one is Head => typeof one === "object" && one !== null && typeof (one as Head).id === "string",
  );
  const age = ({ changed }: Head) => (typeof changed === "number" ? changed : 0);
  const others = known.filter(({ id }) => id !== spared).sort((a, b) => age(b) - age(a));
  return others.slice(Math.max(0, most - 1)).map(({ id }) => id);
}

function opened(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error("the browser's database does not open")), OPEN_WITHIN);
    const asked = indexedDB.open(NAME, 1);
    asked.onupgradeneeded = () => {
      asked.result.createObjectStore(HEADS);
      asked.result.createObjectStore(BODIES);
    };
    asked.onerror = () => {
      clearTimeout(late);
      reject(asked.error ?? new Error("the browser's database does not open"));
    };
    asked.onsuccess = () => {
      clearTimeout(late);
      // Another version of the page may want to change the shelves: it does not have to wait for this tab.
      asked.result.onversionchange = () => asked.result.close();
      resolve(asked.result);
    };
  });
}

function result<Found>(asked: IDBRequest<Found>): Promise<Found> {
  return new Promise((resolve, reject) => {
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error ?? new Error("the browser's database failed"));
  });
}

function completed(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error ?? new Error("the browser's database failed"));
  });
}
