import type { Page } from "@playwright/test";
import { InjectedWallet } from "./injected_wallet";
import { expect, expectAccessible, network, test } from "./network";

const panel = (page: Page) => page.getByRole("dialog", { name: "Wallet" });

/** Connect a wallet and sign in with it. Returns the token that the tab keeps. */
async function signedIn(page: Page, wallet: InjectedWallet): Promise<string> {
  await page.goto("/app/learn");
  await page.getByRole("button", { name: "Connect wallet" }).click();
  await panel(page).getByRole("button", { name: wallet.name }).click();
  await panel(page).getByRole("button", { name: "Sign in" }).click();
  await panel(page).getByRole("button", { name: "Sign", exact: true }).click();
  await expect(panel(page).getByText("Signed in", { exact: true })).toBeVisible();
  const kept = await page.evaluate(() => sessionStorage.getItem("nexus.credentials"));
  return (JSON.parse(kept ?? "{}") as { token: string }).token;
}

/** What a script of the page finds in the browser's database of keys. */
function keptKeys(page: Page) {
  return page.evaluate(async () => {
    const database = await new Promise<IDBDatabase>((resolve, reject) => {
      const asked = indexedDB.open("nexus-session");
      asked.onsuccess = () => resolve(asked.result);
      asked.onerror = () => reject(asked.error);
    });
    const keys = await new Promise<{ thumbprint: string; sign: CryptoKey }[]>((resolve) => {
      const asked = database.transaction("keys").objectStore("keys").getAll();
      asked.onsuccess = () => resolve(asked.result);
    });
    database.close();
    const exported = async (key: CryptoKey, format: "jwk" | "pkcs8") => {
      try {
        return JSON.stringify(await crypto.subtle.exportKey(format, key));
      } catch (error) {
        return (error as DOMException).name;
      }
    };
    return Promise.all(
      keys.map(async ({ thumbprint, sign }) => ({
        thumbprint,
        extractable: sign.extractable,
        exported: [await exported(sign, "jwk"), await exported(sign, "pkcs8")],
      })),
    );
  });
}

async function asThief(headers: Record<string, string>, path = "/v1/account", method = "GET") {
  const answer = await fetch(network().address + path, { method, headers });
  const { error } = (await answer.json()) as { error?: { code: string } };
  return { status: answer.status, code: error?.code, asks: answer.headers.get("www-authenticate") };
}

const REFUSED = {
  status: 401,
  code: "invalid_dpop_proof",
  asks: 'DPoP error="invalid_dpop_proof", algs="ES256"',
};

test("the session's key stays in the browser, and a stolen token opens nothing", async ({ page }) => {
  const wallet = await InjectedWallet.on(page, "Keyed");
  const sent: Record<string, string>[] = [];
  page.on("request", (request) => {
    if (new URL(request.url()).pathname === "/v1/account") sent.push(request.headers());
  });
  const token = await signedIn(page, wallet);
  await expect(panel(page).getByText("You can spend")).toBeVisible();
  await expect(panel(page).getByText("not tied to this browser")).toBeHidden();
  const [key, ...others] = await keptKeys(page);
  expect(others).toEqual([]);
  expect(key).toEqual({
    thumbprint: key?.thumbprint,
    extractable: false,
    exported: ["InvalidAccessError", "InvalidAccessError"],
  });

  expect(await asThief({ authorization: `Bearer ${token}` })).toEqual(REFUSED);
  expect(await asThief({ authorization: `DPoP ${token}` })).toEqual(REFUSED);
  expect(await asThief({ "x-api-key": token })).toEqual(REFUSED);
  expect(await asThief({ authorization: `Bearer ${token}` }, "/v1/keys", "POST")).toEqual(REFUSED);
  // All that was ever sent, too: a proof counts once, and for its own request.
  expect(sent.length).toBeGreaterThan(0);
  for (const { authorization = "", dpop = "" } of sent) {
    expect(authorization).toBe(`DPoP ${token}`);
    expect(await asThief({ authorization, dpop })).toEqual(REFUSED);
    expect(await asThief({ authorization, dpop }, "/v1/keys", "POST")).toEqual(REFUSED);
  }

  await panel(page).getByRole("button", { name: "Sign out" }).click();
  await expect(panel(page).getByRole("button", { name: "Sign in" })).toBeVisible();
  expect(await keptKeys(page)).toEqual([]);
});

test("one signature does for all answers and all tabs", async ({ page, context }) => {
  test.setTimeout(900_000); // the gateway looks at the contract once a minute
  const wallet = await InjectedWallet.on(page, "Asker");
  const early = await context.newPage();
  await early.goto("/app/chat");
  await expect(early.getByLabel("API key")).toBeVisible();
  await signedIn(page, wallet);
  await expect(early.getByLabel("API key")).toBeHidden();
  await panel(page).getByLabel("Amount in ETH").fill("0.02");
  await panel(page).getByRole("button", { name: "Open credit" }).click();
  await expect(panel(page).getByRole("listitem").filter({ hasText: "Deposit" })).toContainText("done");
  await expect(async () => {
    await page.reload();
    await page.getByRole("button", { name: /^0x/ }).click();
    await expect(panel(page).locator(".amounts")).toContainText("You can spend0.02 ETH", { timeout: 5_000 });
  }).toPass({ timeout: 600_000, intervals: [5_000] });
  const windows = () => wallet.asked.filter((method) => /^(personal_sign|eth_sign|eth_sendTransaction)/.test(method));
  expect(windows()).toEqual(["personal_sign", "eth_sendTransaction"]);

  await page.goto("/app/chat");
  for (const at of [0, 1]) {
    await page.getByLabel("Your question").fill("import os\n");
    await page.keyboard.press("Enter");
    await expect(page.getByRole("article").nth(at).getByText("Price")).toBeVisible();
  }
  const second = await context.newPage();
  await second.goto("/app/chat");
  await second.getByLabel("Your question").fill("import sys\n");
  await second.keyboard.press("Enter");
  await expect(second.getByRole("article").first().getByText("Price")).toBeVisible();
  expect(windows()).toEqual(["personal_sign", "eth_sendTransaction"]);

  await page.getByRole("button", { name: /^0x/ }).click();
  await panel(page).getByRole("button", { name: "Sign out" }).click();
  await expect(second.getByLabel("API key")).toBeVisible();
  expect(await second.evaluate(() => sessionStorage.getItem("nexus.credentials"))).toBeNull();
});

test("a browser whose clock is a day ahead signs in and asks", async ({ page }) => {
  await page.addInitScript(() => {
    const now = Date.now.bind(Date);
    Date.now = () => now() + 86_400_000;
  });
  await signedIn(page, await InjectedWallet.on(page, "Early"));
  await expect(panel(page).getByText("You can spend")).toBeVisible();
  // Nothing has told it the gateway's time yet: the first refusal does.
  await page.reload();
  await page.getByRole("button", { name: /^0x/ }).click();
  await expect(panel(page).getByText("You can spend")).toBeVisible();
});

test("a browser that keeps no keys signs in as before, and is told what that means", async ({ page }) => {
  await page.addInitScript(() => Object.defineProperty(globalThis, "indexedDB", { value: undefined }));
  const wallet = await InjectedWallet.on(page, "Private");
  const token = await signedIn(page, wallet);
  await expect(panel(page).getByText("not tied to this browser")).toBeVisible();
  await expect(panel(page).getByText("You can spend")).toBeVisible();
  await expectAccessible(page);
  expect((await asThief({ authorization: `Bearer ${token}` })).status).toBe(200);
  await panel(page).getByRole("button", { name: "Sign out" }).click();
  await expect(panel(page).getByRole("button", { name: "Sign in" })).toBeVisible();
  expect((await asThief({ authorization: `Bearer ${token}` })).status).toBe(401);
});
