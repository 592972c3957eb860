import type { Coverage, Sighting } from "./gateway_types";
import { words } from "./words";

/** How many nodes answer for each layer of each model: below two, one fault stops it. */
export function CoverageCard({ models }: { models: Sighting["models"] }) {
  const t = words();
  return (
    <section class="card" aria-labelledby="radar-coverage">
      <h2 id="radar-coverage">{t.coverage}</h2>
      {models.map((model) => (
        <section key={model.name}>
          <h3>
            {model.name}{" "}
            <span class="quiet">
              {model.layers} {t.layers}
            </span>
          </h3>
          <ul class="learn-coverage">
            {model.coverage.map((run) => (
              <Run key={run.start} run={run} />
            ))}
          </ul>
          <p class="quiet">
            {model.failovers} {t.failovers}, {model.wrong} {t.wrongAnswers} {t.sinceStart}
          </p>
        </section>
      ))}
    </section>
  );
}

function Run({ run }: { run: Coverage }) {
  const t = words();
  const verdict = run.nodes === 0 ? "wrong" : run.nodes === 1 ? "open" : "right";
  const last = run.end - 1;
  return (
    <li data-verdict={verdict}>
      <span>
        {t.layersFrom} {run.start}
        {last > run.start && ` ${t.to} ${last}`}
      </span>
      <strong>
        {run.nodes === 0 ? "✗" : run.nodes === 1 ? "!" : "✓"} {run.nodes} {run.nodes === 1 ? t.nodeOne : t.nodes}
      </strong>
    </li>
  );
}
