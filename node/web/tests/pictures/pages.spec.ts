import { mkdirSync } from "node:fs";
import { resolve } from "node:path";
import type { Page } from "@playwright/test";
import { expect, ROOT, test, withKey } from "../browser/network";

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

test("pictures", async ({ page }) => {
  test.setTimeout(600_000);
  mkdirSync(FOLDER, { recursive: true });
  const conversation = await asked(page);
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    for (const [width, pixels] of Object.entries(WIDTHS)) {
      await page.setViewportSize({ width: pixels, height: 900 });
      for (const name of PAGES) {
        await page.goto(name === "chat" ? conversation : `/app/${name}`);
        await expect(page.getByRole("heading", { level: 1 }).first()).toBeVisible();
        if (name === "chat") await expect(page.getByRole("article").first()).toBeVisible();
        await page.waitForTimeout(1500);
        await page.screenshot({ path: `${FOLDER}/${name}-${colorScheme}-${width}.jpg`, type: "jpeg", quality: 55 });
      }
    }
  }
});
