import { Hash } from "../../../design/hash";
import { addressOf } from "../../../router";
import type { Fault, Verdict } from "../../../engine/verdict";
import { language } from "../../../words/language";
import { modelNamed } from "../models";
import { visible } from "../text/hidden_characters";
import { words } from "./words";

/** What recomputing found. It stands in the page's own column: a model's text cannot get there. */
export function VerdictView({ verdict, model }: { verdict: Verdict; model: string }) {
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
      {outcome === "wrong" && (verdict.fault ? <Blamed fault={verdict.fault} /> : <p>{t.nobodySigned}</p>)}
      {verdict.reason !== undefined && <p>{visible(verdict.reason)}</p>}
      {isOther && <p>{t.rootDiffers}</p>}
      {verdict.weightsRoot !== undefined && (
        <p>
          {t.root}: <Hash value={verdict.weightsRoot} />
        </p>
      )}
    </div>
  );
}

function Blamed({ fault }: { fault: Fault }) {
  const t = words();
  const layers = t.layers(...fault.layers);
  return (
    <>
      <p>{fault.isExact ? t.signedWrong(layers, fault.position) : t.signedWrongFrom(layers, fault.position)}</p>
      <p>
        {t.by}: <Hash value={fault.node} href={addressOf("explorer", "nodes", fault.node)} />
      </p>
      <p>{t.wouldBeSlashed}</p>
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
