import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import puppeteer, { type Browser, type Page } from "puppeteer-core";
import { expect, network, test } from "./network";

// Playwright drives a Firefox of its own alone; this one is the system's, by the standard protocol (WebDriver BiDi).
const FIREFOX = process.env.NEXUS_FIREFOX ?? "/usr/bin/firefox-esr";
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const WAIT = { timeout: 120_000 };

let browser: Browser;
let page: Page;
let complaints: string[];

test.beforeAll(async () => {
  browser = await puppeteer.launch({ browser: "firefox", executablePath: FIREFOX });
});

test.afterAll(() => browser.close());

test.beforeEach(async () => {
  page = await (await browser.createBrowserContext()).newPage();
  complaints = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error" && /policy|Trusted/i.test(message.text())) complaints.push(message.text());
  });
});

test.afterEach(async () => {
  expect(complaints, "what the browser complained of").toEqual([]);
  await page.browserContext().close();
});

// Puppeteer's selectors by text and role run code from strings, which the page's policy refuses.
const see = (text: string) => expect.poll(() => page.evaluate(() => document.body.innerText)).toContain(text);

async function press(name: string): Promise<void> {
  await see(name);
  await page.evaluate((wanted) => {
    [...document.querySelectorAll("button")].find((one) => one.textContent?.trim() === wanted)?.click();
  }, name);
}

async function expectAccessibleHere(): Promise<void> {
  await page.evaluate(AXE);
  const found = await page.evaluate(async () => {
    const { violations } = await (globalThis as any).axe.run();
    return violations.map((one: { id: string }) => one.id) as string[];
  });
  expect(found).toEqual([]);
}

test("Firefox shows every page, and axe-core finds no violation", async () => {
  for (const name of ["chat", "explorer", "operate", "audit", "learn", "market"]) {
    await page.goto(`${network().address}/app/${name}`);
    await page.waitForSelector("h1", WAIT);
    await expectAccessibleHere();
  }
});

test("Firefox asks, keeps the conversation, and recomputes the answer to the last bit", async () => {
  await page.goto(`${network().address}/app/chat`);
  await page.waitForSelector("input", WAIT);
  await page.type("input", network().key);
  await page.keyboard.press("Enter");
  await page.waitForSelector("textarea", WAIT);
  await page.type("textarea", "def fib(n):");
  await page.keyboard.press("Enter");
  await see("Price");
  await press("Verify");
  await page.waitForSelector('.verdict[data-verdict="right"]', WAIT);
  await expectAccessibleHere();
  await page.reload();
  await page.waitForSelector("article", WAIT);
  expect(await page.$eval("article", (one) => one.textContent)).toContain("def fib(n):");
});

test("Firefox follows the chain live", async () => {
  await page.goto(`${network().address}/app/explorer/nodes`);
  await page.waitForSelector('[data-state="live"]', WAIT);
  await page.goto(`${network().address}/app/learn`);
  await page.waitForSelector("h1", WAIT);
  await page.setViewport({ width: 360, height: 800 });
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  expect(wide).toBeLessThanOrEqual(0);
});
