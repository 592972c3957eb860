import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { network, PYTHON, ROOT } from "./network";

/** Two gateways of the network, each with a home of its own: readers of the first may ask the second. */
export interface TwoGateways {
  readonly first: string;
  readonly second: string;
  /** An API key of the first. */
  readonly key: string;
  close(): Promise<void>;
}

export async function twoGateways(): Promise<TwoGateways> {
  const folder = mkdtempSync(join(tmpdir(), "nexus-two-gateways-"));
  const [one, other] = [await freePort(), await freePort()];
  const [first, second] = [`http://127.0.0.1:${one}`, `http://127.0.0.1:${other}`];
  const model = await offered();
  const started: ChildProcess[] = [];
  const close = async () => {
    for (const child of started) child.kill("SIGTERM");
    await Promise.all(started.map((child) => new Promise((ended) => child.exitCode ?? child.once("exit", ended))));
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const home = join(folder, "first");
    await Promise.all([
      start(started, home, one, model, ["--verifier", second]),
      start(started, join(folder, "second"), other, model, ["--verify-for", first]),
    ]);
    return { first, second, key: readFileSync(join(home, "key"), "utf8").trim(), close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Resolves once it serves. */
function start(started: ChildProcess[], home: string, port: number, model: string, more: string[]): Promise<void> {
  const { rpc, home: known } = network();
  const password = `${home}-password`;
  writeFileSync(password, "play money");
  const words = ["--home", home, "--rpc", rpc, "--password-file", password, "--model-dir", join(known, "models")];
  words.push("--deployment", join(known, "deployments/31337.json"), "--listen", `127.0.0.1:${port}`);
  words.push("--operator-key-file", join(home, "key"), "--operator-credit", String(10n ** 17n), "--model", model);
  const env = { ...process.env, PYTHONPATH: ROOT, OMP_NUM_THREADS: "1" };
  const child = spawn(PYTHON, ["-m", "node.gateway.main", ...words, ...more], {
    cwd: ROOT,
    env,
    stdio: ["ignore", 2, "pipe"],
  });
  started.push(child);
  return new Promise((resolve, reject) => {
    const said: string[] = [];
    createInterface(child.stderr!).on("line", (line) => {
      said.push(line);
      if (line.startsWith("serving ")) resolve();
    });
    child.once("exit", () => reject(new Error(`a gateway ended: ${said.join("\n")}`)));
  });
}

/** NAME=VERSION of a model that the network serves. */
async function offered(): Promise<string> {
  const said = (await (await fetch(`${network().address}/v1/models`)).json()) as {
    data: { id: string; model_version: string }[];
  };
  const [found] = said.data;
  if (!found) throw new Error("the network serves no model");
  return `${found.id}=${found.model_version.replace(/^0x/, "")}`;
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer();
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
