import { readdirSync } from "node:fs";
import { resolve } from "node:path";
import { expect, network, ROOT, test } from "./network";

const MODEL = "python-stdlib";
const PROMPT = "def read_lines(path):\n    ";
const ANSWER_TOKENS = 64;

/** The page's worker as it was built. */
const WORKER = readdirSync(resolve(ROOT, "node/web/dist/assets")).find((name) => /^worker-.*\.js$/.test(name));

interface Answer {
  readonly text: string;
  readonly proof: { tokens: number[]; promptLength: number; leaves: string[][] };
}

interface Said {
  readonly kind: string;
  readonly verdict: { outcome: string; reason?: string; fault?: unknown; tokens: number; milliseconds: number };
}

async function ask(): Promise<Answer> {
  const headers = { authorization: `Bearer ${network().key}`, "content-type": "application/json" };
  const body = { model: MODEL, prompt: PROMPT, max_tokens: ANSWER_TOKENS, temperature: 0 };
  const asked = { method: "POST", headers, body: JSON.stringify(body) };
  const response = await fetch(`${network().address}/v1/completions`, asked);
  const { choices } = (await response.json()) as { choices: { text: string }[] };
  const id = response.headers.get("x-nexus-answer-id");
  const evidence = await fetch(`${network().address}/v1/receipts/${id}`, { headers });
  return { text: choices[0]!.text, proof: ((await evidence.json()) as Answer).proof };
}

test("an answer is recomputed in the page's worker, under the page's policy", async ({ page }) => {
  expect(WORKER, "the page was built with its worker").toBeDefined();
  const answer = await ask();
  expect(answer.proof.tokens.length - answer.proof.promptLength).toBe(ANSWER_TOKENS);
  await page.goto("/app/chat");
  await page.evaluate((name) => {
    const script = `/app/assets/${name}`;
    const factory = (globalThis as any).trustedTypes;
    const policy = factory?.createPolicy("nexus", { createScriptURL: (url: string) => url });
    (globalThis as any).ownWorker = new Worker(policy?.createScriptURL(script) ?? script, { type: "module" });
  }, WORKER);
  const verify = (proof: unknown, text: string): Promise<Said> =>
    page.evaluate(
      ([evidence, model]) =>
        new Promise<Said>((done) => {
          const worker = (globalThis as any).ownWorker as Worker;
          worker.onmessage = ({ data }) => data.kind !== "progress" && done(data);
          worker.onerror = (event) => done({ kind: event.message } as Said);
          worker.postMessage({ id: 1, evidence, model });
        }),
      [{ proof, text, stops: [] }, MODEL] as const,
    );

  const first = await verify(answer.proof, answer.text);
  expect(first.verdict).toMatchObject({ outcome: "right", tokens: answer.proof.tokens.length });
  const again = await verify(answer.proof, answer.text);
  expect(again.verdict.outcome).toBe("right");
  const times = [first, again].map(({ verdict }) => `${(verdict.milliseconds / 1000).toFixed(2)} s`);
  console.log(`verify ${ANSWER_TOKENS} tokens of ${MODEL}: ${times[0]} with the model's files, ${times[1]} again`);

  const shown = await verify(answer.proof, `${answer.text} `);
  expect(shown.verdict).toMatchObject({ outcome: "wrong", reason: expect.stringContaining("differs") });
  const tokens = answer.proof.tokens.with(-1, answer.proof.tokens.at(-1)! ^ 1);
  const altered = await verify({ ...answer.proof, tokens }, answer.text);
  expect(altered.verdict).toMatchObject({ outcome: "wrong", reason: expect.stringMatching(/^tokens: /) });
  expect(altered.verdict.fault).toBeUndefined();
});
