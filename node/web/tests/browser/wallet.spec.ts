import type { Page } from "@playwright/test";
import { InjectedWallet } from "./injected_wallet";
import { expect, expectAccessible, network, test } from "./network";

const panel = (page: Page) => page.getByRole("dialog", { name: "Wallet" });

async function opened(page: Page): Promise<void> {
  await page.goto("/app/learn");
  await page.getByRole("button", { name: "Connect wallet" }).click();
}

async function connected(page: Page, wallet: InjectedWallet): Promise<void> {
  await opened(page);
  await panel(page).getByRole("button", { name: wallet.name }).click();
  await expect(panel(page).getByRole("button", { name: "Disconnect" })).toBeVisible();
}

async function signedIn(page: Page): Promise<void> {
  await panel(page).getByRole("button", { name: "Sign in" }).click();
  await panel(page).getByRole("button", { name: "Sign", exact: true }).click();
  await expect(panel(page).getByText("Signed in", { exact: true })).toBeVisible();
}

test("a browser without a wallet says so, and what to do", async ({ page }) => {
  await opened(page);
  await expect(panel(page).getByRole("heading", { name: "This browser has no wallet" })).toBeVisible();
  await expectAccessible(page);
  await page.keyboard.press("Escape");
  await expect(panel(page)).toBeHidden();
});

test("of two wallets the one that is chosen is used, and taken up after a reload", async ({ page }) => {
  const first = await InjectedWallet.on(page, "First");
  const second = await InjectedWallet.on(page, "Second");
  await connected(page, second);
  await expectAccessible(page);
  expect(first.asked).toEqual([]);
  await page.reload();
  const short = `${second.account.address.slice(0, 6)}…${second.account.address.slice(-4)}`;
  await expect(page.getByRole("button", { name: short })).toBeVisible();
  expect(first.asked).toEqual([]);
});

test("declining (4001) and a window that is still open (-32002) are said, and it works the next time", async ({
  page,
}) => {
  const wallet = await InjectedWallet.on(page);
  await opened(page);
  wallet.failing.set("eth_requestAccounts", 4001);
  await panel(page).getByRole("button", { name: wallet.name }).click();
  await expect(panel(page).getByRole("alert")).toContainText("You declined it in your wallet");
  await expectAccessible(page);
  wallet.failing.set("eth_requestAccounts", -32002);
  await panel(page).getByRole("button", { name: "Try again" }).click();
  await expect(panel(page).getByRole("alert")).toContainText("still has a window open");
  await panel(page).getByRole("button", { name: "Try again" }).click();
  await expect(panel(page).getByRole("button", { name: "Disconnect" })).toBeVisible();
});

test("signing in by keyboard alone: the message names this page and is shown before the wallet is asked", async ({
  page,
}) => {
  const wallet = await InjectedWallet.on(page);
  await connected(page, wallet);
  await panel(page).getByRole("button", { name: "Sign in" }).focus();
  await page.keyboard.press("Enter");
  const shown = panel(page).locator("pre");
  await expect(shown).toContainText(`${new URL(network().address).host} wants you to sign in`);
  expect(wallet.asked).not.toContain("personal_sign");
  await expectAccessible(page);
  wallet.failing.set("personal_sign", 4001);
  await panel(page).getByRole("button", { name: "Sign", exact: true }).focus();
  await page.keyboard.press("Enter");
  await expect(panel(page).getByRole("alert")).toContainText("You declined it");
  await page.keyboard.press("Enter");
  await expect(panel(page).getByText("Signed in", { exact: true })).toBeVisible();
  await expect(panel(page).getByText("You can spend")).toBeVisible();
  expect(await page.context().cookies()).toEqual([]);
  await panel(page).getByRole("button", { name: "Sign out" }).click();
  await expect(panel(page).getByRole("button", { name: "Sign in" })).toBeVisible();
});

test("a gateway that names another domain is refused before the wallet hears of it", async ({ page }) => {
  const wallet = await InjectedWallet.on(page);
  await page.route("**/v1/siwe/nonce", async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, json: { ...(await response.json()), domain: "elsewhere.example" } });
  });
  await connected(page, wallet);
  await panel(page).getByRole("button", { name: "Sign in" }).click();
  await expect(panel(page).getByRole("alert")).toContainText("sign in for elsewhere.example");
  await expect(panel(page).getByRole("alert")).toContainText("Do not sign");
  expect(wallet.asked).not.toContain("personal_sign");
});

test("another account in the middle: said, and signed in anew", async ({ page }) => {
  const wallet = await InjectedWallet.on(page);
  await connected(page, wallet);
  await signedIn(page);
  await wallet.chooseAccount(2);
  await expect(panel(page).getByText("signed in with another account")).toBeVisible();
  await signedIn(page);
  await expect(panel(page).getByText("signed in with another account")).toBeHidden();
});

test("a wallet on another chain that does not know ours (4902) is offered it", async ({ page }) => {
  const wallet = await InjectedWallet.on(page);
  wallet.chainId = 1;
  wallet.knownChains = new Set([1]);
  await connected(page, wallet);
  await expect(panel(page).getByText("on another chain than this gateway")).toBeVisible();
  wallet.failing.set("wallet_addEthereumChain", 4001);
  await panel(page).getByRole("button", { name: "Switch chain" }).click();
  await expect(panel(page).getByRole("alert")).toContainText("You declined it");
  await panel(page).getByRole("button", { name: "Switch chain" }).click();
  await expect(panel(page).getByLabel("Amount in ETH")).toBeVisible();
  expect(wallet.asked).toContain("wallet_addEthereumChain");
});

test("one transaction opens credit, which the gateway counts; closing gives it back", async ({ page }) => {
  test.setTimeout(900_000); // the gateway looks at the contract once a minute
  const wallet = await InjectedWallet.on(page, "Payer");
  await connected(page, wallet);
  await signedIn(page);
  await panel(page).getByLabel("Amount in ETH").fill("nothing");
  await panel(page).getByRole("button", { name: "Open credit" }).click();
  await expect(panel(page).getByText("Type an amount above zero")).toBeVisible();
  await panel(page).getByLabel("Amount in ETH").fill("0.02");
  await expect(panel(page).getByText(/About .* tokens of/)).toBeVisible();
  wallet.failing.set("eth_sendTransaction", 4001);
  await panel(page).getByRole("button", { name: "Open credit" }).click();
  await expect(panel(page).getByRole("alert")).toContainText("Nothing was sent");
  await panel(page).getByRole("button", { name: "Open credit" }).click();
  await expect(panel(page).getByRole("listitem").filter({ hasText: "Deposit" })).toContainText("done");
  const amounts = panel(page).locator(".amounts");
  await expect(amounts).toContainText("In the contract0.02 ETH");
  await expectAccessible(page);
  await expect(async () => {
    await page.reload();
    await page.getByRole("button", { name: /^0x/ }).click();
    await expect(panel(page).locator(".amounts")).toContainText("You can spend0.02 ETH", { timeout: 5_000 });
  }).toPass({ timeout: 600_000, intervals: [5_000] });
  const signatures = wallet.asked.filter((method) => method === "personal_sign").length;
  await panel(page).getByRole("button", { name: "Close credit" }).click();
  await expect(panel(page).getByText("You asked for your money back")).toBeVisible();
  await panel(page).getByRole("button", { name: "Withdraw 0.02 ETH" }).click({ timeout: 300_000 });
  await expect(panel(page).getByRole("listitem").filter({ hasText: "Withdraw" })).toContainText("done");
  expect(wallet.asked.filter((method) => method === "personal_sign")).toHaveLength(signatures);
});

test("a page that is loaded again while the wallet's window is open finds the transaction", async ({ page }) => {
  const wallet = await InjectedWallet.on(page, "Slow");
  await connected(page, wallet);
  let allow = () => {};
  wallet.held.set("eth_sendTransaction", new Promise((resolve) => (allow = resolve)));
  await panel(page).getByRole("button", { name: "Open credit" }).click();
  await expect.poll(() => wallet.asked).toContain("eth_sendTransaction");
  await page.reload();
  await page.getByRole("button", { name: /^0x/ }).click();
  const row = panel(page).getByRole("listitem").filter({ hasText: "Deposit" });
  await expect(row).toContainText("your wallet was asked");
  allow();
  await expect(row).toContainText("done");
});

test("a transaction whose block is gone is noticed, and found again", async ({ page }) => {
  await page.route("**/page/network", async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, json: { ...(await response.json()), confirmations: 3 } });
  });
  const wallet = await InjectedWallet.on(page, "Forked");
  await connected(page, wallet);
  await panel(page).getByRole("button", { name: "Open credit" }).click();
  const row = panel(page).getByRole("listitem").filter({ hasText: "Deposit" });
  await expect(row).toContainText("1 of 3 blocks");
  wallet.instead.set("eth_getTransactionReceipt", null);
  await expect(row).toContainText("not in a block yet");
  await expect(row).toContainText("replaced by another");
  wallet.instead.clear();
  await expect(row).toContainText("1 of 3 blocks");
});
