"""The structs of ``IStepVerifier.sol`` and their ABI encoding."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from eth_abi.abi import encode
from eth_utils.abi import function_signature_to_4byte_selector

DESCRIPTORS = "(uint32,uint32,bytes[],bytes32[])"
OPENING = "(uint32,bytes,bytes32[],bytes32[],bytes,uint32)"
WITNESS = f"(bytes,uint32,{DESCRIPTORS},{OPENING}[])"
SUBJECT = f"({','.join(['bytes32'] * 6 + ['uint32'] * 5 + ['uint16'] * 3)})"
CLAIM = "(uint32,uint32,bytes32,bytes32)"
SCORE_WITNESS = f"(uint8,uint32,bytes,bytes,bytes32[],bytes,bytes32[],{DESCRIPTORS},{OPENING}[])"


@dataclass(frozen=True)
class Subject:
    """What a receipt, its order and its posted trace fix about a segment."""

    program_root: bytes
    weights_root: bytes
    salt: bytes
    trace_root: bytes
    prompt_root: bytes
    sampling_seed: bytes
    sampling: int
    tensor_count: int
    first_number: int
    positions: int
    prompt_length: int
    layer_start: int
    layer_end: int
    layers: int

    def values(self) -> tuple[Any, ...]:
        """Members in Solidity's order."""
        return tuple(getattr(self, name) for name in self.__dataclass_fields__)


@dataclass(frozen=True)
class Claim:
    """A published leaf of one tensor of the trace."""

    tensor_index: int
    leaf_index: int
    tensor_root: bytes
    leaf_hash: bytes

    def values(self) -> tuple[Any, ...]:
        """Members in Solidity's order."""
        return self.tensor_index, self.leaf_index, self.tensor_root, self.leaf_hash


@dataclass(frozen=True)
class Descriptors:
    """Consecutive op descriptors with their range proof; empty by default."""

    first: int = 0
    size: int = 0
    data: tuple[bytes, ...] = ()
    siblings: tuple[bytes, ...] = ()

    def values(self) -> tuple[Any, ...]:
        """Members in Solidity's order."""
        return self.first, self.size, self.data, self.siblings


@dataclass(frozen=True)
class Opening:
    """Consecutive leaves of one committed tensor; empty by default."""

    first_leaf: int = 0
    data: bytes = b""
    siblings: tuple[bytes, ...] = ()
    membership: tuple[bytes, ...] = ()
    name: bytes = b""
    weights: int = 0

    def values(self) -> tuple[Any, ...]:
        """Members in Solidity's order."""
        return self.first_leaf, self.data, self.siblings, self.membership, self.name, self.weights


@dataclass(frozen=True)
class Witness:
    """All that re-checks one element; ``element`` counts within the leaf."""

    leaf: bytes
    element: int
    descriptor: Descriptors = field(default_factory=Descriptors)
    openings: tuple[Opening, ...] = ()

    def encoded(self) -> bytes:
        """``abi.encode(Witness)``."""
        openings = [opening.values() for opening in self.openings]
        return encode([WITNESS], [(self.leaf, self.element, self.descriptor.values(), openings)])


class ScorePart(IntEnum):
    """Which statement of a posted score row is wrong."""

    SCORE = 0
    BLOCK = 1
    SUM = 2


@dataclass(frozen=True)
class ScoreWitness:
    """All that re-checks one statement of a posted score row."""

    part: ScorePart
    at: int
    leaf: bytes
    records: bytes
    records_proof: tuple[bytes, ...]
    scores: bytes
    scores_proof: tuple[bytes, ...]
    descriptor: Descriptors
    openings: tuple[Opening, ...]

    def encoded(self) -> bytes:
        """``abi.encode(ScoreWitness)``."""
        openings = [opening.values() for opening in self.openings]
        posted = (self.records, self.records_proof, self.scores, self.scores_proof)
        head = (int(self.part), self.at, self.leaf)
        return encode([SCORE_WITNESS], [(*head, *posted, self.descriptor.values(), openings)])


def convicts_call(subject: Subject, claim: Claim, witness: Witness) -> bytes:
    """Calldata of ``IStepVerifier.convicts``: what a challenger asks before it pays for a move."""
    return _call("convicts", [SUBJECT, CLAIM, "bytes"], subject.values(), claim.values(), witness.encoded())


def convicts_scores_call(subject: Subject, claim: Claim, element: int, root: bytes, witness: ScoreWitness) -> bytes:
    """Calldata of ``IStepVerifier.convictsScores``."""
    types = [SUBJECT, CLAIM, "uint32", "bytes32", "bytes"]
    return _call("convictsScores", types, subject.values(), claim.values(), element, root, witness.encoded())


def _call(function: str, types: list[str], *values: Any) -> bytes:
    return bytes(function_signature_to_4byte_selector(f"{function}({','.join(types)})")) + encode(types, values)
