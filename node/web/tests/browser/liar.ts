import { spawn, type ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import { join } from "node:path";
import type { Locator, Page } from "@playwright/test";
import { expect, network, PYTHON, ROOT } from "./network";

/** What scripts/runs/page_liar.py prints. */
export interface Liar {
  readonly address: string;
  readonly key: string;
  readonly prompt: string;
  readonly node: string;
  readonly layers: readonly [number, number];
  readonly answers: string;
  readonly watch: readonly string[];
}

function start(command: string, words: readonly string[]): ChildProcess {
  const env = { ...process.env, PYTHONPATH: ROOT };
  return spawn(command, words, { cwd: ROOT, stdio: ["pipe", "pipe", "inherit"], env });
}

const ended = (child: ChildProcess) => new Promise<number | null>((done) => child.once("exit", done));

/** A node that lies beside the tests' network, with a gateway that prefers it. Returns what stops both. */
export async function startLiar(): Promise<{ liar: Liar; stop: () => Promise<void> }> {
  const { home, rpc } = network();
  const child = start(PYTHON, ["-m", "scripts.runs.page_liar", home, rpc]);
  const over = ended(child);
  const line = new Promise<string>((said) => createInterface(child.stdout!).once("line", said));
  const first = await Promise.race([line, over]);
  if (typeof first !== "string") throw new Error("the liar did not start: its message is above");
  const stop = async () => {
    child.stdin?.end();
    await over;
  };
  return { liar: JSON.parse(first) as Liar, stop };
}

/** Ask the liar's gateway in its page, and verify the answer, which goes red. */
export async function askLiar(page: Page, liar: Liar): Promise<Locator> {
  await page.addInitScript((token) => sessionStorage.setItem("nexus.credentials", JSON.stringify({ token })), liar.key);
  await page.goto(`${liar.address}/app/chat`);
  await page.getByRole("button", { name: "Settings" }).click();
  await page.getByLabel("Tokens at most").fill("12");
  await page.getByRole("button", { name: "Settings" }).click();
  await page.getByLabel("Your question").fill(liar.prompt);
  await page.keyboard.press("Enter");
  const answer = page.getByRole("article").first();
  await expect(answer.getByText("Price")).toBeVisible();
  await answer.getByRole("button", { name: "Verify" }).click();
  await expect(answer.locator('.verdict[data-verdict="wrong"]')).toBeVisible();
  return answer;
}

/** Download the answer file that the page offers to where a watcher looks. */
export async function handOver(page: Page, answer: Locator, liar: Liar): Promise<void> {
  const coming = page.waitForEvent("download");
  await answer.locator(".hand-over").getByRole("button", { name: "The answer file" }).click();
  const file = await coming;
  await file.saveAs(join(liar.answers, file.suggestedFilename()));
}

/** A watcher that judges what was handed over, and plays. Returns its exit code. */
export function watch(liar: Liar): Promise<number | null> {
  const [command, ...words] = liar.watch;
  return ended(start(command!, words));
}
