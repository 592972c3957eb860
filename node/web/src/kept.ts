/**
 * Small texts that the browser keeps. A browser that keeps nothing (private mode, full disk) gives a page that
 * forgets, and no error: nothing kept here is money or evidence.
 */
export const kept = {
  read(key: string): string | undefined {
    try {
      return localStorage.getItem(key) ?? undefined;
    } catch {
      return undefined;
    }
  },
  /** Returns whether it is kept. */
  write(key: string, text: string): boolean {
    try {
      localStorage.setItem(key, text);
      return true;
    } catch {
      return false;
    }
  },
  remove(key: string): void {
    try {
      localStorage.removeItem(key);
    } catch {
      // There was nothing to forget.
    }
  },
};
