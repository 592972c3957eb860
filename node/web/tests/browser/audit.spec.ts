import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { Page } from "@playwright/test";
import { ROOT, expect, expectAccessible, network, nexus, test, withKey } from "./network";

let cid = "";

test.beforeAll(async () => {
  test.setTimeout(900_000);
  const model = resolve(ROOT, "nexus_chain/models/python-stdlib");
  const words = ["--password-file", `${network().home}/password`, "model", "publish", model, "--version", "1.0.7"];
  await nexus(...words, "--json");
  const listed = JSON.parse(await nexus("models", "--json")) as { models: { certificate_cid: string | null }[] };
  cid = listed.models.map((one) => one.certificate_cid).findLast((one) => one !== null) ?? "";
  expect(cid).toMatch(/^baf/);
});

async function openCertificate(page: Page): Promise<void> {
  await page.goto("/app/audit");
  await page.getByRole("link", { name: /1\.0\.7/ }).click();
  await expect(page).toHaveURL(new RegExp(`/app/audit/${cid}$`));
}

test("a certificate is checked by the browser without a key, and read field by field", async ({ page }) => {
  await openCertificate(page);
  const here = page.getByRole("region", { name: "Checked here" });
  await expect(here.getByText("✓ holds")).toHaveCount(2);
  await expect(here.getByText("The publisher signed it")).toBeVisible();
  await expect(page.getByText(`nexus audit ${cid}`)).toBeVisible();
  await expect(page.getByText("it needs an API key")).toBeVisible();
  await expect(page.getByText("Perplexity of the integer program")).toBeVisible();
  await expectAccessible(page);
});

test("bytes that a gateway changed are seen to be wrong", async ({ page }) => {
  await page.route(`**/page/certificates/${cid}`, async (route) => {
    const answer = await route.fetch();
    await route.fulfill({ response: answer, body: (await answer.text()).replace("PSF-2.0", "MIT-9.9") });
  });
  await openCertificate(page);
  const here = page.getByRole("region", { name: "Checked here" });
  await expect(here.getByText("✗ does not hold")).toHaveCount(2);
  await expectAccessible(page);
});

test("an audit runs step by step to its verdict, is found again after a reload, and gives its report", async ({
  page,
}) => {
  // Its work is real, and a busy machine takes its time.
  test.setTimeout(900_000);
  await withKey(page);
  await openCertificate(page);
  await page.getByRole("button", { name: "Run the audit here" }).focus();
  await page.keyboard.press("Enter");
  await expect(page.getByText("The audit is running.")).toBeVisible();
  await page.reload();
  await expect(page.getByText("The certificate holds: every step passed.")).toBeVisible({ timeout: 800_000 });
  await expect(page.locator(".audit-steps > li")).toHaveCount(11);
  const coming = page.waitForEvent("download");
  await page.getByRole("button", { name: "Report of the audit (JSON)" }).click();
  const report = JSON.parse(readFileSync(await (await coming).path(), "utf8")) as { cid: string; passed: boolean };
  expect(report).toMatchObject({ cid, passed: true });
  await expectAccessible(page);
});

test("an audit is cancelled", async ({ page }) => {
  await withKey(page);
  await openCertificate(page);
  await page.getByRole("button", { name: /^Run (the audit here|it again)$/ }).click();
  await page.getByRole("button", { name: "Cancel" }).click();
  await expect(page.getByText("The audit was cancelled.")).toBeVisible();
});

test("a text that is no CID is refused in words", async ({ page }) => {
  await page.goto("/app/audit");
  await page.getByLabel("CID of a certificate").fill("Qm123");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("alert")).toContainText("This is no CID that can be verified");
  await expectAccessible(page);
});
