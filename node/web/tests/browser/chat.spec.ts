import type { Page } from "@playwright/test";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { resolve } from "node:path";
import { badGateway } from "./chat_gateway";
import { expect, expectAccessible, network, nexus, processes, test, withKey } from "./network";

interface Offered {
  readonly endpoint: string;
  readonly announcements: readonly unknown[];
}

interface Wallet {
  readonly address: string;
}

const field = (page: Page) => page.getByLabel("Your question");
const answers = (page: Page) => page.getByRole("article");
const textOf = (page: Page, at = 0) => answers(page).nth(at).locator(".continued");

async function open(page: Page, address = ""): Promise<void> {
  await withKey(page);
  await page.goto(`${address}/app/chat`);
  await expect(field(page)).toBeVisible();
}

async function ask(page: Page, text: string): Promise<void> {
  await field(page).fill(text);
  await page.keyboard.press("Enter");
}

/** Wait until an answer has come, with its receipts. */
async function answered(page: Page, at = 0): Promise<void> {
  await expect(answers(page).nth(at).getByText("Price")).toBeVisible();
}

/** Take so many tokens at most, and always the likeliest, so that answers are long or short, and the same. */
async function settle(page: Page, tokens: number, temperature = "0"): Promise<void> {
  await page.getByRole("button", { name: "Settings" }).click();
  await page.getByLabel("Tokens at most").fill(String(tokens));
  await page.getByLabel("Temperature").fill(temperature);
  await page.getByRole("button", { name: "Settings" }).click();
}

test("a question is asked, answered and proved with the keyboard alone", async ({ page }) => {
  await page.goto("/app/chat");
  await expectAccessible(page);
  const key = page.getByLabel("API key");
  await key.focus();
  await page.keyboard.type("two words");
  await page.keyboard.press("Enter");
  await expect(page.getByText("This is no API key")).toBeVisible();
  await key.fill("");
  await page.keyboard.type(network().key);
  await page.keyboard.press("Enter");
  await expect(key).toBeHidden();

  await page.locator("#main").focus();
  await page.keyboard.press("/");
  await expect(field(page)).toBeFocused();
  await page.keyboard.type("def fib(n):");
  await page.keyboard.press("Shift+Enter");
  await page.keyboard.press("Enter");
  await answered(page);
  await expect(textOf(page)).toContainText("def fib(n):");
  await expect(page).toHaveURL(/\/app\/chat\/[0-9a-f-]{36}$/);
  await expect(answers(page).getByText(/^layers? \d/)).toHaveCount(2);

  await page.locator("#main").focus();
  await page.keyboard.press("?");
  await expect(page.getByRole("dialog", { name: "Keys" })).toBeVisible();
  await expectAccessible(page);
  await page.keyboard.press("Escape");
  await expect(page.getByRole("dialog")).toBeHidden();
  await page.keyboard.press("j");
  await expect(answers(page)).toBeFocused();
  await page.keyboard.press("v");
  await expect(answers(page).getByRole("group", { name: "Evidence" }).locator("[data-verdict]")).toBeVisible();
  await page.keyboard.press("r");
  await expect(answers(page).getByText("Answer 2 of 2")).toBeVisible();
  await answered(page);
  await expectAccessible(page);
});

test("an API key is forgotten when somebody says so", async ({ page }) => {
  await page.goto("/app/chat");
  await page.getByLabel("API key").fill(network().key);
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Settings" }).click();
  await expectAccessible(page);
  await page.getByRole("button", { name: "Forget the API key" }).click();
  await expect(page.getByLabel("API key")).toHaveValue("");
  await page.reload();
  await expect(page.getByLabel("API key")).toBeVisible();
});

test("single keys can be turned off", async ({ page }) => {
  await open(page);
  await page.getByRole("button", { name: "Keys" }).click();
  await page.getByLabel("Use single keys").uncheck();
  await page.getByRole("button", { name: "Close" }).click();
  await page.locator("#main").focus();
  await page.keyboard.press("/");
  await expect(field(page)).not.toBeFocused();
});

test("a stopped answer stays, is paid as far as it came, and can be asked again", async ({ page }) => {
  await open(page);
  await settle(page, 400);
  await ask(page, "class Reader:\n");
  await expect(answers(page).getByText(/at least .* so far/)).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(answers(page).getByText("You stopped it")).toBeVisible();
  await answered(page);
  const stopped = await textOf(page).textContent();
  await settle(page, 12);
  await page.getByRole("button", { name: "Ask again" }).click();
  await expect(answers(page).getByText("Answer 2 of 2")).toBeVisible();
  await answered(page);
  await page.getByRole("button", { name: "Earlier answer" }).click();
  await expect(textOf(page)).toHaveText(stopped ?? "");
});

test("a question in other words takes the place of the old one, or begins a conversation of its own", async ({
  page,
}) => {
  await open(page);
  await settle(page, 8);
  await ask(page, "import os\n");
  await answered(page);
  await page.getByRole("button", { name: "Edit" }).click();
  await page.getByLabel("The question in other words").fill("import sys\n");
  await page.getByRole("button", { name: "Ask this instead" }).click();
  await answered(page);
  await expect(page.getByRole("heading", { name: "Question" })).toHaveCount(1);
  await expect(textOf(page)).toContainText("import sys");
  const before = page.url();
  await page.getByRole("button", { name: "Edit" }).click();
  await page.getByLabel("The question in other words").fill("import re\n");
  await page.getByRole("button", { name: "Ask in a new conversation" }).click();
  await answered(page);
  expect(page.url()).not.toBe(before);
  await page.goto(before);
  await expect(textOf(page)).toContainText("import sys");
});

test("the same model twice with one seed says the same, side by side", async ({ page }) => {
  await open(page);
  await page.getByRole("button", { name: "Add a model beside" }).click();
  await page.getByRole("button", { name: "Settings" }).click();
  await page.getByLabel("Seed").fill("7");
  await page.getByLabel("Tokens at most").fill("24");
  await page.getByLabel("Temperature").fill("3");
  await expect(page.getByText("A temperature is a number from 0 to 2.")).toBeVisible();
  await page.getByLabel("Temperature").fill("0.9");
  await expectAccessible(page);
  await ask(page, "def main():\n");
  await answered(page, 0);
  await answered(page, 1);
  expect(await textOf(page, 0).textContent()).toBe(await textOf(page, 1).textContent());
  await expectAccessible(page);
});

test("conversations outlive the page, and are deleted when somebody says so", async ({ page }) => {
  await open(page);
  await settle(page, 8);
  await ask(page, "x = [\n");
  await answered(page);
  const said = await textOf(page).textContent();
  await page.reload();
  await expect(textOf(page)).toHaveText(said ?? "");
  await answered(page);
  const list = page.getByRole("navigation", { name: "Conversations" });
  await page.getByRole("button", { name: "New conversation" }).click();
  await expect(answers(page)).toHaveCount(0);
  await list.getByRole("link", { name: "x = [" }).click();
  await expect(textOf(page)).toHaveText(said ?? "");
  await list.getByRole("button", { name: "Delete x = [" }).click();
  await list.getByRole("button", { name: "Delete", exact: true }).click();
  await expect(list.getByRole("link")).toHaveCount(0);
  await page.reload();
  await expect(list.getByText("Nothing asked yet.")).toBeVisible();
});

test("two tabs that go on with one conversation lose nothing of each other", async ({ page, context }) => {
  await open(page);
  await settle(page, 8);
  await ask(page, "a = 1\n");
  await answered(page);
  const other = await context.newPage();
  await withKey(other);
  await other.goto(page.url());
  await expect(answers(other)).toHaveCount(1);
  await Promise.all([ask(page, "mine = 2\n"), ask(other, "theirs = 3\n")]);
  for (const one of [page, other]) await answered(one, 1);
  const kept = async () => {
    const found: string[] = [];
    const list = other.getByRole("navigation", { name: "Conversations" });
    for (const link of await list.getByRole("link").all()) {
      await link.click();
      await expect(answers(other).first()).toBeVisible();
      found.push((await other.locator(".asked").allTextContents()).join());
    }
    return found.sort().join(" | ");
  };
  // A tab that heard of the other's question in time goes on after it; else the conversation parts in two.
  const whole = [
    "a = 1\n,mine = 2\n | a = 1\n,theirs = 3\n",
    "a = 1\n,mine = 2\n,theirs = 3\n",
    "a = 1\n,theirs = 3\n,mine = 2\n",
  ];
  await expect.poll(async () => whole.includes(await kept())).toBe(true);
});

test("what lies damaged in the browser is left out with a word, and the page goes on", async ({ page }) => {
  await open(page);
  await settle(page, 8);
  await ask(page, "import json\n");
  await answered(page);
  await page.evaluate(async () => {
    localStorage.setItem("nexus.chat.setup", '{"models": [1');
    const database = await new Promise<IDBDatabase>((resolve) => {
      const asked = indexedDB.open("nexus-chat");
      asked.onsuccess = () => resolve(asked.result);
    });
    const transaction = database.transaction(["heads", "bodies"], "readwrite");
    transaction.objectStore("heads").put("nonsense", "broken");
    for (const id of await new Promise<IDBValidKey[]>((resolve) => {
      const asked = transaction.objectStore("bodies").getAllKeys();
      asked.onsuccess = () => resolve(asked.result);
    })) {
      transaction.objectStore("bodies").put({ format: 1, turns: "none" }, id);
    }
    await new Promise((resolve) => (transaction.oncomplete = resolve));
  });
  await page.reload();
  await expect(page.getByText("This conversation is damaged")).toBeVisible();
  await expect(page.getByText("Something kept in this browser could not be read")).toBeVisible();
  await ask(page, "import re\n");
  await answered(page);
});

test("a gateway that goes in the middle leaves what came, marked as not whole", async ({ page }) => {
  const gateway = await badGateway();
  try {
    await open(page, gateway.address);
    await settle(page, 300);
    gateway.holdAfter(10);
    await ask(page, "def parse(text):\n");
    await expect(textOf(page)).toHaveText(/text\):\s+\S/);
    gateway.breakOff();
    await expect(page.getByText("is not the whole answer")).toBeVisible();
    const came = await textOf(page).textContent();
    expect(came?.length).toBeGreaterThan("def parse(text):\n".length);
    await expectAccessible(page);
    await page.reload();
    await expect(page.getByText("is not the whole answer")).toBeVisible();
    await expect(textOf(page)).toHaveText(came ?? "");
    await settle(page, 8);
    await page.getByRole("alert").getByRole("button", { name: "Ask again" }).click();
    await expect(answers(page).getByText("Answer 2 of 2")).toBeVisible();
    await answered(page);
  } finally {
    await gateway.close();
  }
});

/** The network's name of the node with an address. */
function nodeNamed(address: string): string {
  const nodes = resolve(network().home, "nodes");
  const has = (name: string) => {
    const { address: own } = JSON.parse(readFileSync(resolve(nodes, name, "wallet.json"), "utf8")) as Wallet;
    return own.replace(/^0x/, "").toLowerCase() === address.replace(/^0x/, "").toLowerCase();
  };
  return readdirSync(nodes).find(has) ?? "";
}

/** How many of the network's nodes take connections. */
async function listening(): Promise<number> {
  const { items } = (await (await fetch(`${network().address}/explorer/nodes`)).json()) as { items: Offered[] };
  const serving = items.filter((one) => one.announcements.length > 0);
  const takes = ({ endpoint }: Offered) =>
    new Promise<number>((done) => {
      const [host, port] = endpoint.split(":");
      const socket = connect(Number(port), host, () => done(1));
      socket.once("error", () => done(0));
      socket.once("connect", () => socket.destroy());
    });
  return (await Promise.all(serving.map(takes))).reduce((sum, one) => sum + one, 0);
}

test("a node that is killed in the middle of a stream costs no word: a spare goes on with the same", async ({
  page,
}) => {
  test.setTimeout(900_000);
  await open(page);
  await settle(page, 400);
  const first = answers(page).first();
  const askAnew = async () => {
    await page.getByRole("button", { name: "New conversation" }).click();
    await ask(page, "class Stack:\n    ");
  };
  /** Who gave the answer's end; none where the answer failed. */
  const ending = async () => {
    await expect(first.getByText("Price").or(first.getByRole("alert")).first()).toBeVisible();
    return (
      (await first
        .locator(".route a")
        .last()
        .getAttribute("href", { timeout: 1000 })
        .catch(() => null)) ?? ""
    );
  };
  let undisturbed: string | null = null;
  // A kill can come too late, when the node has given all that it had to give; and who dies twice in a short time is
  // not asked at once again. Then it is tried anew.
  for (let tries = 1; ; tries++) {
    expect(tries, "a kill in time").toBeLessThan(12);
    await expect.poll(listening).toBe(4);
    await askAnew();
    const last = await ending();
    if (last === "") continue;
    undisturbed = await textOf(page).textContent();
    const { [nodeNamed(last.split("/").at(-1) ?? "")]: working } = await processes();
    await askAnew();
    await page.waitForFunction(() =>
      /Stack:\s+\S/.test(document.querySelector("article .continued")?.textContent ?? ""),
    );
    process.kill(working as number, "SIGKILL");
    const other = await ending();
    if (other !== "" && other !== last) break;
  }
  expect(await textOf(page).textContent()).toBe(undisturbed);
  await expect.poll(listening).toBe(4); // for the tests that come after
  await answers(page).first().getByRole("button", { name: "Verify" }).click();
  await expect(answers(page).first().locator('.verdict[data-verdict="right"]')).toBeVisible();
});

test("an answer that the gateway altered goes red, an untouched one does not", async ({ page }) => {
  const gateway = await badGateway();
  try {
    await open(page, gateway.address);
    await settle(page, 12);
    await ask(page, "def parse(text):\n");
    await answered(page);
    const verify = (at: number) => answers(page).nth(at).getByRole("button", { name: "Verify" });
    await verify(0).click();
    await expect(answers(page).nth(0).locator('.verdict[data-verdict="right"]')).toBeVisible();
    // One letter of the text, as it passes; the receipts are of what the nodes said.
    gateway.alter((passing) => passing.replace(/"text":\s*"([^"]*?)[a-z]/, '"text":"$1Z'));
    await ask(page, "class Reader:\n");
    await answered(page, 1);
    await verify(1).click();
    await expect(answers(page).nth(1).locator('.verdict[data-verdict="wrong"]')).toContainText("The gateway altered");
    await expectAccessible(page);
  } finally {
    await gateway.close();
  }
});

test("a gateway that is gone altogether is said to be, and the page stays", async ({ page }) => {
  const gateway = await badGateway();
  await open(page, gateway.address);
  await gateway.close();
  await ask(page, "def f():\n");
  await expect(page.getByText("The gateway cannot be reached")).toBeVisible();
  await expect(field(page)).toBeVisible();
});

test("nexus verify takes the files and the command that the page shows", async ({ page }, info) => {
  await open(page);
  await settle(page, 16, "0.8");
  await ask(page, "def add(a, b):\n");
  await answered(page);
  await page.getByText("Check it yourself").click();
  const files = new Map<string, string>();
  for (const name of ["The question (JSON)", "The text", "The answer file"]) {
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("button", { name }).first().click(),
    ]);
    const path = info.outputPath(download.suggestedFilename());
    await download.saveAs(path);
    files.set(download.suggestedFilename(), path);
  }
  const keyFile = info.outputPath("key");
  writeFileSync(keyFile, network().key);
  files.set("KEYFILE", keyFile);
  const command = (await page.locator(".command code").textContent()) ?? "";
  const words = command.replace(/\\\n/g, " ").trim().split(/\s+/).slice(1);
  // A command that finds something wrong fails.
  const report = JSON.parse(await nexus(...words.map((word) => files.get(word) ?? word), "--json"));
  expect(report.steps.map((step: { name: string }) => step.name)).toContain("request");
  const answerFile = [...files].find(([name]) => name.startsWith("answer-"))?.[1] ?? "";
  await nexus("verify", answerFile);
});

test("limits and refusals are said in words, with what to do", async ({ page }) => {
  await open(page);
  const refuse = (status: number, code: string, headers: Record<string, string> = {}) =>
    page.route("**/v1/completions", (route) =>
      route.fulfill({ status, headers, json: { error: { message: `because ${code}`, code } } }),
    );
  await refuse(429, "rate_limit_exceeded", { "retry-after": "3600" });
  await ask(page, "a\n");
  const again = page.getByRole("alert").getByRole("button", { name: "Ask again" });
  await expect(page.getByText("A limit of your key or account is reached.")).toBeVisible();
  await expect(again).toBeDisabled();
  await page.unroute("**/v1/completions");
  await refuse(401, "invalid_api_key");
  await ask(page, "b\n");
  await page.getByRole("button", { name: "Give another key" }).click();
  await expect(page.getByLabel("API key")).toBeVisible();
  await expectAccessible(page);
});
