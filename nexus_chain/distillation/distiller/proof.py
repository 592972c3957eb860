"""One hash for the obligations behind a proof."""

from __future__ import annotations

from collections.abc import Iterable

from nexus_chain.commitments.merkle import MerkleTree, leaf_hash
from nexus_chain.distillation.judge.verdict import Artefact


def proof_root(artefacts: Iterable[Artefact]) -> str:
    """Root of the SHA-256 Merkle tree (RFC 9162) over the artefacts' texts in order, as 64 hexadecimal digits."""
    return MerkleTree(leaf_hash(artefact.text.encode()) for artefact in artefacts).root().hex()
