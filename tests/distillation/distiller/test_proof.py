"""The root of the evidence behind a proof."""

from __future__ import annotations

from hashlib import sha256

from nexus_chain.commitments.merkle import MerkleTree, leaf_hash
from nexus_chain.distillation.distiller.proof import proof_root
from nexus_chain.distillation.judge.verdict import Artefact, Enumeration, Kind, Outcome, Verdict

ONE, OTHER = Artefact("one", "(check-sat)"), Artefact("other", "(assert false)(check-sat)")
TABLE = Enumeration("exhaustion", "x: int[0..3]", 4, sha256(b"table").hexdigest())


def root(*artefacts: Artefact, tables: tuple[Enumeration, ...] = ()) -> str:
    return proof_root(Verdict(Kind.PYTHON, Outcome.PROVED, "It.", "So.", artefacts=artefacts, enumerations=tables))


def test_the_hashes_alone_give_the_root() -> None:
    digests = sorted(sha256(one.text.encode()).digest() for one in (ONE, OTHER))
    assert root(ONE, OTHER) == MerkleTree(map(leaf_hash, digests)).root().hex()
    assert root(tables=(TABLE,)) == MerkleTree([leaf_hash(bytes.fromhex(TABLE.sha256))]).root().hex()


def test_order_and_repetition_change_nothing_and_any_evidence_does() -> None:
    assert root(ONE, OTHER) == root(OTHER, ONE, OTHER)
    assert root(ONE) == root(Artefact("another name", ONE.text))
    assert len({root(ONE), root(OTHER), root(ONE, OTHER), root(ONE, tables=(TABLE,)), root(tables=(TABLE,))}) == 5
