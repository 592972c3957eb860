import { kept } from "../../../kept";
import { signal } from "@preact/signals";

const KEY = "nexus.chat.single_keys";

/** Whether single letters do something: people who speak to their computer turn them off. */
export const singleKeys = signal(kept.read(KEY) !== "off");

export function useSingleKeys(isWanted: boolean): void {
  singleKeys.value = isWanted;
  kept.write(KEY, isWanted ? "on" : "off");
}

/** What the page itself does at a key; keys of buttons stand at the buttons, in `aria-keyshortcuts`. */
export interface KeyActions {
  readonly help: () => void;
  readonly stop: () => void;
  readonly walk: (steps: number) => void;
}

/** Follow the keyboard. Returns what undoes it. */
export function followKeys(actions: KeyActions): () => void {
  const pressed = (event: KeyboardEvent) => {
    if (event.defaultPrevented || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.querySelector("dialog[open]")) return;
    if (act(event, actions)) event.preventDefault();
  };
  addEventListener("keydown", pressed);
  return () => removeEventListener("keydown", pressed);
}

function act(event: KeyboardEvent, actions: KeyActions): boolean {
  if (event.key === "Escape") {
    actions.stop();
    return true;
  }
  if (!singleKeys.value || isTyping(event.target)) return false;
  if (event.key === "?") actions.help();
  else if (event.key === "j" || event.key === "k") focusAnswer(event.key === "j" ? 1 : -1);
  else if (event.key === "]" || event.key === "[") actions.walk(event.key === "]" ? 1 : -1);
  else return press(event.key);
  return true;
}

/** Press the button, or go to the field, that has this key: in the answer that is in focus, else in the last, else anywhere. */
function press(key: string): boolean {
  const selector = `[aria-keyshortcuts="${CSS.escape(key)}"]`;
  const inAnswer = focusedAnswer()?.querySelector<HTMLElement>(selector);
  const found = inAnswer ?? [...document.querySelectorAll<HTMLElement>(selector)].at(-1);
  if (!found) return false;
  if (found instanceof HTMLButtonElement) found.click();
  else found.focus();
  return true;
}

function answers(): HTMLElement[] {
  return [...document.querySelectorAll<HTMLElement>("article.answer")];
}

function focusedAnswer(): Element | undefined {
  const active = document.activeElement;
  return active?.closest("article.answer") ?? active?.closest("section.turn") ?? undefined;
}

function focusAnswer(steps: number): void {
  const all = answers();
  const at = all.findIndex((one) => one.contains(document.activeElement));
  const from = at < 0 ? (steps > 0 ? -1 : all.length) : at;
  const next = all[Math.min(all.length - 1, Math.max(0, from + steps))];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}

function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  return target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName);
}
