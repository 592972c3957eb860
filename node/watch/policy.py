"""Which answers a watcher recomputes, and what it may spend on disputes."""

from __future__ import annotations

from dataclasses import dataclass

from node.errors import ConfigurationError


def parse_policy(text: str) -> float:
    """Share of the answers to recompute: ``trust`` 0, ``full`` 1, ``sample=p`` p in (0, 1].

    Raises ConfigurationError.
    """
    if text in ("trust", "full"):
        return float(text == "full")
    name, _, value = text.partition("=")
    try:
        rate = float(value)
    except ValueError:
        rate = -1.0
    if name != "sample" or not 0 < rate <= 1:
        raise ConfigurationError(
            f"policy {text!r} is not known", advice="Write trust, sample=0.05 (a share of the answers) or full."
        )
    return rate


@dataclass(frozen=True)
class Budget:
    """What may be at stake at once, and spent in all; wei.

    ``bonds``: locked in open games; ``fees``: transaction fees over the watcher's life. Both are checked
    before a game is opened, never in the middle of one: giving up then would lose the bond.
    """

    bonds: int
    fees: int

    def refusal(self, bond: int, fee: int, locked: int, spent: int) -> str:
        """Why a game with ``bond`` that may cost ``fee`` is not opened now; empty when it is."""
        if locked + bond > self.bonds:
            return f"the bond of {bond} wei and {locked} wei in open games exceed the budget of {self.bonds} wei"
        if spent + fee > self.fees:
            return f"fees of up to {fee} wei and {spent} wei spent exceed the budget of {self.fees} wei"
        return ""
