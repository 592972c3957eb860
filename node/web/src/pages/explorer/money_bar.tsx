import { etherOf, numberOf } from "../../design/amount";
import type { Segment } from "./sums";
import { words } from "./words";

/** Where an amount went: a bar without gaps, and each part in words with its exact wei. */
export function MoneyBar({ segments, total }: { segments: readonly Segment[]; total: bigint }) {
  const t = words();
  const names = {
    node: t.toNode,
    vault: t.toVault,
    publisher: t.publisher,
    user: t.toUser,
    returned: t.returned,
    open: t.notYet,
  };
  if (total <= 0n) return <p class="quiet">{t.none}</p>;
  const said = segments.map((one) => `${names[one.name]} ${etherOf(one.wei)}`).join(", ");
  return (
    <div class="money">
      <svg viewBox="0 0 1000 24" preserveAspectRatio="none" role="img" aria-label={said}>
        {segments.map((one) => (
          <rect key={one.name} class={`part-${one.name}`} x={one.start} y="0" width={one.width} height="24" />
        ))}
      </svg>
      <table>
        <tbody>
          {segments.map((one) => (
            <tr key={one.name}>
              <th scope="row">
                <svg class="sample" viewBox="0 0 10 10" aria-hidden="true">
                  <rect class={`part-${one.name}`} width="10" height="10" />
                </svg>{" "}
                {names[one.name]}
              </th>
              <td>{etherOf(one.wei)}</td>
              <td class="exact">{numberOf(one.wei)} wei</td>
            </tr>
          ))}
          <tr class="total">
            <th scope="row">{t.total}</th>
            <td>{etherOf(total)}</td>
            <td class="exact">{numberOf(total)} wei</td>
          </tr>
        </tbody>
      </table>
    </div>
  );
}
