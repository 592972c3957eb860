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
        {copied ? <Tick /> : <Sheets />}
      </button>
      <span role="status" class="unseen">
        {copied ? t.copied : ""}
      </span>
    </span>
  );
}

/** Drawn, not written: few fonts have signs for these. */
function Sheets() {
  return (
    <svg
      viewBox="0 0 16 16"
      width="14"
      height="14"
      fill="none"
      stroke="currentColor"
      stroke-width="1.5"
      aria-hidden="true"
    >
      <rect x="5.5" y="5.5" width="8" height="8" rx="1.5" />
      <path d="M10.5 3.5v-1h-8v8h1" />
    </svg>
  );
}

function Tick() {
  return (
    <svg
      viewBox="0 0 16 16"
      width="14"
      height="14"
      fill="none"
      stroke="currentColor"
      stroke-width="2"
      aria-hidden="true"
    >
      <path d="M3 8.5l3.5 3.5L13 4.5" />
    </svg>
  );
}
