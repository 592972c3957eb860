import { useState } from "preact/hooks";
import { words } from "./words";

/** A command to paste into a terminal. */
export function CommandLine({ command }: { command: string }) {
  const t = words();
  const [copied, say] = useState(false);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(command);
      say(true);
      setTimeout(() => say(false), 2000);
    } catch {
      // Without a clipboard it is selected by hand.
    }
  };
  return (
    <div class="command">
      <code>{command}</code>
      <button type="button" class="copy" aria-label={`${t.copy}: ${command}`} onClick={copy}>
        {copied ? "✓" : "⧉"}
      </button>
      <span role="status" class="unseen">
        {copied ? t.copied : ""}
      </span>
    </div>
  );
}
