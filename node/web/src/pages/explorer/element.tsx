import type { Dispute } from "../../chain/documents";
import { Fact } from "../../design/fact";
import { numberOf } from "../../design/amount";
import { FORMULAS } from "./formulas";
import { words } from "./words";

/** The element that a game has come to: the op's formula, and the two numbers. */
export function ElementCard({ dispute }: { dispute: Dispute }) {
  const t = words();
  const element = dispute.element;
  return (
    <section class="card">
      <h2>{t.element}</h2>
      {!element ? (
        <p class="quiet">{t.noElement}</p>
      ) : (
        <>
          <dl class="facts">
            <Fact name={t.op}>
              <span class="mono">{element.kind}</span>
              {element.layer !== null && ` (${t.layerRange(element.layer, element.layer + 1)})`}
            </Fact>
            <Fact name={t.place}>
              {t.tensorOf(numberOf(dispute.tensor ?? 0), numberOf(dispute.tensor_count ?? 0))},{" "}
              <span class="mono">
                {element.dtype}[{element.shape.join(", ")}]{element.index && ` → [${element.index.join(", ")}]`}
              </span>
            </Fact>
          </dl>
          {FORMULAS[element.kind] && (
            <>
              <h3>{t.formula}</h3>
              <pre class="formula" tabIndex={0}>
                {FORMULAS[element.kind]}
              </pre>
              <p class="mono quiet">
                {Object.entries(element.params)
                  .map(([name, value]) => `${name} = ${value}`)
                  .join("; ")}
              </p>
            </>
          )}
          <div class="numbers">
            <figure data-verdict={element.right !== null && element.right !== element.claimed ? "wrong" : "open"}>
              <figcaption>{t.claimedNumber}</figcaption>
              <strong class="mono">{element.claimed === null ? "?" : numberOf(BigInt(element.claimed))}</strong>
              {element.claimed === null && <p>{t.unknownClaim}</p>}
            </figure>
            <figure data-verdict={element.right !== null ? "right" : "open"}>
              <figcaption>{t.rightNumber}</figcaption>
              <strong class="mono">{element.right === null ? "?" : numberOf(BigInt(element.right))}</strong>
              {element.right === null && element.claimed !== null && <p>{t.unknownRight}</p>}
            </figure>
          </div>
        </>
      )}
    </section>
  );
}
