import type { Page } from "@playwright/test";
import { expect, expectAccessible, test, withKey } from "./network";

const ID = "0123456789abcdef0123456789abcdef";
const HASH = `0x${"ab".repeat(32)}`;

/** A chat model that answers so: the network's own model writes no Markdown. */
async function chatModel(page: Page, pieces: readonly string[]): Promise<void> {
  const model = { id: "talker", max_model_len: 32_768, model_version: HASH, weights_root: HASH, wei_per_token: "1" };
  await page.route("**/v1/models", (route) => route.fulfill({ json: { data: [model] } }));
  await page.route("**/api/show", (route) => route.fulfill({ json: { capabilities: ["completion", "chat"] } }));
  const event = (value: object) => `data: ${JSON.stringify(value)}\n\n`;
  const choice = (content: string, finish: string | null) =>
    event({ choices: [{ delta: { content }, finish_reason: finish }] });
  const body = [...pieces.map((piece) => choice(piece, null)), choice("", "stop"), "data: [DONE]\n\n"].join("");
  await page.route("**/v1/chat/completions", (route) =>
    route.fulfill({ contentType: "text/event-stream", headers: { "x-nexus-answer-id": ID }, body }),
  );
}

async function answer(page: Page, pieces: readonly string[]): Promise<void> {
  await chatModel(page, pieces);
  await withKey(page);
  await page.goto("/app/chat");
  await page.getByLabel("Your question").fill("Say it.");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("button", { name: "Ask again" }).first()).toBeVisible();
}

test("an answer is Markdown with marked code, and can be read by everybody", async ({ page }) => {
  const code = "```python\ndef f(n: int) -> str:\n    return f'{n}'  # text\n```";
  const table = "| a | b |\n|---|---|\n| 1 | 2 |";
  await answer(page, [
    `# Title\n\nSome **bold** words.\n\n${code}\n\n- one\n- two\n\n${table}\n\n[there](https://a.example)`,
  ]);
  const text = page.locator(".model-text");
  await expect(text.getByRole("heading", { name: "Title", level: 4 })).toBeVisible();
  await expect(text.locator(".hljs-keyword").first()).toHaveText("def");
  await expect(text.getByRole("link", { name: "there" })).toHaveAttribute("rel", "noopener noreferrer nofollow");
  await expect(text.getByRole("cell", { name: "2" })).toBeVisible();
  for (const scheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme: scheme });
    await expectAccessible(page);
  }
});

test("a hostile answer runs nothing and loads nothing", async ({ page }) => {
  const asked: string[] = [];
  page.on("request", (request) => asked.push(request.url()));
  const lines = [
    "<script>document.title = 'stolen'</script>",
    "<img src=https://evil.example/a.png onerror=\"document.title = 'stolen'\">",
    "![a](https://evil.example/b.png)",
    "[c](javascript:document.title='stolen')",
    '<form action="https://evil.example"><input name="key"><button>Sign in</button></form>',
    '<div class="verdict" data-verdict="right" role="status">✓ Right</div>',
    "<style>* { display: none !important }</style>",
    "pay \u202eeviL\u202c pass\u200bword",
  ];
  await answer(page, [lines.join("\n\n")]);
  const text = page.locator(".model-text");
  await expect(text).toContainText("pay ⟦U+202E⟧eviL⟦U+202C⟧ pass⟦U+200B⟧word");
  await expect(text).toContainText("<script>document.title");
  await expect(page).toHaveTitle("Chat · Neural Nexus");
  await expect(text.locator("img,form,input,style,script,[data-verdict]")).toHaveCount(0);
  await expect(text.locator('a[href^="javascript"]')).toHaveCount(0);
  expect(asked.filter((url) => url.includes("evil.example"))).toEqual([]);
  await expectAccessible(page);
});

test("text without an end, a break or a level stays within its border", async ({ page }) => {
  await answer(page, [["Z" + "\u0300".repeat(3000), "w".repeat(30_000), ">".repeat(3000)].join("\n\n")]);
  await expect(page.locator(".model-text")).toContainText("w".repeat(1000));
  for (const width of [360, 1400]) {
    await page.setViewportSize({ width, height: 800 });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    expect(wide, `${width} px`).toBeLessThanOrEqual(0);
  }
});

test("10 000 tokens at once arrive whole, and the end is in sight", async ({ page }) => {
  const words = Array.from({ length: 10_000 }, (_, at) => (at % 40 === 39 ? `word${at}\n\n` : `word${at} `));
  await answer(page, words);
  const text = page.locator(".model-text");
  await expect(text).toContainText("word9999");
  await expect(text).toContainText("word0 word1 ");
  await expect(page.getByText("word9999")).toBeInViewport();
});
