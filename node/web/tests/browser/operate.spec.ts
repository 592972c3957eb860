import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { Page } from "@playwright/test";
import { InjectedWallet } from "./injected_wallet";
import { expect, expectAccessible, network, servedVersion, test } from "./network";

async function connected(page: Page, wallet: InjectedWallet): Promise<void> {
  await page.goto("/app/operate");
  await page.getByRole("main").getByRole("button", { name: wallet.name }).click();
  await expect(page.getByRole("heading", { name: "Standing" })).toBeVisible();
}

/** The network's registry, as the operator of a node knows it: from the deployment file, and not from the gateway. */
function registry(): string {
  const file = resolve(network().home, "deployments/31337.json");
  return (JSON.parse(readFileSync(file, "utf8")) as { node_registry: string }).node_registry;
}

async function identityOf(wallet: InjectedWallet, changes = {}): Promise<string> {
  return JSON.stringify({
    node: wallet.account.address,
    wallet: "0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65",
    receipt_key: "0x9965507D1a55bcC2695C58ba16FB37d819B0A4dc",
    tls_key_hash: `0x${"ab".repeat(32)}`,
    endpoint: "127.0.0.1:1",
    chain_id: 31337,
    node_registry: registry(),
    model_version: await servedVersion(),
    layers: [0, 1],
    price: "1000000000",
    ...changes,
  });
}

test("without a wallet the page says what it needs", async ({ page }) => {
  await page.goto("/app/operate");
  await expect(page.getByText("connect one first")).toBeVisible();
  await expectAccessible(page);
});

test("a node registers, announces and leaves, with a stake that stays in the wallet", async ({ page }) => {
  test.setTimeout(900_000);
  const wallet = await InjectedWallet.on(page, "Cold");
  await connected(page, wallet);
  await expect(page.getByText("not registered")).toBeVisible();
  await expect(page.getByText(`--staker ${wallet.account.address}`)).toBeVisible();
  await expectAccessible(page);

  const paste = page.getByRole("textbox", { name: /Paste what it printed/ });
  await paste.fill("error: no such file");
  await expect(page.getByText("This is not what")).toBeVisible();
  await paste.fill(await identityOf(wallet, { node: "0x9965507D1a55bcC2695C58ba16FB37d819B0A4dc" }));
  await expect(page.getByText("your wallet shows another account")).toBeVisible();
  await paste.fill(await identityOf(wallet));
  wallet.failing.set("eth_sendTransaction", 4001);
  await page.getByRole("button", { name: "Register and stake" }).click();
  await expect(page.getByRole("main").getByRole("alert")).toContainText("You declined it");
  await page.getByRole("button", { name: "Register and stake" }).click();
  await expect(page.getByText("serves: sessions may name it")).toBeVisible();
  await expect(page.getByText("Endpoint and TLS key are the registry's already.")).toBeVisible();

  await page.getByRole("button", { name: "Announce", exact: true }).click();
  const list = page.getByRole("dialog", { name: "Wallet" }).getByRole("listitem");
  await page.getByRole("button", { name: /^0x/ }).first().click();
  await expect(list.filter({ hasText: "Announce layers" })).toContainText("done");
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "Withdraw the announcement" }).click();
  await page.getByRole("button", { name: /^0x/ }).first().click();
  await expect(list.filter({ hasText: "Withdraw the announcement" })).toContainText("done");
  await page.keyboard.press("Escape");

  await expect(page.getByRole("rowheader", { name: "All" })).toBeVisible();
  await expectAccessible(page);

  await expect(page.getByRole("button", { name: "Ask for the stake" })).toBeDisabled();
  await page.getByLabel("I know that this cannot be undone").check();
  await page.getByRole("button", { name: "Ask for the stake" }).click();
  await expect(page.getByText("leaving: no new session may name it")).toBeVisible();
  await expect(page.getByRole("button", { name: "Take the stake back" })).toBeDisabled();
});

test("a gateway that names a registry of its own gets no stake", async ({ page }) => {
  const lie = "0x9965507D1a55bcC2695C58ba16FB37d819B0A4dc";
  const wallet = await InjectedWallet.on(page, "Careful");
  await connected(page, wallet);
  const paste = page.getByRole("textbox", { name: /Paste what it printed/ });
  await paste.fill(await identityOf(wallet, { node_registry: lie }));
  const said = page.getByRole("main").getByRole("alert");
  await expect(said).toContainText(`This gateway names chain 31337, registry ${registry()}`);
  await expect(said).toContainText(`Your node names chain 31337, registry ${lie}`);
  await expect(page.getByRole("button", { name: "Register and stake" })).toBeHidden();
  await expectAccessible(page);
  await paste.fill(await identityOf(wallet));
  await expect(page.getByText("the same chain and registry")).toBeVisible();
  await expect(page.getByRole("button", { name: "Register and stake" })).toBeVisible();
  expect(wallet.asked).not.toContain("eth_sendTransaction");
});

test("another account's node can be looked at, and not acted for", async ({ page }) => {
  const wallet = await InjectedWallet.on(page, "Visitor");
  await connected(page, wallet);
  await page.getByLabel("Address of a node").fill("0x12");
  await page.getByRole("button", { name: "Look", exact: true }).click();
  await expect(page.getByText("That is no address.")).toBeVisible();
  await page.getByLabel("Address of a node").fill("0x9965507d1a55bcc2695c58ba16fb37d819b0a4dc");
  await page.getByRole("button", { name: "Look", exact: true }).click();
  await expect(page).toHaveURL(/node=0x9965507D1a55bcC2695C58ba16FB37d819B0A4dc/);
  await expect(page.getByText("You look at another account's node.")).toBeVisible();
  await expect(page.getByRole("heading", { name: "What this gateway sees of it" })).toBeHidden();
  await expect(page.getByRole("heading", { name: "Set up" })).toBeHidden();
});

test("a node's uptime, latency, load and reputation are shown as the gateway sees them", async ({ page }) => {
  const wallet = await InjectedWallet.on(page, "Curious");
  const listed = (await (await page.request.get("/explorer/nodes")).json()) as {
    items: { node: string; online: boolean | null }[];
  };
  const node = listed.items.find((one) => one.online)?.node ?? "";
  await page.goto(`/app/operate?node=${node}`);
  await page.getByRole("main").getByRole("button", { name: wallet.name }).click();
  const card = page.locator("section", { has: page.getByRole("heading", { name: "What this gateway sees of it" }) });
  await expect(card.getByText(/^\d+(\.\d+)? ms$/)).toBeVisible();
  await expect(card.getByRole("term")).toHaveText([
    "Reachable",
    "Uptime over 7 days",
    "Latency",
    "Answers under way",
    "Reputation here",
  ]);
  await expectAccessible(page);
});
