import type { Page } from "@playwright/test";
import { expect, expectAccessible, network, nexus, processes, test } from "./network";

/** Have the chain pass some time, and make a block. */
async function passTime(page: Page, seconds: number): Promise<void> {
  for (const [method, params] of [
    ["evm_increaseTime", [seconds]],
    ["evm_mine", []],
  ] as const) {
    const data = { jsonrpc: "2.0", id: 1, method, params };
    expect((await page.request.post(network().rpc, { data })).ok()).toBe(true);
  }
}

test("an answer is asked, and its session is seen as it happens; its link opens the same thing", async ({
  page,
  context,
}) => {
  await page.goto("/app/explorer/sessions");
  await expect(page.locator('[data-state="live"]')).toBeVisible();
  await nexus("ask", "def fib(n):", "--max-tokens", "8");
  const sessions = JSON.parse(await nexus("session", "list", "--json")) as { sessions: { session: string }[] };
  const id = sessions.sessions.at(-1)?.session ?? "";
  const link = page.locator(`a[href="/app/explorer/sessions/${id}"]`);
  await expect(link).toBeVisible();
  await expectAccessible(page);
  await link.click();
  await expect(page).toHaveURL(new RegExp(`/app/explorer/sessions/${id}$`));
  await expect(page.getByText("SessionOpened")).toBeVisible();
  await expectAccessible(page);

  const other = await context.newPage();
  await other.goto(page.url());
  await expect(other.getByRole("heading", { level: 1 })).toHaveText(
    await page.getByRole("heading", { level: 1 }).innerText(),
  );
  await expect(other.getByText("SessionOpened")).toBeVisible();
  await other.close();

  await nexus("session", "close", id);
  await expect(page.getByText("SessionClosed")).toBeVisible();
  await passTime(page, 61);
  await nexus("session", "settle", id);
  await expect(page.getByText("LineSettled").first()).toBeVisible();

  await page.getByRole("link", { name: "Settlements", exact: true }).click();
  const card = page.locator("article", { has: page.locator(`a[href="/app/explorer/sessions/${id}"]`) }).first();
  await expect(card.getByText("This is what was locked, to the last wei.")).toBeVisible();
  const rows = await card.locator("td.exact").allInnerTexts();
  const wei = rows.map((text) => BigInt(text.replaceAll(/[^0-9]/g, "")));
  const total = wei.pop();
  expect(wei.reduce((sum, one) => sum + one, 0n)).toBe(total);
  await expectAccessible(page);
});

test("every part of the explorer has an address, and is reached by its link", async ({ page }) => {
  await page.goto("/app/explorer");
  await expect(page.getByRole("heading", { name: "Contracts" })).toBeVisible();
  await expectAccessible(page);
  for (const part of ["models", "nodes", "sessions", "settlements", "disputes"]) {
    await page
      .getByRole("navigation", { name: "Parts of the explorer" })
      .locator(`a[href="/app/explorer/${part}"]`)
      .click();
    await expect(page).toHaveURL(new RegExp(`/app/explorer/${part}$`));
    await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
    await expectAccessible(page);
  }
});

test("a model shows who serves which layers, and each node has a page", async ({ page }) => {
  await page.goto("/app/explorer/models");
  const model = page.getByRole("article").first();
  await expect(model.getByRole("img", { name: /each served by an active node/ })).toBeVisible();
  await model.getByRole("heading").getByRole("link").click();
  await expect(page.getByText("No certificate is known, so nothing is known of its quality.")).toBeVisible();
  await expectAccessible(page);
  await page.getByRole("table").locator("a").first().click();
  await expect(page).toHaveURL(/\/app\/explorer\/nodes\/0x/);
  await expect(page.getByText("Stake", { exact: true })).toBeVisible();
  await expectAccessible(page);
});

test("what is not there, or no id, is said", async ({ page }) => {
  await page.goto(`/app/explorer/sessions/0x${"ab".repeat(32)}`);
  await expect(page.getByRole("alert")).toContainText("the chain knows no such session");
  await page.goto("/app/explorer/disputes/none");
  await expect(page.getByRole("alert")).toContainText("no game's number");
  await expectAccessible(page);
});

test("the market says what is known, and leads to a chat with the model", async ({ page }) => {
  await page.goto("/app/market");
  const entry = page.getByRole("article").first();
  await expect(entry).toContainText("No certificate is known");
  await expectAccessible(page);
  await page.getByLabel("With a certificate").check();
  await expect(page.getByText("No version is like that.")).toBeVisible();
  await page.reload();
  await expect(page.getByLabel("With a certificate")).toBeChecked();
  await page.getByLabel("With a certificate").uncheck();
  await page.getByLabel("Order by").selectOption("price");
  await expect(page).toHaveURL(/order=price/);
  await page
    .getByRole("link", { name: /^Chat with/ })
    .first()
    .click();
  await expect(page).toHaveURL(/\/app\/chat\?model=/);
});

test("a gateway that dies is said to be gone, and the page goes on by itself when it is back", async ({ page }) => {
  await page.goto("/app/explorer/nodes");
  await expect(page.locator('[data-state="live"]')).toBeVisible();
  const rows = await page.getByRole("row").count();
  const { gateway } = await processes();
  expect(gateway).toBeGreaterThan(0);
  process.kill(gateway as number, "SIGKILL");
  await expect(page.locator('[data-state="gone"]')).toContainText("has not answered for");
  await expect(page.getByRole("row")).toHaveCount(rows);
  await expect(page.locator('[data-state="live"]')).toBeVisible({ timeout: 90_000 });
  await expect(page.getByRole("row")).toHaveCount(rows);
});
