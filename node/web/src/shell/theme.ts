import { signal } from "@preact/signals";
import { kept } from "../kept";

export const THEMES = ["system", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];

const KEY = "nexus.theme";
const before = kept.read(KEY);

export const theme = signal<Theme>(THEMES.find((one) => one === before) ?? "system");

export function chooseTheme(wanted: Theme): void {
  theme.value = wanted;
  kept.write(KEY, wanted);
  showTheme();
}

/** Tell the style sheet. */
export function showTheme(): void {
  document.documentElement.dataset["theme"] = theme.value;
}
