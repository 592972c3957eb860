"""Where the money of lines went, summed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

#: Events of the market that pay somebody out of a line.
SUMMED = ("LineSettled", "LineRefunded", "ShareSettled")


@dataclass(frozen=True)
class SettledSums:
    """``lines``: settled ones; ``forfeited``: those of them whose node was convicted. The others in wei.

    ``returned``: to users before their lines were settled, while a game held the rest. ``to_publisher``: of what was
    locked beside the lines; ``share_returned``: what of that went back to users.
    """

    lines: int = 0
    forfeited: int = 0
    to_node: int = 0
    to_vault: int = 0
    to_user: int = 0
    returned: int = 0
    to_publisher: int = 0
    share_returned: int = 0

    def after(self, name: str, arguments: Mapping[str, Any], sign: int = 1) -> SettledSums:
        """The sums with one more event of ``SUMMED``; with one less where ``sign`` is -1."""
        if name == "LineRefunded":
            return replace(self, returned=self.returned + sign * int(arguments["toUser"]))
        if name == "ShareSettled":
            return replace(
                self,
                to_publisher=self.to_publisher + sign * int(arguments["toPublisher"]),
                share_returned=self.share_returned + sign * int(arguments["toUser"]),
            )
        return replace(
            self,
            lines=self.lines + sign,
            forfeited=self.forfeited + sign * bool(arguments["forfeited"]),
            to_node=self.to_node + sign * int(arguments["toNode"]),
            to_vault=self.to_vault + sign * int(arguments["toVault"]),
            to_user=self.to_user + sign * int(arguments["toUser"]),
        )

    def document(self) -> dict[str, Any]:
        """As it is served."""
        return {
            "lines": self.lines,
            "forfeited": self.forfeited,
            "to_node_wei": str(self.to_node),
            "to_vault_wei": str(self.to_vault),
            "to_user_wei": str(self.to_user),
            "returned_wei": str(self.returned),
            "to_publisher_wei": str(self.to_publisher),
            "share_returned_wei": str(self.share_returned),
        }
