import { useMemo } from "preact/hooks";
import { numberOf } from "../../design/amount";
import { Hash } from "../../design/hash";
import { language } from "../../words/language";
import { Chart } from "./chart";
import type { Epoch, LearnedVersion, Overview, Score } from "./gateway_types";
import { timeOf } from "./sentences";
import { words } from "./words";

/** Trainings: curves by epoch, versions, and what came of the programs. */
export function TrainingCard({ overview }: { overview: Overview }) {
  const t = words();
  const trained = overview.versions.filter((one) => one.metrics.length > 0);
  return (
    <section class="card" aria-labelledby="learn-training">
      <h2 id="learn-training">{t.training}</h2>
      {trained.length === 0 && <p class="quiet">{t.noTraining}</p>}
      {overview.versions.map((one) => (
        <Training key={one.version} version={one} isInUse={one.version === overview.in_use} />
      ))}
      {overview.scores && <Scores before={overview.scores.before} after={overview.scores.after} />}
    </section>
  );
}

function Training({ version, isInUse }: { version: LearnedVersion; isInUse: boolean }) {
  const t = words();
  return (
    <section class="learn-version">
      <h3>
        {t.version} {version.version} {isInUse && <span data-verdict="right">{t.inUse}</span>}
      </h3>
      <p class="quiet">
        {version.version === 0 ? t.base : `${t.trainedOn} ${numberOf(version.examples)}`} · {timeOf(version.trained_at)}
        {version.cpu_class && ` · ${version.cpu_class}`}{" "}
        {version.adapter_sha256 && <Hash value={version.adapter_sha256} />}
      </p>
      {version.metrics.length > 0 && <Curves epochs={version.metrics} />}
    </section>
  );
}

function Curves({ epochs }: { epochs: readonly Epoch[] }) {
  const t = words();
  const curves = useMemo(() => {
    const x = epochs.map((one) => one.epoch);
    return [
      { label: t.loss, x, y: epochs.map((one) => one.loss) },
      { label: t.accuracy, x, y: epochs.map((one) => one.accuracy) },
      { label: t.perplexity, x, y: epochs.map((one) => one.perplexity) },
    ];
  }, [epochs, t]);
  return (
    <>
      <div class="learn-charts">
        {curves.map((curve) => (
          <Chart key={curve.label} curve={curve} xLabel={t.epoch} />
        ))}
      </div>
      <details>
        <summary>{t.asTable}</summary>
        <table>
          <thead>
            <tr>
              {[t.epoch, t.loss, t.accuracy, t.perplexity].map((column) => (
                <th key={column} scope="col">
                  {column}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {epochs.map((one) => (
              <tr key={one.epoch}>
                <th scope="row">{one.epoch}</th>
                <td>{one.loss.toFixed(4)}</td>
                <td>{asShare(one.accuracy)}</td>
                <td>{one.perplexity.toFixed(3)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </details>
    </>
  );
}

function Scores({ before, after }: { before: Score; after: Score }) {
  const t = words();
  const rows: [string, (score: Score) => string][] = [
    [t.right, (score) => numberOf(score.hits)],
    [t.accuracy, (score) => asShare(Number(score.accuracy))],
    [t.interval, (score) => `${asShare(Number(score.accuracy_low))} – ${asShare(Number(score.accuracy_high))}`],
    [t.loss, (score) => score.loss],
    [t.perplexity, (score) => score.perplexity],
  ];
  return (
    <section>
      <h3>{t.scores}</h3>
      <table>
        <thead>
          <tr>
            <td />
            <th scope="col">{t.before}</th>
            <th scope="col">{t.after}</th>
          </tr>
        </thead>
        <tbody>
          {rows.map(([label, of]) => (
            <tr key={label}>
              <th scope="row">{label}</th>
              <td>{of(before)}</td>
              <td>{of(after)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function asShare(value: number): string {
  return value.toLocaleString(language.value, { style: "percent", maximumFractionDigits: 1 });
}
