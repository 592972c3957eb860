import { useState } from "preact/hooks";
import { words as designWords } from "../../design/words";
import { words } from "./words";

/** A line to paste into a shell. */
export function Command({ text }: { text: string }) {
  const t = words();
  const [copied, say] = useState(false);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      say(true);
    } catch {
      // Without a clipboard the line can be selected.
    }
  };
  return (
    <div class="command">
      <pre tabIndex={0}>{text}</pre>
      <button type="button" aria-label={`${t.copy}: ${text}`} onClick={copy}>
        {copied ? designWords().copied : t.copy}
      </button>
    </div>
  );
}
