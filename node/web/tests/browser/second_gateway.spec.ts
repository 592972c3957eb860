import type { Page } from "@playwright/test";
import { expect, expectAccessible, network, test } from "./network";
import { twoGateways, type TwoGateways } from "./second_gateway";

let two: TwoGateways;

test.beforeAll(async () => {
  test.setTimeout(600_000);
  two = await twoGateways();
});
test.afterAll(() => two?.close());

/** Ask the first gateway for a short answer, and wait for its receipts. */
async function answered(page: Page): Promise<void> {
  await page.addInitScript((token) => sessionStorage.setItem("nexus.credentials", JSON.stringify({ token })), two.key);
  await page.goto(`${two.first}/app/chat`);
  await page.getByRole("button", { name: "Settings" }).click();
  await page.getByLabel("Tokens at most").fill("16");
  await page.getByLabel("Temperature").fill("0");
  await page.getByRole("button", { name: "Settings" }).click();
  await page.getByLabel("Your question").fill("def fib(n):\n");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("article").getByText("Price")).toBeVisible();
}

const section = (page: Page) => page.getByRole("region", { name: "A second gateway" });

test("a second gateway recomputes the answer, and its word is said to be its word", async ({ page }) => {
  const { host } = new URL(two.second);
  const sent: Record<string, string>[] = [];
  page.on("request", (request) => {
    if (request.url().startsWith(two.second)) sent.push(request.headers());
  });
  await answered(page);
  await section(page)
    .getByRole("button", { name: `Ask ${host}` })
    .click();
  const said = section(page).locator('.verdict[data-verdict="open"]');
  await expect(said).toContainText(`${host} says: right`);
  await expect(said).toContainText("This browser did not compute it");
  await expectAccessible(page);
  expect(sent.length).toBeGreaterThan(0);
  for (const headers of sent) {
    expect(Object.keys(headers)).not.toContain("authorization");
    expect(Object.keys(headers)).not.toContain("cookie");
    expect(JSON.stringify(headers)).not.toContain(two.key);
  }
});

test("where the second gateway says differently, it is red", async ({ page }) => {
  const { host } = new URL(two.second);
  await page.route(`${two.second}/v1/verifications`, async (route) => {
    if (route.request().method() !== "POST") return route.continue();
    const response = await route.fetch();
    const body = (await response.text()).replace('"verified":true', '"verified":false');
    await route.fulfill({ response, body });
  });
  await answered(page);
  await section(page)
    .getByRole("button", { name: `Ask ${host}` })
    .click();
  await expect(section(page).locator('.verdict[data-verdict="wrong"]')).toContainText(`${host} says: wrong`);
  await expectAccessible(page);
});

test("the page can send nothing to a gateway that its operator did not name", async ({ page, complaints }) => {
  await page.goto(`${two.first}/app/chat`);
  const outcome = await page.evaluate(
    (address) =>
      fetch(`${address}/v1/verifications`, { method: "POST", body: "{}" }).then(
        () => "sent",
        () => "refused",
      ),
    network().address,
  );
  expect(outcome).toBe("refused");
  await expect.poll(() => complaints.join()).toContain("connect-src");
  complaints.length = 0;
  // A gateway that names nobody gives its own page no way out, and takes no answer of others.
  const policy = (await fetch(`${network().address}/app/`)).headers.get("content-security-policy");
  expect(policy).not.toContain("connect-src");
  expect((await fetch(`${network().address}/v1/verifications`, { method: "POST", body: "{}" })).status).toBe(404);
});
