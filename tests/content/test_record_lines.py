"""Files of records: what is written is read back, and one record is shown to be in without the others."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_chain.commitments.errors import ProofError
from nexus_chain.content.errors import CanonicalFormatError
from nexus_chain.content.record_lines import RecordLines, RecordProof


@dataclass(frozen=True)
class Pair:
    name: str
    value: int


PAIRS = st.lists(st.builds(Pair, st.text(), st.integers(-(2**53) + 1, 2**53 - 1)), min_size=1, max_size=40, unique=True)


@given(PAIRS)
def test_what_is_written_is_read_back(pairs: list[Pair]) -> None:
    written = RecordLines.of(pairs)
    found = RecordLines.read(Pair, written.to_bytes(), "pairs")
    assert list(found.records) == pairs
    assert found.root == written.root
    assert len(found) == len(pairs)


@given(PAIRS, st.data())
def test_a_record_is_proven_alone(pairs: list[Pair], data: st.DataObject) -> None:
    lines = RecordLines.of(pairs)
    index = data.draw(st.integers(0, len(pairs) - 1))
    proof = RecordProof.from_bytes(lines.prove(index).to_bytes())
    proof.verify(lines.root, len(lines))
    for changed in (
        replace(proof, record=proof.record + " "),
        replace(proof, index=proof.index + 1),
        replace(proof, size=proof.size + 1),
        replace(proof, root="0x" + "00" * 32),
        replace(proof, siblings=(*proof.siblings, "0x" + "00" * 32)),
    ):
        with pytest.raises(ProofError):
            changed.verify(lines.root, len(lines))
    with pytest.raises(ProofError):
        proof.verify("0x" + "00" * 32, len(lines))


def test_no_record_beyond_the_end_is_proven() -> None:
    with pytest.raises(ProofError):
        RecordLines.of([Pair("a", 1)]).prove(1)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'{"name":"a","value":1}', "must end with a line feed"),
        (b'{"value":1,"name":"a"}\n', r"pairs\[0\] is not in canonical form"),
        (b'{"name":"a","value":1}\n\n', r"pairs\[1\] is not JSON"),
        (b'{"name":"a","value":"1"}\n', r"pairs\[0\].value must be of type int"),
        (b'{"name":"a"}\n', r"pairs\[0\] lacks the field"),
        (b"\xff\n", "is not JSON"),
    ],
)
def test_other_spellings_are_refused_by_line(data: bytes, reason: str) -> None:
    with pytest.raises(CanonicalFormatError, match=reason):
        RecordLines.read(Pair, data, "pairs")


def test_an_empty_file_has_the_empty_root() -> None:
    assert len(RecordLines.read(Pair, b"", "pairs")) == 0
