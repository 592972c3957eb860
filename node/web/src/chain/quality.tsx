import { numberOf } from "../design/amount";
import { Hash } from "../design/hash";
import { addressOf } from "../router";
import { shareOf } from "./clock";
import type { Certificate } from "./documents";
import { words } from "./words";

/** What a version's certificate says of its quality; that nothing is known, where there is none. */
export function CertifiedQuality({ certificate }: { certificate: Certificate | null }) {
  const t = words();
  if (!certificate) return <p class="quiet">{t.noCertificate}</p>;
  const quality = certificate.quality;
  return (
    <div class="quality">
      {!quality ? (
        <p class="quiet">{t.unread}</p>
      ) : quality.problem ? (
        <p data-verdict="open">
          {t.unavailable}: {quality.problem}
        </p>
      ) : (
        <>
          <dl class="facts">
            {figuresOf(quality.figures).map(({ label, value }) => (
              <div key={label}>
                <dt>{label}</dt>
                <dd>{value}</dd>
              </div>
            ))}
          </dl>
          <p class="quiet">{t.certified}</p>
        </>
      )}
      <p>
        {t.certificate}: <Hash value={certificate.cid} href={addressOf("audit", certificate.cid)} />
      </p>
    </div>
  );
}

/** The figures that a certificate of either format has, in words; others are left out. */
export function figuresOf(figures: Readonly<Record<string, string | number>>): { label: string; value: string }[] {
  const t = words();
  const found: { label: string; value: string }[] = [];
  const has = (name: string) => figures[name] !== undefined;
  const text = (name: string) => String(figures[name]);
  const share = (part: string, all: string) =>
    `${shareOf(Number(figures[part]), Number(figures[all])) ?? "–"} (${numberOf(Number(figures[part]))} ${t.of} ${numberOf(Number(figures[all]))})`;
  if (has("accuracy")) {
    const interval = has("accuracy_low") ? ` (${text("accuracy_low")}–${text("accuracy_high")})` : "";
    const count = has("problems") ? `, ${numberOf(Number(figures["problems"]))} ${t.problems}` : "";
    found.push({ label: t.accuracy, value: `${text("accuracy")}${interval}${count}` });
    if (has("accuracy_before")) found.push({ label: `${t.accuracy}, ${t.before}`, value: text("accuracy_before") });
  }
  const perplexity = has("perplexity") ? "perplexity" : "perplexity_integer";
  if (has(perplexity)) found.push({ label: t.perplexity, value: text(perplexity) });
  if (has("perplexity_float32")) found.push({ label: t.perplexityFloat, value: text("perplexity_float32") });
  if (has("top1_hits") && has("tokens")) found.push({ label: t.top1, value: share("top1_hits", "tokens") });
  if (has("top1_agreements") && has("tokens"))
    found.push({ label: t.agreement, value: share("top1_agreements", "tokens") });
  if (has("verified_examples"))
    found.push({ label: t.examples, value: numberOf(Number(figures["verified_examples"])) });
  if (has("data_source")) found.push({ label: t.data, value: text("data_source") });
  return found;
}
