import type { PageOf, Session } from "../../chain/documents";
import { Hash } from "../../design/hash";
import { addressOf } from "../../router";
import { List, useList } from "./list";
import { Badge, Moment, Wei } from "./parts";
import { words } from "./words";

export function SessionList() {
  const t = words();
  const shown = useList<PageOf<Session>>("/explorer/sessions", (event) => event.contract === "market");
  return (
    <List title={t.sessions} shown={shown}>
      {(found) => (
        <div class="wide card" tabIndex={0} role="region" aria-label={t.sessions}>
          <table>
            <thead>
              <tr>
                {[t.session, t.state, t.opened, t.user, t.locked, t.promised, t.nodes].map((name) => (
                  <th key={name} scope="col">
                    {name}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {found.items.map((one) => (
                <tr key={one.id}>
                  <td>
                    <Hash value={one.session} href={addressOf("explorer", "sessions", one.session)} />
                  </td>
                  <td>
                    <SessionState session={one} />
                  </td>
                  <td>
                    <Moment time={one.opened_at} />
                  </td>
                  <td>
                    <Hash value={one.user} />
                  </td>
                  <td>
                    <Wei wei={sumOf(one.lines.map((line) => line.cap_wei))} />
                  </td>
                  <td>
                    <Wei wei={sumOf(one.lines.map((line) => line.promised_wei))} />
                  </td>
                  <td>{one.lines.length}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </List>
  );
}

export function SessionState({ session }: { session: Session }) {
  const t = words();
  const verdict = session.state === "settled" || session.state === "open" ? "right" : "open";
  return <Badge verdict={verdict}>{t.sessionStates[session.state]}</Badge>;
}

/** The sum of amounts of wei, as decimal text. */
export function sumOf(amounts: readonly string[]): string {
  return amounts.reduce((sum, wei) => sum + BigInt(wei), 0n).toString();
}
