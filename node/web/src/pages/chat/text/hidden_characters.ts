/**
 * Text in which nothing is hidden: characters that cannot be seen, or that turn the order of others around, stand as
 * their number, `⟦U+202E⟧`. A reader then sees what a program would read.
 *
 * What writing needs stays: joiners inside an emoji or between letters that join, and selectors behind an emoji.
 */
export function visible(text: string): string {
  return text.replace(HIDDEN, (found: string, ...rest: unknown[]) => {
    const at = rest.at(-2) as number;
    const before = characterBefore(text, at);
    const after = characterAt(text, at + found.length);
    return isNeeded(found, before, after) ? found : nameOf(found);
  });
}

const HIDDEN =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\u{1d173}-\u{1d17a}\u{e0000}-\u{e0fff}]/gu;
const JOINERS = new Set(["\u200c", "\u200d"]);
const PART_OF_EMOJI = /^(?:\p{Extended_Pictographic}|\p{Emoji_Modifier}|\ufe0f)$/u;
const JOINING_LETTER =
  /^[\p{Script=Arabic}\p{Script=Devanagari}\p{Script=Bengali}\p{Script=Gujarati}\p{Script=Gurmukhi}\p{Script=Kannada}\p{Script=Malayalam}\p{Script=Oriya}\p{Script=Sinhala}\p{Script=Tamil}\p{Script=Telugu}]$/u;
const EMOJI = /^\p{Emoji}$/u;

function isNeeded(found: string, before: string, after: string): boolean {
  if (found === "\r") return after === "\n";
  if (found === "\ufe0f" || found === "\ufe0e") return EMOJI.test(before);
  if (!JOINERS.has(found)) return false;
  if (JOINING_LETTER.test(before)) return JOINING_LETTER.test(after);
  return found === "\u200d" && PART_OF_EMOJI.test(before) && PART_OF_EMOJI.test(after);
}

function nameOf(character: string): string {
  const number = character.codePointAt(0) ?? 0;
  return `⟦U+${number.toString(16).toUpperCase().padStart(4, "0")}⟧`;
}

function characterAt(text: string, at: number): string {
  const found = text.codePointAt(at);
  return found === undefined ? "" : String.fromCodePoint(found);
}

function characterBefore(text: string, at: number): string {
  if (at === 0) return "";
  const low = text.charCodeAt(at - 1);
  const isPair = low >= 0xdc00 && low < 0xe000 && at >= 2;
  return isPair ? text.slice(at - 2, at) : text.charAt(at - 1);
}
