import { describe, expect, test } from "vitest";
import { segmentsOf, settledParts, summedParts } from "../../../src/pages/explorer/sums";

const LINE = { forfeited: false, returned_wei: "0", share: null };

describe("settled parts", () => {
  test("are exact to the last wei, beyond what a double can hold", () => {
    const cap = 2n ** 100n + 1n;
    const found = settledParts({
      ...LINE,
      cap_wei: String(cap),
      to_node_wei: String(cap - 2n),
      to_vault_wei: "1",
      to_user_wei: "1",
    });
    expect(found.total).toBe(cap);
    expect(found.exact).toBe(true);
    expect(found.parts.map((one) => one.wei)).toEqual([cap - 2n, 1n, 1n]);
  });

  test("say so where one wei is missing", () => {
    const line = { ...LINE, cap_wei: "100", to_node_wei: "90", to_vault_wei: "9", to_user_wei: "0" };
    expect(settledParts(line).exact).toBe(false);
  });

  test("count what came back early", () => {
    const line = { cap_wei: "100", returned_wei: "40", to_node_wei: "54", to_vault_wei: "6", to_user_wei: "0" };
    const found = settledParts({ ...LINE, ...line });
    expect([found.exact, found.parts.map((one) => one.name)]).toEqual([true, ["node", "vault", "returned"]]);
  });
});

describe("a publisher's share", () => {
  const line = { ...LINE, cap_wei: "1000", to_node_wei: "451", to_vault_wei: "50", to_user_wei: "499" };
  const share = { share_basis_points: 777, to_publisher_wei: "38", returned_wei: "39" };

  test("is beside the line, and what is left of it goes back to the user", () => {
    const found = settledParts({ ...line, share });
    expect([found.total, found.exact]).toEqual([1077n, true]);
    expect(found.parts.map((one) => [one.name, one.wei])).toEqual([
      ["node", 451n],
      ["vault", 50n],
      ["publisher", 38n],
      ["user", 538n],
    ]);
  });

  test.each([
    ["one wei went astray", { ...share, returned_wei: "38" }],
    ["the publisher got a wei of the user's", { ...share, to_publisher_wei: "39", returned_wei: "38" }],
  ])("is not exact where %s", (_, wrong) => {
    expect(settledParts({ ...line, share: wrong }).exact).toBe(false);
  });

  test("is nothing for a convicted node", () => {
    const lost = { ...line, to_node_wei: "0", to_vault_wei: "0", to_user_wei: "1000", forfeited: true };
    const found = settledParts({ ...lost, share: { ...share, to_publisher_wei: "0", returned_wei: "77" } });
    expect([found.exact, found.parts.map((one) => one.name)]).toEqual([true, ["user"]]);
  });
});

test("segments fill the bar without a gap, whatever the amounts", () => {
  for (const amounts of [[1n, 1n, 1n], [1n, 10n ** 30n, 3n], [7n, 0n, 13n], [333n, 333n, 334n], [1n]]) {
    const names = ["node", "vault", "user"] as const;
    const total = amounts.reduce((sum, one) => sum + one, 0n);
    const found = segmentsOf(
      amounts.map((wei, place) => [names[place] ?? "node", wei] as const),
      total,
    );
    let end = 0;
    for (const one of found) {
      expect(one.start).toBe(end);
      end = one.start + one.width;
    }
    expect(end).toBe(1000);
  }
});

test("nothing is no segment", () => {
  expect(segmentsOf([["node", 0n]], 0n)).toEqual([]);
});

test("sums of many lines keep every part", () => {
  const found = summedParts({
    lines: 3,
    forfeited: 0,
    to_node_wei: "9",
    to_vault_wei: "1",
    to_user_wei: "5",
    returned_wei: "2",
    to_publisher_wei: "3",
    share_returned_wei: "4",
  });
  expect(found.total).toBe(24n);
  expect(found.parts.map((one) => one.wei)).toEqual([9n, 1n, 3n, 9n, 2n]);
});
