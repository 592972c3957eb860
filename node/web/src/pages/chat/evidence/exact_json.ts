/**
 * JSON with whole numbers of any size. JSON.parse rounds what is above 2^53, and amounts of wei in signed documents are:
 * a rounded amount makes a right receipt look forged.
 */

const TEXT_OR_NUMBER = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
/** Fewer digits are below 2^53. */
const LARGE = /^-?\d{16,}$/;

/** The value of a JSON text; whole numbers that a Number does not hold are bigint. Throws SyntaxError. */
export function parseExact(text: string): unknown {
  const mark = markNotIn(text);
  const quoted = text.replace(TEXT_OR_NUMBER, (found) => (LARGE.test(found) ? `"${mark}${found}"` : found));
  return JSON.parse(quoted, (_, value: unknown) =>
    typeof value === "string" && value.startsWith(mark) ? smallest(value.slice(mark.length)) : value,
  ) as unknown;
}

/** The JSON text of such a value. */
export function writeExact(value: unknown, indent = 1): string {
  const mark = crypto.randomUUID();
  const text = JSON.stringify(value, (_, one: unknown) => (typeof one === "bigint" ? `${mark}${one}` : one), indent);
  return text.replaceAll(new RegExp(`"${mark}(-?\\d+)"`, "g"), "$1");
}

function smallest(digits: string): number | bigint {
  const exact = BigInt(digits);
  return exact === BigInt(Number(exact)) && Number.isSafeInteger(Number(exact)) ? Number(exact) : exact;
}

function markNotIn(text: string): string {
  for (;;) {
    const mark = `${crypto.randomUUID()}:`;
    if (!text.includes(mark)) return mark;
  }
}
