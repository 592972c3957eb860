import { useCallback, useEffect, useRef, useState } from "preact/hooks";

/** Something that takes a while, at most once at a time: whether it runs, and how it failed. */
export interface Doing {
  readonly busy: boolean;
  readonly error: unknown;
  run(work: () => Promise<unknown>): void;
  clear(): void;
}

export function useDoing(): Doing {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const running = useRef(false);
  const shown = useRef(true);
  useEffect(() => () => void (shown.current = false), []);
  const run = useCallback((work: () => Promise<unknown>) => {
    // INVARIANT: two quick clicks are one wish.
    if (running.current) return;
    running.current = true;
    setBusy(true);
    setError(undefined);
    work()
      .catch((failed: unknown) => {
        if (shown.current) setError(failed ?? new Error("failed"));
      })
      .finally(() => {
        running.current = false;
        if (shown.current) setBusy(false);
      });
  }, []);
  const clear = useCallback(() => setError(undefined), []);
  return { busy, error, run, clear };
}

/** What is fetched again whenever `wanted` changes. The last answer stays until the next one is there. */
export interface Fetched<Found> {
  readonly found?: Found;
  readonly error?: unknown;
  again(): void;
}

export function useFetched<Found>(fetch: () => Promise<Found>, wanted: readonly unknown[]): Fetched<Found> {
  const [state, set] = useState<{ found?: Found; error?: unknown }>({});
  const [round, setRound] = useState(0);
  useEffect(() => {
    let current = true;
    fetch().then(
      (found) => current && set({ found }),
      (error: unknown) => current && set((before) => ({ ...before, error })),
    );
    return () => {
      current = false;
    };
  }, [...wanted, round]);
  const again = useCallback(() => setRound((one) => one + 1), []);
  return { ...state, again };
}
