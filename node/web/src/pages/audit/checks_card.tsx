import { useEffect, useState } from "preact/hooks";
import { Hash } from "../../design/hash";
import { Failure } from "../../design/state";
import { checkAnchor, checkBytes, checkInclusion, checkSignature, type BrowserCheck } from "./browser_checks";
import type { ReadCertificate } from "./certificate";
import { chainAtHand } from "./chain_at_hand";
import type { Versions } from "./gateway_types";
import { words } from "./words";

interface Asked {
  readonly cid: string;
  readonly document: Uint8Array;
  readonly read: ReadCertificate | undefined;
  readonly registries: Versions;
}

/** What this browser checks by itself, each with what it found. */
export function ChecksCard({ cid, document, read, registries }: Asked) {
  const t = words();
  const chain = chainAtHand();
  const [checks, show] = useState<readonly BrowserCheck[]>([]);
  useEffect(() => {
    let isWanted = true;
    const bytes = checkBytes(cid, document);
    void Promise.all([checkSignature(document, read), checkAnchor(cid, read, registries, chain)]).then(
      (more) => isWanted && show([bytes, ...more]),
    );
    return () => {
      isWanted = false;
    };
  }, [cid, document, read, registries, chain?.chainId, chain?.ask]);
  return (
    <section class="card" aria-labelledby="audit-here">
      <h2 id="audit-here">{t.here}</h2>
      <p class="quiet">{t.hereIntro}</p>
      <ul class="audit-checks" aria-live="polite">
        {checks.map((check) => (
          <CheckLine key={check.name} check={check} />
        ))}
      </ul>
      <p class="quiet">
        {t.registryNote} <Hash value={registries.certificate_registry} />
      </p>
      {read?.dataset && <Inclusion key={cid} cid={cid} read={read} />}
    </section>
  );
}

function CheckLine({ check }: { check: BrowserCheck }) {
  const t = words();
  const said = { right: t.right, wrong: t.wrong, open: t.notChecked }[check.verdict];
  const isHash = /^(0x|baf)\w{30,}$/.test(check.found);
  return (
    <li>
      <span data-verdict={check.verdict}>
        {check.verdict === "right" ? "✓" : check.verdict === "wrong" ? "✗" : "○"} {said}
      </span>
      <span>
        {t.checkNames[check.name]}
        {check.why && <span class="quiet"> — {t.why[check.why]}</span>}{" "}
        {isHash ? <Hash value={check.found} /> : check.found}
      </span>
    </li>
  );
}

function Inclusion({ cid, read }: { cid: string; read: ReadCertificate }) {
  const t = words();
  const [found, show] = useState<BrowserCheck | undefined>();
  const [failed, fail] = useState<unknown>();
  const draw = () => {
    fail(undefined);
    checkInclusion(cid, read).then(show, fail);
  };
  return (
    <div class="audit-inclusion">
      <button type="button" onClick={draw}>
        {found ? t.drawAnother : t.drawExample}
      </button>
      {failed !== undefined && <Failure error={failed} again={draw} />}
      {found && (
        <div role="status">
          <ul class="audit-checks">
            <CheckLine check={{ ...found, found: "" }} />
          </ul>
          <p class="quiet">
            {t.example} {Number(found.found) + 1} {t.exampleOf} {read.dataset?.examples}
          </p>
          <pre class="audit-example" tabIndex={0}>
            {found.example}
          </pre>
        </div>
      )}
    </div>
  );
}
