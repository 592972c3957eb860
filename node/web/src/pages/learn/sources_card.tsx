import { numberOf } from "../../design/amount";
import type { Overview } from "./gateway_types";
import { words } from "./words";

/** What each teacher answered, what the judge said of it, and what it cost. */
export function SourcesCard({ overview }: { overview: Overview }) {
  const t = words();
  if (overview.sources.length === 0) return null;
  return (
    <section class="card" aria-labelledby="learn-sources">
      <h2 id="learn-sources">{t.sources}</h2>
      <div class="wide" tabIndex={0} role="group" aria-label={t.sources}>
        <table>
          <thead>
            <tr>
              {[t.source, t.provider, t.answered, t.proved, t.refuted, t.unknown, t.failed, t.cost].map((column) => (
                <th key={column} scope="col">
                  {column}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {overview.sources.map((one) => (
              <tr key={one.source}>
                <th scope="row">{one.source}</th>
                <td>{one.provider}</td>
                <td>{numberOf(one.answered)}</td>
                <td>{numberOf(one.outcomes["proved"] ?? 0)}</td>
                <td>{numberOf(one.outcomes["refuted"] ?? 0)}</td>
                <td>{numberOf(one.outcomes["unknown"] ?? 0)}</td>
                <td>{numberOf(one.failed)}</td>
                <td>{one.cost_usd}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}
