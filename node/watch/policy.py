"""Which answers a watcher recomputes, and what it may spend on disputes."""

from __future__ import annotations

from dataclasses import dataclass

from node.watch.errors import PolicyError


def parse_policy(text: str) -> float:
    """Share of the answers to recompute: ``trust`` 0, ``full`` 1, ``sample=p`` p in (0, 1].

    Raises PolicyError.
    """
    if text in ("trust", "full"):
        return float(text == "full")
    name, _, value = text.partition("=")
    try:
        rate = float(value)
    except ValueError:
        rate = -1.0
    if name != "sample" or not 0 < rate <= 1:
        raise PolicyError(
            f"policy {text!r} is not known", advice="Write trust, sample=0.05 (a share of the answers) or full."
        )
    return rate


@dataclass(frozen=True)
class Spending:
    """Where a watcher's money went so far, wei.

    ``locked``: bonds in open games; ``lost``: bonds that did not come back, over the watcher's life;
    ``fees``: paid for transactions over its life; ``reserved``: fees that open games may still take.
    """

    locked: int = 0
    lost: int = 0
    fees: int = 0
    reserved: int = 0


@dataclass(frozen=True)
class Budget:
    """The most that a watcher may ever lose, wei: ``bonds`` locked or lost, ``fees`` of transactions.

    Both count over the watcher's life: what a stranger's file made it lose never comes back. They are checked
    before a game is opened and before a bond is raised, never before any other move: giving up loses the bond.
    """

    bonds: int
    fees: int

    def refusal(self, bond: int, fee: int, spending: Spending) -> str:
        """Why nothing is begun that locks ``bond`` and may cost ``fee``; empty when it is."""
        needed = spending.fees + spending.reserved + fee
        if needed > self.fees:
            return (
                f"the budget for fees is used up: {fee} wei more beside {spending.fees} wei spent and "
                f"{spending.reserved} wei reserved for open games exceed {self.fees} wei"
            )
        return self.bond_refusal(bond, spending)

    def bond_refusal(self, bond: int, spending: Spending) -> str:
        """Why ``bond`` more wei are not locked; empty when they are."""
        if bond and spending.locked + spending.lost + bond > self.bonds:
            return (
                f"the budget for bonds is used up: {bond} wei more beside {spending.locked} wei in open games and "
                f"{spending.lost} wei lost exceed {self.bonds} wei"
            )
        return ""
