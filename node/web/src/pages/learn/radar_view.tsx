import { useEffect } from "preact/hooks";
import { etherOf } from "../../design/amount";
import { Hash } from "../../design/hash";
import { Failure, Loading } from "../../design/state";
import { CoverageCard } from "./coverage_card";
import type { Sighting } from "./gateway_types";
import { NodesCard } from "./nodes_card";
import { followRadar, radarProblem, sighting } from "./radar_feed";
import { sentenceAbout, timeOf } from "./sentences";
import { words } from "./words";

/** What the gateway sees of the network, as it sees it. */
export function RadarView() {
  const t = words();
  useEffect(() => {
    const stop = new AbortController();
    void followRadar(stop.signal);
    return () => stop.abort();
  }, []);
  const seen = sighting.value;
  if (!seen) return radarProblem.value === undefined ? <Loading /> : <Failure error={radarProblem.value} />;
  return (
    <>
      <p class="row">
        {radarProblem.value === undefined ? (
          <span data-verdict="right">● {t.live}</span>
        ) : (
          <span role="alert" data-verdict="open">
            {t.interrupted}
          </span>
        )}
        <span class="quiet">
          {t.seenAt} {timeOf(seen.at)}
        </span>
        {!seen.chain_is_read && (
          <span role="alert" data-verdict="open">
            {t.chainOld}
          </span>
        )}
      </p>
      <div class="learn-columns">
        <Alarms seen={seen} />
        <Faults seen={seen} />
      </div>
      <CoverageCard models={seen.models} />
      <NodesCard nodes={seen.nodes} suspicions={seen.suspicions} />
      <Watchers seen={seen} />
    </>
  );
}

function Alarms({ seen }: { seen: Sighting }) {
  const t = words();
  return (
    <section class="card" aria-labelledby="radar-alarms">
      <h2 id="radar-alarms">{t.alarms}</h2>
      {seen.alarms.length === 0 && <p class="quiet">{t.noAlarms}</p>}
      <ol
        class="learn-list learn-alarms"
        tabIndex={0}
        aria-live="polite"
        aria-relevant="additions"
        aria-labelledby="radar-alarms"
      >
        {seen.alarms.map((alarm) => (
          <li key={`${alarm.key}@${alarm.at}`}>
            <span class="quiet">{timeOf(alarm.at)}</span>{" "}
            {alarm.until === null ? (
              <span data-verdict={alarm.kind === "convicted" || alarm.kind === "uncovered" ? "wrong" : "open"}>
                {t.lasts}
              </span>
            ) : (
              <span class="quiet">
                ({t.over} {timeOf(alarm.until)})
              </span>
            )}
            <br />
            {sentenceAbout(alarm)}
          </li>
        ))}
      </ol>
    </section>
  );
}

function Faults({ seen }: { seen: Sighting }) {
  const t = words();
  return (
    <section class="card" aria-labelledby="radar-faults">
      <h2 id="radar-faults">{t.faults}</h2>
      {seen.faults.length === 0 && <p class="quiet">{t.noFaults}</p>}
      <ol class="learn-list">
        {seen.faults.map((fault) => (
          <li key={`${fault.transaction}:${fault.game}`}>
            <span class="quiet">{timeOf(fault.at)}</span> <Hash value={fault.node} />{" "}
            {fault.kind === "game" ? t.kindGame : t.kindEquivocation}
            <br />
            <Wei amount={fault.to_vault} /> {t.toVault}, <Wei amount={fault.to_beneficiary} /> {t.toFinder}{" "}
            <Hash value={fault.transaction} />
          </li>
        ))}
      </ol>
    </section>
  );
}

function Watchers({ seen }: { seen: Sighting }) {
  const t = words();
  return (
    <section class="card" aria-labelledby="radar-watchers">
      <h2 id="radar-watchers">{t.watchers}</h2>
      {seen.watchers.length === 0 ? (
        <p class="quiet">{t.noWatchers}</p>
      ) : (
        <div class="wide" tabIndex={0} role="group" aria-label={t.watchers}>
          <table>
            <thead>
              <tr>
                {[t.watcher, t.balance, t.bonds, t.openGames, t.wonLost].map((column) => (
                  <th key={column} scope="col">
                    {column}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {seen.watchers.map((one) => (
                <tr key={one.address}>
                  <td>
                    <Hash value={one.address} />
                  </td>
                  <td>
                    <Wei amount={one.balance} />
                  </td>
                  <td>
                    <Wei amount={one.bonds} />
                  </td>
                  <td>{one.open_games}</td>
                  <td>
                    {one.won} / {one.lost}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

function Wei({ amount }: { amount: string }) {
  return <span title={`${amount} wei`}>{/^\d{1,78}$/.test(amount) ? etherOf(BigInt(amount)) : amount}</span>;
}
