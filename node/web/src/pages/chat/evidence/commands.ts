import type { Answer } from "../kept/conversation";

/** Names of the files that the commands take. An answer's id is 32 hex digits. */
export function fileNames(id: string) {
  return { answer: `answer-${id}.json`, request: `request-${id}.json`, text: `text-${id}.txt` };
}

/** Checks the gateway's answer by its address against what was asked and what was read. `gateway`: its origin. */
export function verifyByAddress({ id, question, version }: Answer & { id: string }, gateway: string): string {
  const { request, text } = fileNames(id);
  return lines(
    `nexus verify ${gateway}/v1/receipts/${id} --api-key-file KEYFILE`,
    `--request ${request} --endpoint ${question.endpoint}`,
    `--answer-text ${text} --version ${version}`,
  );
}

/** Checks the answer file. */
export function verifyFile(id: string): string {
  return `nexus verify ${fileNames(id).answer}`;
}

/** Puts the answer file where a watcher looks, and lets it judge and dispute. */
export function giveToWatcher(id: string): string {
  return [
    `mkdir -p handed-over && mv ${fileNames(id).answer} handed-over/`,
    lines(
      "nexus-node --data watcher --wallet $NEXUS_HOME/wallet.json",
      "watch --answers handed-over --policy full --until-idle",
    ),
  ].join("\n");
}

function lines(...parts: string[]): string {
  return parts.join(" \\\n  ");
}
