import { spawn, type ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import { join } from "node:path";
import { expect, expectAccessible, network, PYTHON, ROOT, test } from "./network";

/** What scripts/runs/page_liar.py prints. */
interface Liar {
  readonly address: string;
  readonly key: string;
  readonly prompt: string;
  readonly node: string;
  readonly layers: readonly [number, number];
  readonly answers: string;
  readonly watch: readonly string[];
}

let process_: ChildProcess;
let liar: Liar;

function start(command: string, words: readonly string[]): ChildProcess {
  const env = { ...process.env, PYTHONPATH: ROOT };
  return spawn(command, words, { cwd: ROOT, stdio: ["pipe", "pipe", "inherit"], env });
}

const ended = (child: ChildProcess) => new Promise<number | null>((done) => child.once("exit", done));

test.beforeAll(async () => {
  test.setTimeout(900_000);
  const { home, rpc } = network();
  process_ = start(PYTHON, ["-m", "scripts.runs.page_liar", home, rpc]);
  const line = new Promise<string>((said) => createInterface(process_.stdout!).once("line", said));
  const first = await Promise.race([line, ended(process_)]);
  if (typeof first !== "string") throw new Error("the liar did not start: its message is above");
  liar = JSON.parse(first) as Liar;
});

test.afterAll(async () => {
  const over = ended(process_);
  process_.stdin?.end();
  await over;
});

test("a lie goes red, names node and layers, is handed over, and its dispute is followed to the verdict", async ({
  page,
  context,
}) => {
  test.setTimeout(900_000);
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

  const verdict = answer.locator('.verdict[data-verdict="wrong"]');
  await expect(verdict).toBeVisible();
  const [first, end] = liar.layers;
  await expect(verdict).toContainText(`layers ${first} to ${end - 1}`);
  await expect(verdict.locator(`a[href$="/app/explorer/nodes/${liar.node}"]`)).toBeVisible();
  await expectAccessible(page);

  await answer.getByRole("button", { name: "Hand the evidence to a watcher" }).click();
  await expect(answer.getByText("watch --answers handed-over")).toBeVisible();
  await expectAccessible(page);
  const coming = page.waitForEvent("download");
  await answer.locator(".hand-over").getByRole("button", { name: "The answer file" }).click();
  const file = await coming;
  await file.saveAs(join(liar.answers, file.suggestedFilename()));

  // Somebody else looks at the explorer of another gateway meanwhile.
  const other = await context.newPage();
  await other.goto(`${network().address}/app/explorer/disputes`);
  await expect(other.locator('[data-state="live"]')).toBeVisible();
  const [command, ...words] = liar.watch;
  const watcher = start(command!, words);
  const over = ended(watcher);
  await other.locator('a[href*="/app/explorer/disputes/"]').first().click();
  for (const move of ["opened the dispute", "showed the roots of its trace", "picked a tensor", "picked a leaf"])
    await expect(other.getByText(move)).toBeVisible();
  await expect(other.getByText("acc = Σₖ q[k] · W[n, k]")).toBeVisible();
  await expect(other.getByText("The node is convicted.")).toBeVisible();
  expect(await over).toBe(0);
  for (const name of ["The node says", "The program says"])
    await expect(other.getByRole("figure", { name }).locator("strong")).toHaveText(/^-?[\d,]+$/);
  await expectAccessible(other);
  await other.goto(`${network().address}/app/explorer/nodes/${liar.node}`);
  await expect(other.getByText(/convicted/i).first()).toBeVisible();
});
