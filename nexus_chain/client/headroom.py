"""The one rule about headroom: a node may close a line that has nothing left, so something is always left on top.

The last wei of a cap is never promised, so no line is ever used up. Money for a number of positions is locked
for a whole chunk more: vouchers prepay whole chunks, and drafts that turn out wrong are fed beyond the end.
"""

from __future__ import annotations

from nexus_chain.market.documents import CHUNK_POSITIONS

UNPROMISED_WEI = 1
"""What is left on top of every line."""


def spendable(cap: int) -> int:
    """What may be promised of a cap, wei."""
    return max(0, cap - UNPROMISED_WEI)


def cap_for(wei: int) -> int:
    """The least cap of which ``wei`` may be promised; none at all for nothing."""
    return wei + UNPROMISED_WEI if wei else 0


def wei_to_lock(wei_per_token: int, positions: int) -> int:
    """What to lock for ``positions`` at a price: a chunk more, and never nothing."""
    return max(UNPROMISED_WEI, wei_per_token * (positions + CHUNK_POSITIONS))
