import { writeFileSync } from "node:fs";
import AxeBuilder from "@axe-core/playwright";
import type { Page } from "@playwright/test";
import { badGateway } from "../browser/chat_gateway";
import { expect, test, withKey } from "../browser/network";

const PAGES = ["chat", "explorer", "operate", "audit", "learn", "market"];
const ANSWER_TOKENS = 64;
const STREAM_TOKENS = 10_000;
/** Tokens of the long stream that come at a time, and the pause between, ms: 2 500 tokens a second. */
const AT_A_TIME = 25;
const PAUSE_MS = 10;
const SETTLING_MS = 2_000;

const figures: Record<string, number> = {};

test.afterAll(() => {
  const into = process.env.NEXUS_WEB_FIGURES;
  if (into) writeFileSync(into, JSON.stringify(figures));
  console.log(figures);
});

async function openChat(page: Page, address = ""): Promise<void> {
  await withKey(page);
  await page.goto(`${address}/app/chat`);
  await page.getByRole("button", { name: "Settings" }).click();
  await page.getByLabel("Tokens at most").fill(String(ANSWER_TOKENS));
  await page.getByLabel("Temperature").fill("0");
  await page.getByRole("button", { name: "Settings" }).click();
}

async function ask(page: Page, text: string): Promise<void> {
  await page.getByLabel("Your question").fill(text);
  await page.keyboard.press("Enter");
}

test("violations of accessibility, in every page and both themes", async ({ page }) => {
  let violations = 0;
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme });
    for (const name of PAGES) {
      await page.goto(`/app/${name}`);
      await expect(page.getByRole("heading", { level: 1 }).first()).toBeVisible();
      violations += (await new AxeBuilder({ page }).analyze()).violations.length;
    }
  }
  figures["axe_violations"] = violations;
});

test("verifying an answer of 64 tokens, with the model's files still to be fetched", async ({ page }) => {
  await openChat(page);
  await ask(page, "def read_lines(path):\n    ");
  const answer = page.getByRole("article").first();
  await expect(answer.getByText("Price")).toBeVisible();
  const began = performance.now();
  await answer.getByRole("button", { name: "Verify" }).click();
  await expect(answer.locator('[data-verdict="right"]').first()).toBeVisible({ timeout: 60_000 });
  figures["verify_64_tokens_s"] = Math.round(performance.now() - began) / 1000;
});

test("a token that has come to the browser waits for the screen", async ({ page }) => {
  await page.addInitScript(() => {
    const real = window.fetch;
    const marks = { came: 0, shown: 0 };
    (window as any).marks = marks;
    window.fetch = async (...asked) => {
      const response = await real(...asked);
      if (!String(asked[0]).includes("completions") || !response.body) return response;
      const seen = new TransformStream<Uint8Array, Uint8Array>({
        transform(chunk, controller) {
          if (!marks.came && /"(text|content)":"[^"]/.test(new TextDecoder().decode(chunk)))
            marks.came = performance.now();
          controller.enqueue(chunk);
        },
      });
      return new Response(response.body.pipeThrough(seen), response);
    };
    const asked = "def read_lines(path):";
    const look = () => {
      const text = document.querySelector("article .continued, article .model-text")?.textContent ?? "";
      // The question itself stands first in a text that is continued.
      if (!marks.shown && marks.came && text.replace(asked, "").trim()) marks.shown = performance.now();
      requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  });
  await openChat(page);
  await ask(page, "def read_lines(path):");
  const marks = () => page.evaluate(() => (window as any).marks as { came: number; shown: number });
  await expect.poll(async () => (await marks()).shown).toBeGreaterThan(0);
  const { came, shown } = await marks();
  figures["first_token_ms"] = Math.round(10 * (shown - came)) / 10;
});

/** Events of a long answer, at the pace of a fast model. They come from outside: the page's own work is what counts. */
async function* longAnswer(): AsyncGenerator<string> {
  const event = (text: string) => {
    const choice = { index: 0, text, delta: { content: text }, finish_reason: null };
    return `data: ${JSON.stringify({ id: "a", object: "text_completion", choices: [choice] })}\n\n`;
  };
  for (let at = 0; at < STREAM_TOKENS;) {
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    let piece = "";
    for (const end = at + AT_A_TIME; at < end; at++) piece += event(at % 40 === 39 ? `word${at}\n\n` : `word${at} `);
    yield piece;
  }
  yield "data: [DONE]\n\n";
}

test("the longest work for a frame while 10 000 tokens come", async ({ page }) => {
  await page.addInitScript(() => {
    (window as any).longest = 0;
    // Where the browser tells how long each frame's work took, from 50 ms on; shorter ones are within the bar.
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries())
        (window as any).longest = Math.max((window as any).longest, entry.duration);
    }).observe({ type: "long-animation-frame" });
  });
  const gateway = await badGateway();
  try {
    await openChat(page, gateway.address);
    gateway.answerWith(longAnswer());
    await page.evaluate(() => ((window as any).longest = 0)); // what the page's own start took is Lighthouse's
    await ask(page, "go on");
    await gateway.answered();
    await page.waitForTimeout(SETTLING_MS); // looking for the text meanwhile would be work of its own in the page
    figures["longest_frame_ms"] = Math.round(await page.evaluate(() => (window as any).longest as number));
    await expect(page.getByText(`word${STREAM_TOKENS - 1}`)).toBeVisible({ timeout: 100_000 });
  } finally {
    await gateway.close();
  }
});
