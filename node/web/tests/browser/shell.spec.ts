import { expect, expectAccessible, network, test } from "./network";

test("a browser that visits the gateway is shown the page, under its policy", async ({ page }) => {
  await page.goto("/");
  await expect(page).toHaveURL(`${network().address}/app/`);
  await expect(page.getByRole("navigation", { name: "Pages" })).toBeVisible();
  await expectAccessible(page);
});

test("language and theme are kept", async ({ page }) => {
  await page.goto("/app/chat");
  await page.getByLabel("Language").selectOption("ko");
  await expect(page.getByRole("navigation", { name: "페이지" })).toBeVisible();
  await page.getByLabel("테마").selectOption("dark");
  await page.reload();
  await expect(page.locator("html")).toHaveAttribute("lang", "ko");
  await expect(page.locator("html")).toHaveAttribute("data-theme", "dark");
  await expectAccessible(page);
});

test("every page is reached by keyboard alone, and has an address of its own", async ({ page }) => {
  await page.goto("/app/");
  const names = await page.getByRole("navigation", { name: "Pages" }).getByRole("link").allTextContents();
  expect(names).toHaveLength(6);
  await page.keyboard.press("Tab");
  await expect(page.getByRole("link", { name: "Skip to the content" })).toBeFocused();
  for (const name of names) {
    await page.getByRole("link", { name, exact: true }).focus();
    await page.keyboard.press("Enter");
    await expect(page).toHaveURL(new RegExp(`/app/${name.toLowerCase()}$`));
    await expect(page).toHaveTitle(`${name} · Neural Nexus`);
  }
});

test("a place that is none says so", async ({ page }) => {
  await page.goto("/app/nowhere");
  await expect(page.getByRole("heading", { name: "There is no such page." })).toBeVisible();
});

test("text never becomes elements by itself: the browser refuses it", async ({ page, complaints }) => {
  await page.goto("/app/chat");
  const refused = await page.evaluate(() => {
    try {
      document.body.innerHTML = "<img src=x onerror=alert(1)>";
      return false;
    } catch (error) {
      return error instanceof TypeError;
    }
  });
  expect(refused).toBe(true);
  expect(complaints.splice(0)).toHaveLength(1);
});
