import { durationOf } from "../../chain/clock";
import type { Summary } from "../../chain/documents";
import { useDocument } from "../../chain/live";
import { Fact } from "../../design/fact";
import { numberOf } from "../../design/amount";
import { Hash } from "../../design/hash";
import { addressOf } from "../../router";
import { MoneyBar } from "./money_bar";
import { NotYet, Wei } from "./parts";
import { summedParts } from "./sums";
import { words } from "./words";

export function Overview() {
  const t = words();
  const { document: found, error, again } = useDocument<Summary>("/explorer/summary", () => true);
  if (!found) return <NotYet name={t.title} error={error} again={again} />;
  const sums = found.settled;
  const { parts, total } = summedParts(sums);
  const counts = [
    ["models", found.models],
    ["nodes", found.nodes],
    ["sessions", found.sessions],
    ["settlements", found.settlements],
    ["disputes", found.disputes],
  ] as const;
  return (
    <>
      <h1>{t.title}</h1>
      <ul class="counts">
        {counts.map(([part, count]) => (
          <li key={part} class="card">
            <a href={addressOf("explorer", part)}>
              <strong>{numberOf(count)}</strong>
              <span>{t[part]}</span>
            </a>
            {part === "disputes" && found.disputes_open > 0 && (
              <span data-verdict="open">{t.openNow(numberOf(found.disputes_open))}</span>
            )}
          </li>
        ))}
      </ul>
      <section class="card">
        <h2>
          {t.allSettled}: {numberOf(sums.lines)}
        </h2>
        <MoneyBar segments={parts} total={total} />
      </section>
      <section class="card">
        <h2>{t.contracts}</h2>
        <dl class="facts">
          {Object.entries(found.terms.contracts).map(([name, address]) => (
            <Fact key={name} name={name.replaceAll("_", " ")}>
              <Hash value={address} />
            </Fact>
          ))}
          <Fact name={t.challengeWindow}>{durationOf(found.terms.challenge_window)}</Fact>
          <Fact name={t.minimumStake}>
            <Wei wei={found.terms.minimum_stake_wei} />
          </Fact>
        </dl>
      </section>
    </>
  );
}
