import { DamagedError, checkedConversation } from "./checked";
import type { Conversation } from "./conversation";
import type { Head, Shelf } from "./shelf";

/** Conversations that are kept; of more the oldest go. */
export const MOST_CONVERSATIONS = 200;
/** Characters of a kept conversation, written as JSON. */
export const MOST_SIZE = 8_000_000;

export type Saved =
  | { readonly kind: "kept"; readonly revision: number }
  /** Another tab has changed it meanwhile: nothing was kept. */
  | { readonly kind: "elsewhere" }
  /** It is too long, or the browser keeps no more. */
  | { readonly kind: "full" };

export interface Listed {
  /** The newest first. */
  readonly heads: readonly Head[];
  /** Entries that could not be read. */
  readonly damaged: number;
}

/** Conversations in this browser: bounded, checked when read, and never overwritten by another tab's older state. */
export class ConversationStore {
  constructor(
    private readonly shelf: Shelf,
    private readonly most: number = MOST_CONVERSATIONS,
    private readonly mostSize: number = MOST_SIZE,
  ) {}

  /** What there is. A shelf that cannot be read is one damaged entry: the page goes on with an empty list. */
  async list(): Promise<Listed> {
    let found: unknown[];
    try {
      found = await this.shelf.heads();
    } catch {
      return { heads: [], damaged: 1 };
    }
    const heads = found.filter(isHead).sort((a, b) => b.changed - a.changed);
    return { heads, damaged: found.length - heads.length };
  }

  /** A conversation; none where there is none. Throws DamagedError. */
  async load(id: string): Promise<Conversation | undefined> {
    let found: unknown;
    try {
      found = await this.shelf.body(id);
    } catch {
      throw new DamagedError("shelf");
    }
    if (found === undefined) return undefined;
    const conversation = checkedConversation(found);
    if (conversation.id !== id) throw new DamagedError("id");
    return conversation;
  }

  async save(conversation: Conversation): Promise<Saved> {
    if (JSON.stringify(conversation).length > this.mostSize) return { kind: "full" };
    const revision = conversation.revision + 1;
    const { id, title, created, changed } = conversation;
    const head = { id, title, created, changed, revision };
    try {
      const isKept = await this.shelf.put(head, { ...conversation, revision }, conversation.revision, this.most);
      return isKept ? { kind: "kept", revision } : { kind: "elsewhere" };
    } catch {
      return { kind: "full" };
    }
  }

  async remove(id: string): Promise<void> {
    await this.shelf.remove(id).catch(() => undefined);
  }

  async clear(): Promise<void> {
    await this.shelf.clear().catch(() => undefined);
  }
}

function isHead(found: unknown): found is Head {
  if (typeof found !== "object" || found === null) return false;
  const { id, title, created, changed, revision } = found as Record<string, unknown>;
  const numbers = [created, changed, revision].every((one) => typeof one === "number" && Number.isFinite(one));
  return typeof id === "string" && typeof title === "string" && numbers;
}
