import type { ComponentType } from "preact";

/** The pages, in the order of the navigation. Each is fetched when it is first shown. */
export const PAGES = {
  chat: () => import("../pages/chat/page"),
  explorer: () => import("../pages/explorer/page"),
  operate: () => import("../pages/operate/page"),
  audit: () => import("../pages/audit/page"),
  learn: () => import("../pages/learn/page"),
  market: () => import("../pages/market/page"),
} satisfies Record<string, () => Promise<{ Page: ComponentType }>>;

export type PageName = keyof typeof PAGES;

export function isPage(name: string): name is PageName {
  return Object.hasOwn(PAGES, name);
}
