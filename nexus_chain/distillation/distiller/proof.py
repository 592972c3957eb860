"""One hash for the evidence behind a proof."""

from __future__ import annotations

from nexus_chain.commitments.merkle import MerkleTree, leaf_hash
from nexus_chain.distillation.judge.verdict import Verdict


def proof_root(verdict: Verdict) -> str:
    """Root of the SHA-256 Merkle tree (RFC 9162), as 64 hexadecimal digits.

    Its leaves are the SHA-256 of the artefacts' texts and of the tables of enumerated domains, each once, in
    ascending order: whoever has these hashes alone can check it.
    """
    texts = [one.sha256 for one in verdict.artefacts]
    tables = [one.sha256 for one in verdict.enumerations]
    digests = sorted({*texts, *tables})
    return MerkleTree(leaf_hash(bytes.fromhex(digest)) for digest in digests).root().hex()
