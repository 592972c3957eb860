"""How long a chunk may be: short at nodes that have not signed for this user yet, as long as the protocol allows later.

A node that computes a chunk and signs nothing keeps what was prepaid for it. So nobody gets a long one at once.
"""

from __future__ import annotations

from nexus_chain.market.documents import CHUNK_POSITIONS

FIRST_CHUNK = 4
"""Positions after the prompt that a node without a record gets prepaid."""


def chunk_positions(signed: int) -> int:
    """Positions after the prompt of a chunk, at a node that signed ``signed`` chunks since it last failed to."""
    return min(CHUNK_POSITIONS, FIRST_CHUNK << min(signed, CHUNK_POSITIONS.bit_length()))
