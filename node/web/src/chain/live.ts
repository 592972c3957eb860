import { batch, computed, signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { eventsOf } from "../api/event_stream";
import { askJson, ask, GatewayError } from "../api/gateway";
import type { AsOf, ChainEvent } from "./documents";

/** How the page knows the chain: one stream of events for all that is shown, no polling. */
export type Link = "connecting" | "live" | "gone";

const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 10_000;
/** A gateway says something at least every 15 s; one that is silent for so long is taken for gone. */
const SILENCE_MS = 35_000;

const told = signal<{ asOf: AsOf; heard: number } | undefined>(undefined);

/** Whether the stream is there, and since when (milliseconds of this machine's clock) it is as it is. */
export const link = signal<{ state: Link; since: number }>({ state: "connecting", since: Date.now() });
/** Ticks every second while somebody looks. */
export const tick = signal(Date.now());
/** What the gateway said last of how far it has read the chain. */
export const asOf = computed(() => told.value?.asOf);
/** The chain's time now, Unix seconds: as the gateway told it, and what has passed since by this machine's clock. */
export const chainNow = computed(() =>
  told.value ? told.value.asOf.now + Math.max(0, Math.floor((tick.value - told.value.heard) / 1000)) : undefined,
);
/** Seconds since the gateway read the chain; undefined before it said anything. */
export const age = computed(() =>
  told.value?.asOf.age_seconds == null
    ? undefined
    : told.value.asOf.age_seconds + Math.max(0, (tick.value - told.value.heard) / 1000),
);

type Listener = (event: ChainEvent | "everything") => void;
const listeners = new Set<Listener>();
let watching: AbortController | undefined;

/** Call `listener` for each event, and with "everything" where what is shown may be void. Returns what ends it. */
export function listen(listener: Listener): () => void {
  listeners.add(listener);
  watching ??= watch();
  return () => {
    listeners.delete(listener);
    if (listeners.size > 0) return;
    watching?.abort();
    watching = undefined;
  };
}

export interface Shown<Document> {
  readonly document?: Document | undefined;
  readonly error?: unknown;
  readonly again: () => void;
}

/**
 * The document at a path, asked for again when an event is `relevant` to it. What was shown stays where asking again
 * fails: it is old, and the page says so.
 */
export function useDocument<Document extends { as_of: AsOf }>(
  path: string,
  relevant: (event: ChainEvent) => boolean,
): Shown<Document> {
  const [shown, show] = useState<{ path: string; document?: Document; error?: unknown }>({ path });
  const [asked, askAgain] = useState(0);
  useEffect(() => {
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const read = async () => {
      try {
        const document = await askJson<Document>(path, { signal: stop.signal });
        hear(document.as_of);
        show({ path, document });
      } catch (error) {
        if (!stop.signal.aborted) show((now) => (now.path === path ? { ...now, error } : { path, error }));
      }
    };
    // A block brings many events at once: they are one reason to ask.
    const soon = () => {
      timer ??= setTimeout(() => {
        timer = undefined;
        void read();
      }, 100);
    };
    void read();
    const unlisten = listen((event) => (event === "everything" || relevant(event)) && soon());
    return () => {
      stop.abort();
      clearTimeout(timer);
      unlisten();
    };
  }, [path, asked]);
  const current = shown.path === path ? shown : { path };
  return { ...current, again: () => askAgain(asked + 1) };
}

function watch(): AbortController {
  const stop = new AbortController();
  const timer = setInterval(() => (tick.value = Date.now()), 1000);
  stop.signal.addEventListener("abort", () => clearInterval(timer));
  void follow(stop.signal);
  return stop;
}

async function follow(stop: AbortSignal): Promise<void> {
  let wait = FIRST_WAIT_MS;
  let first = true;
  setLink("connecting");
  while (!stop.aborted) {
    const connection = new AbortController();
    const end = () => connection.abort();
    stop.addEventListener("abort", end);
    try {
      const response = await ask("/explorer/events", { signal: connection.signal });
      setLink("live");
      wait = FIRST_WAIT_MS;
      if (!first) tellAll("everything"); // what happened in between was not heard
      first = false;
      await hearAll(response, end);
    } catch (error) {
      if (error instanceof GatewayError && error.status === 404) return setLink("gone");
    } finally {
      stop.removeEventListener("abort", end);
    }
    if (stop.aborted) return;
    first = false;
    setLink("gone");
    await new Promise((resolve) => setTimeout(resolve, wait));
    wait = Math.min(LONGEST_WAIT_MS, 2 * wait);
  }
}

async function hearAll(response: Response, end: () => void): Promise<void> {
  let silence = setTimeout(end, SILENCE_MS);
  try {
    for await (const event of eventsOf(response)) {
      clearTimeout(silence);
      silence = setTimeout(end, SILENCE_MS);
      const data: unknown = JSON.parse(event.data);
      if (event.name === "event") tellAll(data as ChainEvent);
      else hear(data as AsOf);
      if (event.name === "reset") tellAll("everything");
    }
  } finally {
    clearTimeout(silence);
  }
}

function tellAll(event: ChainEvent | "everything"): void {
  for (const listener of [...listeners]) listener(event);
}

function hear(said: AsOf): void {
  batch(() => {
    told.value = { asOf: said, heard: Date.now() };
    tick.value = Date.now();
  });
}

function setLink(state: Link): void {
  if (link.value.state !== state) link.value = { state, since: Date.now() };
}
