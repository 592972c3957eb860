import type { Abi } from "viem";
import { creditDepositsAbi, inferenceMarketAbi, nodeRegistryAbi } from "../chain/abis";
import { reasonOf } from "../chain/calls";
import { WalletRefusal } from "../chain/provider";
import { sentenceOf } from "../design/state";
import { SignInRefusal } from "./sign_in_message";
import { troubleWords } from "./trouble_words";

const ABI: Abi = [...creditDepositsAbi, ...nodeRegistryAbi, ...inferenceMarketAbi];

/** What went wrong with a wallet, in words, and the way to try again. */
export function Trouble({ error, again, label }: { error: unknown; again?: () => void; label?: string }) {
  return (
    <div role="alert" class="trouble" data-verdict="wrong">
      <p>{troubleSentence(error)}</p>
      {again && (
        <button type="button" onClick={again}>
          {label}
        </button>
      )}
    </div>
  );
}

/** A sentence about anything that asking a wallet, the chain or the gateway may throw. */
export function troubleSentence(error: unknown): string {
  const t = troubleWords();
  if (error instanceof SignInRefusal) {
    const { fault, named } = error;
    if (fault === "otherDomain") return t.otherDomain(named, location.host);
    if (fault === "otherUri") return t.otherUri(named, location.origin);
    return fault === "otherChain" ? t.otherChain(named) : t.malformed;
  }
  if (!(error instanceof WalletRefusal)) return sentenceOf(error);
  const reason = reasonOf(ABI, error);
  if (reason) return t.refused(t.reasons[reason.name] ?? reason.name);
  switch (error.kind) {
    case "failed":
      return t.failed(error.detail);
    case "wrongChain":
      return t.wrongChain(error.detail);
    case "noRpcUrl":
      return t.noRpcUrl(error.detail);
    case "noContract":
      return t.noContract(error.detail);
    default:
      return t[error.kind];
  }
}
