import { signal } from "@preact/signals";
import { DamagedError } from "./kept/checked";
import type { Conversation } from "./kept/conversation";
import { ConversationStore } from "./kept/conversation_store";
import { browserShelf, fleetingShelf, type Head, type Shelf } from "./kept/shelf";

/** What the reader has to know of what is kept: nothing lasts, some is damaged, or there is no room. */
export type Notice = "fleeting" | "damaged" | "full";

/** Milliseconds without a change after which a conversation is kept, and between two states of a growing answer. */
const QUIET = 300;
const GROWING = 2000;

/** Keeps what is on the desk: waits for quiet, one save at a time, and tells the other tabs. */
class Keeping {
  readonly heads = signal<readonly Head[]>([]);
  readonly notices = signal<ReadonlySet<Notice>>(new Set());

  private readonly store: Promise<ConversationStore>;
  private readonly tabs = new BroadcastChannel("nexus-chat");
  private readonly timers = new Map<string, ReturnType<typeof setTimeout>>();
  private readonly saving = new Map<string, Promise<void>>();
  private readonly names = new Map<string, string>();
  private readonly grown = new Map<string, number>();
  private find: (id: string) => Conversation | undefined = () => undefined;
  private hold: (conversation: Conversation) => void = () => undefined;
  private changed: (id: string) => void = () => undefined;
  private parted: (id: string, parted: Conversation) => void = () => undefined;

  constructor(shelf: Promise<Shelf>) {
    this.store = shelf.then(
      (found) => new ConversationStore(found),
      () => {
        this.tell("fleeting");
        return new ConversationStore(fleetingShelf());
      },
    );
    this.tabs.onmessage = ({ data }: MessageEvent<unknown>) => {
      if (typeof data !== "string") return;
      void this.refresh();
      this.changed(data);
    };
    addEventListener("pagehide", () => {
      for (const id of this.timers.keys()) this.keepNow(id);
    });
    void this.refresh();
  }

  /** Where the conversations are that are to be kept. */
  source(find: (id: string) => Conversation | undefined, hold: (conversation: Conversation) => void): void {
    this.find = find;
    this.hold = hold;
  }

  /** Called with the id of a conversation that another tab has kept or removed. */
  whenChanged(told: (id: string) => void): void {
    this.changed = told;
  }

  /** Called when another tab was first: with the old id, and with what this tab has under a new one. */
  whenParted(told: (id: string, parted: Conversation) => void): void {
    this.parted = told;
  }

  /** The id by which a conversation goes now. */
  nameNow(id: string): string {
    return this.names.get(id) ?? id;
  }

  isWaiting(id: string): boolean {
    return this.timers.has(id) || this.saving.has(id);
  }

  /** Whether it is time to keep what has come of an answer. */
  mayKeep(id: string): boolean {
    const now = Date.now();
    if (now - (this.grown.get(id) ?? 0) < GROWING) return false;
    this.grown.set(id, now);
    return true;
  }

  async load(id: string): Promise<Conversation | "damaged" | "gone"> {
    try {
      return (await (await this.store).load(id)) ?? "gone";
    } catch (error) {
      if (error instanceof DamagedError) return "damaged";
      throw error;
    }
  }

  keep(id: string): void {
    clearTimeout(this.timers.get(id));
    this.timers.set(
      id,
      setTimeout(() => this.keepNow(id), QUIET),
    );
  }

  keepNow(named: string): void {
    const id = this.nameNow(named);
    clearTimeout(this.timers.get(id));
    this.timers.delete(id);
    const before = this.saving.get(id) ?? Promise.resolve();
    const saved = before.then(() => this.save(id));
    this.saving.set(id, saved);
    void saved.finally(() => {
      if (this.saving.get(id) === saved) this.saving.delete(id);
    });
  }

  async remove(id: string): Promise<void> {
    clearTimeout(this.timers.get(id));
    this.timers.delete(id);
    await this.saving.get(id);
    await (await this.store).remove(id);
    await this.told(id);
  }

  async clear(): Promise<void> {
    for (const timer of this.timers.values()) clearTimeout(timer);
    this.timers.clear();
    await Promise.all(this.saving.values());
    await (await this.store).clear();
    this.notices.value = new Set([...this.notices.value].filter((one) => one === "fleeting"));
    await this.told("");
  }

  private async save(id: string): Promise<void> {
    const conversation = this.find(id);
    if (!conversation) return;
    const saved = await (await this.store).save(conversation);
    if (saved.kind === "full") return this.tell("full");
    if (saved.kind === "elsewhere") return this.part(conversation);
    const now = this.find(id);
    if (now) this.hold({ ...now, revision: saved.revision });
    await this.told(id);
  }

  private part(conversation: Conversation): void {
    const parted = { ...(this.find(conversation.id) ?? conversation), id: crypto.randomUUID(), revision: 0 };
    for (const [from, to] of this.names) if (to === conversation.id) this.names.set(from, parted.id);
    this.names.set(conversation.id, parted.id);
    this.parted(conversation.id, parted);
    this.keepNow(parted.id);
  }

  private async told(id: string): Promise<void> {
    this.tabs.postMessage(id);
    await this.refresh();
  }

  private async refresh(): Promise<void> {
    const { heads, damaged } = await (await this.store).list();
    this.heads.value = heads;
    if (damaged > 0) this.tell("damaged");
  }

  private tell(notice: Notice): void {
    this.notices.value = new Set([...this.notices.value, notice]);
  }
}

export const keeping = new Keeping(browserShelf());
