import { useState } from "preact/hooks";
import { words } from "./words";

/** Copies a text, and says that it did. */
export function CopyButton({ label, text, shortcut }: { label: string; text: () => string; shortcut?: string }) {
  const t = words();
  const [isCopied, say] = useState(false);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text());
      say(true);
      setTimeout(() => say(false), 2000);
    } catch {
      // Without a clipboard the text can still be selected.
    }
  };
  return (
    <>
      <button type="button" class="small" onClick={copy} aria-keyshortcuts={shortcut}>
        {isCopied ? t.copied : label}
      </button>
      <span role="status" class="unseen">
        {isCopied ? t.copied : ""}
      </span>
    </>
  );
}
