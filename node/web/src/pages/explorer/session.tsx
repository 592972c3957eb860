import { durationOf } from "../../chain/clock";
import type { Line, Session, SessionDetail } from "../../chain/documents";
import { chainNow, useDocument } from "../../chain/live";
import { publisherShare, rateOf } from "../../chain/publisher_share";
import { Fact } from "../../design/fact";
import { Hash } from "../../design/hash";
import { addressOf } from "../../router";
import { MoneyBar } from "./money_bar";
import { Moment, NotYet, Top, Wei } from "./parts";
import { SessionState, sumOf } from "./session_list";
import { type Segment, segmentsOf, settledParts } from "./sums";
import { words } from "./words";

export function SessionPage({ id }: { id: string }) {
  const t = words();
  const {
    document: session,
    error,
    again,
  } = useDocument<SessionDetail>(
    `/explorer/sessions/${encodeURIComponent(id)}`,
    (event) => event.session === id.toLowerCase(),
  );
  if (!session) return <NotYet name={t.session} error={error} again={again} />;
  const left = chainNow.value === undefined ? undefined : session.end - chainNow.value;
  return (
    <>
      <Top part="sessions" title={`${t.session} ${session.session.slice(0, 10)}…`} />
      <section class="card">
        <p>
          <SessionState session={session} />
        </p>
        <dl class="facts">
          <Fact name={t.session}>
            <Hash value={session.session} />
          </Fact>
          <Fact name={t.user}>
            <Hash value={session.user} />
          </Fact>
          <Fact name={t.signer}>
            <Hash value={session.signer} />
          </Fact>
          <Fact name={t.opened}>
            <Moment time={session.opened_at} />
          </Fact>
          <Fact name={t.expires}>
            <Moment time={session.expiry} />
          </Fact>
          <Fact name={t.ends}>
            <Moment time={session.end} />
            {left !== undefined && left > 0 && ` (${durationOf(left)})`}
          </Fact>
          <Fact name={t.locked}>
            <Wei wei={sumOf(session.lines.flatMap((line) => [line.cap_wei, String(shareOf(line, session))]))} />
          </Fact>
          {session.opened_for && (
            <Fact name={t.version}>
              <Hash
                value={session.opened_for.version}
                href={addressOf("explorer", "models", session.opened_for.version)}
              />
              {session.opened_for.share_basis_points > 0 &&
                ` ${t.onTop(rateOf(session.opened_for.share_basis_points))}`}
            </Fact>
          )}
        </dl>
      </section>
      {session.lines.map((line) => (
        <LineCard key={line.node} line={line} session={session} />
      ))}
      <section class="card">
        <h2>{t.events}</h2>
        <div class="wide" tabIndex={0} role="region" aria-label={t.events}>
          <table>
            <thead>
              <tr>
                {[t.time, t.event, t.node, t.amount, t.transaction].map((name) => (
                  <th key={name} scope="col">
                    {name}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {session.events.map((event) => (
                <tr key={event.id}>
                  <td>
                    <Moment time={event.time} />
                  </td>
                  <td class="mono">{event.name}</td>
                  <td>{event.node && <Hash value={event.node} href={addressOf("explorer", "nodes", event.node)} />}</td>
                  <td>{event.wei !== null && <Wei wei={event.wei} />}</td>
                  <td>
                    <Hash value={event.transaction} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </section>
    </>
  );
}

/** What was locked beside a line for the publisher. */
function shareOf(line: Line, session: Session): bigint {
  return publisherShare(BigInt(line.cap_wei), session.opened_for?.share_basis_points ?? 0);
}

function LineCard({ line, session }: { line: Line; session: Session }) {
  const t = words();
  const share = session.opened_for && {
    share_basis_points: session.opened_for.share_basis_points,
    to_publisher_wei: line.to_publisher_wei,
    returned_wei: line.share_returned_wei,
  };
  const { parts, total } = line.settled
    ? settledParts({ ...line, ...line.settled, share })
    : promisedParts(line, shareOf(line, session));
  return (
    <section class="card">
      <h2>
        {t.node} <Hash value={line.node} href={addressOf("explorer", "nodes", line.node)} />
      </h2>
      <p>
        {t.locked}: <Wei wei={line.cap_wei} />, {t.promised}: <Wei wei={line.promised_wei} />
      </p>
      <MoneyBar segments={parts} total={total} />
      {line.settled?.forfeited && <p data-verdict="wrong">{t.forfeited}</p>}
    </section>
  );
}

/** What is known of a line that is not settled: what came back early, and the rest, which is not settled yet. */
function promisedParts(line: Line, share: bigint): { parts: Segment[]; total: bigint } {
  const total = BigInt(line.cap_wei) + share;
  const returned = BigInt(line.returned_wei) + BigInt(line.share_returned_wei);
  const amounts: [Segment["name"], bigint][] = [
    ["open", total - returned],
    ["returned", returned],
  ];
  return { parts: segmentsOf(amounts, total), total };
}
