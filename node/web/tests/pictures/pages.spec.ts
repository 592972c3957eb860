import { mkdirSync } from "node:fs";
import { resolve } from "node:path";
import type { Page } from "@playwright/test";
import { InjectedWallet } from "../browser/injected_wallet";
import { askLiar, handOver, startLiar, watch } from "../browser/liar";
import { expect, network, ROOT, test, withKey } from "../browser/network";

/** Pictures of every page for docs/pictures: both themes, three widths. */
const FOLDER = resolve(ROOT, "docs/pictures");
const WIDTHS = { phone: 360, tablet: 800, desk: 1400 };
const PAGES = ["chat", "explorer", "operate", "audit", "learn", "market"];

async function asked(page: Page): Promise<string> {
  await withKey(page);
  await page.goto("/app/chat");
  await page.getByRole("button", { name: "Settings" }).click();
  await page.getByLabel("Tokens at most").fill("48");
  await page.getByLabel("Temperature").fill("0");
  await page.getByRole("button", { name: "Settings" }).click();
  await page.getByLabel("Your question").fill("def read_lines(path):\n    ");
  await page.keyboard.press("Enter");
  const answer = page.getByRole("article").first();
  await expect(answer.getByText("Price")).toBeVisible();
  await answer.getByRole("button", { name: "Verify" }).click();
  await expect(answer.locator('[data-verdict="right"]').first()).toBeVisible({ timeout: 60_000 });
  return page.url();
}

/** Take what is shown in both themes and three widths. `show` opens it again, or waits for it. */
async function taken(page: Page, name: string, show: () => Promise<unknown>): Promise<void> {
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    for (const [width, pixels] of Object.entries(WIDTHS)) {
      await page.setViewportSize({ width: pixels, height: 900 });
      await show();
      await page.waitForTimeout(1500);
      await page.screenshot({ path: `${FOLDER}/${name}-${colorScheme}-${width}.jpg`, type: "jpeg", quality: 55 });
    }
  }
}

test.beforeAll(() => mkdirSync(FOLDER, { recursive: true }));

test("pages", async ({ page }) => {
  test.setTimeout(600_000);
  const conversation = await asked(page);
  for (const name of PAGES)
    await taken(page, name, async () => {
      await page.goto(name === "chat" ? conversation : `/app/${name}`);
      await expect(page.getByRole("heading", { level: 1 }).first()).toBeVisible();
      if (name === "chat") await expect(page.getByRole("article").first()).toBeVisible();
    });
});

test("a node of somebody's, for whom a wallet is connected", async ({ page }) => {
  test.setTimeout(600_000);
  const wallet = await InjectedWallet.on(page, "Wallet");
  const listed = (await (await page.request.get("/explorer/nodes")).json()) as { items: { node: string }[] };
  await page.goto(`/app/operate?node=${listed.items[0]?.node}`);
  await page.getByRole("main").getByRole("button", { name: wallet.name }).click();
  await taken(page, "operate-node", () => expect(page.getByRole("heading", { name: "Standing" })).toBeVisible());
});

test("a lie: the red answer, and the dispute about it", async ({ page }) => {
  test.setTimeout(900_000);
  const { liar, stop } = await startLiar();
  try {
    const answer = await askLiar(page, liar);
    const verdict = answer.locator('.verdict[data-verdict="wrong"]');
    await taken(page, "lie", () => verdict.scrollIntoViewIfNeeded());
    await answer.getByRole("button", { name: "Hand the evidence to a watcher" }).click();
    await handOver(page, answer, liar);
    expect(await watch(liar)).toBe(0);
    await page.goto(`${network().address}/app/explorer/disputes`);
    await page.locator('a[href*="/app/explorer/disputes/"]').first().click();
    await taken(page, "dispute", () => expect(page.getByText("The node is convicted.")).toBeVisible());
  } finally {
    await stop();
  }
});
