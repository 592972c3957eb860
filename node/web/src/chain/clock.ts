import { language } from "../words/language";

/** Seconds as people say them: `2 days`, `3 h 5 min`, `4 min 10 s`, `9 s`. Negative ones count as none. */
export function durationOf(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const days = Math.floor(whole / 86_400);
  const hours = Math.floor(whole / 3_600) % 24;
  const minutes = Math.floor(whole / 60) % 60;
  const parts: [number, string][] = [
    [days, "day"],
    [hours, "hour"],
    [minutes, "minute"],
    [whole % 60, "second"],
  ];
  const first = parts.findIndex(([count]) => count > 0);
  if (first < 0) return inUnit(0, "second");
  return parts
    .slice(first, first + 2)
    .filter(([count], place) => count > 0 || place === 0)
    .map(([count, unit]) => inUnit(count, unit))
    .join(" ");
}

/** A moment of the chain, by the reader's calendar and clock. `seconds`: Unix. */
export function momentOf(seconds: number): string {
  return new Date(seconds * 1000).toLocaleString(language.value, { dateStyle: "medium", timeStyle: "medium" });
}

/** A share of all, with one decimal and a percent sign; nothing of nothing has none. */
export function shareOf(part: number, all: number): string | undefined {
  if (all <= 0) return undefined;
  return (part / all).toLocaleString(language.value, { style: "percent", maximumFractionDigits: 1 });
}

function inUnit(count: number, unit: string): string {
  return count.toLocaleString(language.value, { style: "unit", unit, unitDisplay: "short" });
}
