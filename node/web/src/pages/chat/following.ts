import { useEffect } from "preact/hooks";
import { running } from "./running";

/** Pixels above the page's end that still count as being there. */
const NEAR = 160;

/** While answers come, stay at the end of the page; whoever scrolls up is left where they are. */
export function useFollowing(): void {
  const isComing = running.value.size > 0;
  useEffect(() => {
    if (!isComing) return undefined;
    const root = document.documentElement;
    let isAtEnd = true;
    const scrolled = () => {
      isAtEnd = root.scrollHeight - root.scrollTop - root.clientHeight < NEAR;
    };
    // Only growth moves the page: its size is looked at after layout, so that no layout is forced.
    const grown = new ResizeObserver(() => {
      if (isAtEnd) scrollTo(0, Number.MAX_SAFE_INTEGER);
    });
    addEventListener("scroll", scrolled, { passive: true });
    grown.observe(document.body);
    return () => {
      removeEventListener("scroll", scrolled);
      grown.disconnect();
    };
  }, [isComing]);
}
