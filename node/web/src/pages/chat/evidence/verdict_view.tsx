import { Hash } from "../../../design/hash";
import { addressOf } from "../../../router";
import type { Fault, Verdict } from "../../../engine/verdict";
import { language } from "../../../words/language";
import { modelNamed } from "../models";
import { visible } from "../text/hidden_characters";
import type { Difference } from "./judged_question";
import { words } from "./words";

interface Shown {
  readonly verdict: Verdict;
  readonly model: string;
  readonly differences: readonly Difference[];
  readonly hasChainKeys: boolean;
  /** What stands around the caller's messages in the prompt that was judged. */
  readonly added: readonly string[];
}

/** What recomputing found. It stands in the page's own column: a model's text cannot get there. */
export function VerdictView({ verdict, model, differences, hasChainKeys, added }: Shown) {
  const t = words();
  const root = modelNamed(model)?.weightsRoot;
  const isOther = verdict.weightsRoot !== undefined && root !== undefined && !isSame(verdict.weightsRoot, root);
  const outcome = verdict.outcome === "right" && isOther ? "unknown" : verdict.outcome;
  return (
    <div
      class="verdict"
      data-verdict={outcome === "unknown" ? "open" : outcome}
      role={outcome === "wrong" ? "alert" : "status"}
    >
      <strong>
        {outcome === "right" ? "✓ " : outcome === "wrong" ? "✗ " : "? "}
        {t[outcome]}
      </strong>
      {outcome === "right" && <p>{t.rightText(verdict.tokens, seconds(verdict.milliseconds))}</p>}
      {differences.map((one) => (
        <p key={one}>{t.differs[one]}</p>
      ))}
      {outcome === "wrong" && differences.length === 0 && !verdict.fault && <p>{t.nobodySigned}</p>}
      {outcome === "wrong" && verdict.fault && <Blamed fault={verdict.fault} isCertain={hasChainKeys} />}
      {outcome !== "unknown" && !hasChainKeys && <p class="quiet">{t.keysOfFile}</p>}
      {verdict.reason !== undefined && <p>{visible(verdict.reason)}</p>}
      {isOther && <p>{t.rootDiffers}</p>}
      {verdict.weightsRoot !== undefined && (
        <p>
          {t.root}: <Hash value={verdict.weightsRoot} />
        </p>
      )}
      {added.length > 0 && (
        <div>
          <p class="quiet">{t.addedText}</p>
          <pre class="verdict-added">{added.map((piece) => visible(piece.trim())).join("\n…\n")}</pre>
        </div>
      )}
      {verdict.prompt !== undefined && (
        <details>
          <summary>{t.judgedPrompt}</summary>
          <pre>{visible(verdict.prompt)}</pre>
        </details>
      )}
    </div>
  );
}

/** `isCertain`: the receipt's key is the chain's. Else whoever made the file could have signed in the node's name. */
export function Blamed({ fault, isCertain }: { fault: Fault; isCertain: boolean }) {
  const t = words();
  const layers = t.layers(...fault.layers);
  return (
    <>
      <p>{fault.isExact ? t.signedWrong(layers, fault.position) : t.signedWrongFrom(layers, fault.position)}</p>
      <p>
        {t.by}: <Hash value={fault.node} href={addressOf("explorer", "nodes", fault.node)} />
      </p>
      {isCertain && <p>{t.wouldBeSlashed}</p>}
    </>
  );
}

function isSame(one: string, other: string): boolean {
  const digits = (root: string) => root.toLowerCase().replace(/^(?:0x|sha256:)/, "");
  return digits(one) === digits(other);
}

function seconds(milliseconds: number): string {
  return (milliseconds / 1000).toLocaleString(language.value, { maximumFractionDigits: 1 });
}
