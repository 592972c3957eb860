import { useState } from "preact/hooks";
import { words } from "./words";

/** A hash or an address: its ends to recognise it by, the whole of it for whoever copies it. */
export function Hash({ value, href }: { value: string; href?: string }) {
  const t = words();
  const [copied, say] = useState(false);
  const short = value.length > 14 ? `${value.slice(0, 8)}…${value.slice(-4)}` : value;
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(value);
      say(true);
      setTimeout(() => say(false), 2000);
    } catch {
      // Without a clipboard the whole value still stands in the title.
    }
  };
  return (
    <span class="hash mono" title={value}>
      {href ? <a href={href}>{short}</a> : short}
      <button type="button" class="copy" aria-label={`${t.copy}: ${value}`} onClick={copy}>
        {copied ? "✓" : "⧉"}
      </button>
      <span role="status" class="unseen">
        {copied ? t.copied : ""}
      </span>
    </span>
  );
}
