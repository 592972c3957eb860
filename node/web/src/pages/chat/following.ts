import { useEffect } from "preact/hooks";
import { running } from "./running";

/** Pixels above the page's end that still count as being there. */
const NEAR = 160;
/** Milliseconds that the page is followed after the last answer. */
const AFTERWARDS = 1000;

/** While answers come, stay at the end of the page; whoever scrolls up is left where they are. */
export function useFollowing(): void {
  const isComing = running.value.size > 0;
  useEffect(() => {
    if (!isComing) return undefined;
    const root = document.documentElement;
    let isAtEnd = true;
    let before = root.scrollTop;
    const scrolled = () => {
      // Growth moves the end away and nothing upwards: only a reader scrolls up.
      if (root.scrollTop < before) isAtEnd = false;
      if (root.scrollHeight - root.scrollTop - root.clientHeight < NEAR) isAtEnd = true;
      before = root.scrollTop;
    };
    // Only growth moves the page: its size is looked at after layout, so that no layout is forced.
    const grown = new ResizeObserver(() => {
      if (isAtEnd) scrollTo(0, root.scrollHeight);
    });
    addEventListener("scroll", scrolled, { passive: true });
    grown.observe(document.body);
    const end = () => {
      removeEventListener("scroll", scrolled);
      grown.disconnect();
    };
    // The last words and what stands below them are drawn after the answer has ended.
    return () => void setTimeout(end, AFTERWARDS);
  }, [isComing]);
}
