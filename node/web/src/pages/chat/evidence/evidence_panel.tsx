import { useEffect, useState } from "preact/hooks";
import { etherOf } from "../../../design/amount";
import { Hash } from "../../../design/hash";
import { sentenceOf } from "../../../design/state";
import { addressOf } from "../../../router";
import { change } from "../desk";
import { changeAnswer, type Answer } from "../kept/conversation";
import { CheckPanel } from "./check_panel";
import { odditiesOf, receiptsOf, type Evidence } from "./evidence";
import { RouteView } from "./route_view";
import { words } from "./words";

/** Beside an answer: what it cost, who computed it, and whether it is right. */
export function EvidencePanel({ answer, isComing }: { answer: Answer; isComing: boolean }) {
  const t = words();
  const { id, evidence } = answer;
  if (isComing) return null;
  return (
    <div class="evidence" role="group" aria-label={t.title}>
      {evidence ? (
        <Facts answer={answer} evidence={evidence} />
      ) : id === undefined ? (
        <p class="quiet">{answer.state === "stopped" ? t.noneStopped : t.none}</p>
      ) : (
        <Fetch answer={{ ...answer, id }} />
      )}
      {id !== undefined && <CheckPanel answer={{ ...answer, id }} />}
    </div>
  );
}

function Facts({ answer, evidence }: { answer: Answer; evidence: Evidence }) {
  const t = words();
  const seed = answer.question.body["seed"];
  const gateway = BigInt(evidence.gatewayWei);
  const publisher = BigInt(evidence.publisherWei ?? "0");
  const odd = odditiesOf(evidence, answer.version);
  const said = { bill: t.oddBill, price: t.oddPrice, version: t.oddVersion };
  return (
    <>
      {odd.map((one) => (
        <p key={one} role="alert" class="verdict" data-verdict="wrong">
          {said[one]}
        </p>
      ))}
      <dl>
        <dt>{t.price}</dt>
        <dd>
          <strong>{etherOf(BigInt(evidence.costWei))}</strong>
          <br />
          <span class="quiet">
            {t.bill(etherOf(BigInt(evidence.nodesWei)), etherOf(BigInt(evidence.vaultWei)))}
            {publisher > 0n && ` · ${t.publisher(etherOf(publisher))}`}
            {gateway > 0n && ` · ${t.gateway(etherOf(gateway))}`}
          </span>
        </dd>
        <dt>{t.tokens}</dt>
        <dd>{t.tokensOf(evidence.promptTokens, evidence.answerTokens)}</dd>
        <dt>{t.route}</dt>
        <dd>
          <RouteView route={evidence.route} />
          {evidence.failovers > 0 && <p class="quiet">{t.failovers(evidence.failovers)}</p>}
        </dd>
      </dl>
      <details>
        <summary>
          {t.receipts(evidence.receipts)} · {t.details}
        </summary>
        <dl>
          <dt>{t.order}</dt>
          <dd>
            <Hash value={evidence.order} />
          </dd>
          <dt>{t.session}</dt>
          <dd>
            <Hash value={evidence.session} href={addressOf("explorer", "sessions", evidence.session)} />
          </dd>
          <dt>{t.version}</dt>
          <dd>
            <Hash value={evidence.version} href={addressOf("explorer", "models", evidence.version)} />
          </dd>
          {typeof seed === "number" && (
            <>
              <dt>{t.seed}</dt>
              <dd class="mono">{String(seed)}</dd>
            </>
          )}
        </dl>
      </details>
    </>
  );
}

function Fetch({ answer }: { answer: Answer & { id: string } }) {
  const t = words();
  const [failed, fail] = useState<unknown>();
  const [tries, tryAgain] = useState(0);
  useEffect(() => {
    const controller = new AbortController();
    fail(undefined);
    receiptsOf(answer.id, controller.signal).then(
      ({ evidence }) => change((found) => changeAnswer(found, answer.key, (one) => ({ ...one, evidence }))),
      (error: unknown) => controller.signal.aborted || fail(error),
    );
    return () => controller.abort();
  }, [answer.id, tries]);
  if (failed === undefined) return <p class="quiet">{t.loading}</p>;
  return (
    <p role="alert" class="verdict" data-verdict="open">
      {sentenceOf(failed)}{" "}
      <button type="button" class="small" onClick={() => tryAgain(tries + 1)}>
        {t.load}
      </button>
    </p>
  );
}
