"""Answers of a small model in which one thing is a lie: what a lying node signs, or what a lying gateway alters."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from torch import Tensor

from nexus_chain.evidence.proof import InferenceProof
from nexus_chain.market.documents import sign
from nexus_chain.program import IntegerModel
from nexus_chain.program.sampling import Sampling
from tests.support.engine_answers import DOMAIN, NODE_KEYS, SESSION_KEY, Meddle, answer_of, unchanged, with_receipt

PROMPT = (3, 1, 4, 1, 5)
SPLITS = (((0, 1), (1, 2), (2, 3)), ((0, 2), (2, 3)), ((0, 1), (1, 3)), ((0, 3),))
SAMPLINGS = (Sampling(), Sampling.at_temperature(0.8, bytes([7]) * 32))
#: A model's state is full of rows from the prompt on, and the second chunk ends after 32 positions more.
COUNTS = (7, 12, 36)


@dataclass(frozen=True)
class Place:
    """Where a lie begins: the segment whose node tells it, and the first wrong position."""

    segment: int
    position: int


@dataclass(frozen=True)
class Lie:
    """``meddle`` alters rows before they are signed; ``alter`` the finished answer. Each draws its place."""

    name: str
    meddle: Callable[[random.Random, int, int, IntegerModel], tuple[Meddle, Place]] | None = None
    alter: Callable[[random.Random, InferenceProof], InferenceProof] | None = None


def honest_answers(model: IntegerModel) -> Iterator[InferenceProof]:
    """One of every split and way of sampling; one of a single token."""
    for split in SPLITS:
        for sampling in SAMPLINGS:
            yield answer_of(model, PROMPT, 36, split=split, sampling=sampling)
    yield answer_of(model, PROMPT, 1)


def lying_answer(model: IntegerModel, lie: Lie, source: random.Random) -> tuple[InferenceProof, Place | None]:
    """An answer with one lie at a place that ``source`` draws, and that place where it is in a row or token."""
    count, sampling = source.choice(COUNTS), source.choice(SAMPLINGS)
    split = source.choice(SPLITS[:-1] if lie.meddle is _wrong_element else SPLITS)
    drawn = lie.meddle(source, len(split), len(PROMPT) + count - 1, model) if lie.meddle else (unchanged, None)
    proof = answer_of(model, PROMPT, count, split=split, sampling=sampling, meddle=drawn[0])
    return (lie.alter(source, proof) if lie.alter else proof), drawn[1]


def _wrong_element(source: random.Random, segments: int, positions: int, model: IntegerModel) -> tuple[Meddle, Place]:
    """One bit of one element of a row that a segment hands on."""
    liar, position = source.randrange(segments - 1), source.randrange(positions)
    column, bit = source.randrange(model.program.shape.width), 1 << source.randrange(20)

    def meddle(segment: int, start: int, rows: Tensor) -> Tensor:
        if segment == liar and start <= position < start + len(rows):
            rows = rows.clone()
            rows[position - start, column] ^= bit
        return rows

    return meddle, Place(liar, position)


def _wrong_token(source: random.Random, segments: int, positions: int, model: IntegerModel) -> tuple[Meddle, Place]:
    """Another token than the one that the last segment's logits give."""
    position, vocab = source.randrange(len(PROMPT) - 1, positions), model.program.shape.vocab

    def meddle(segment: int, start: int, rows: Tensor) -> Tensor:
        ends_here = start <= position < start + (len(PROMPT) if start == 0 else 1)
        return (rows + 1) % vocab if segment == segments - 1 and ends_here else rows

    return meddle, Place(segments - 1, position)


def _wrong_root(source: random.Random, proof: InferenceProof) -> InferenceProof:
    index = source.randrange(len(proof.receipts))
    root = proof.receipts[index][0].out_root
    return with_receipt(proof, index, resign=True, out_root=bytes([root[0] ^ 1]) + root[1:])


def _wrong_input(source: random.Random, proof: InferenceProof) -> InferenceProof:
    index = source.randrange(len(proof.receipts))
    return with_receipt(proof, index, resign=True, in_root=source.randbytes(32))


def _too_dear(source: random.Random, proof: InferenceProof) -> InferenceProof:
    index = source.randrange(len(proof.receipts))
    return with_receipt(proof, index, resign=True, price=proof.receipts[index][0].price + 1)


def _unsigned(source: random.Random, proof: InferenceProof) -> InferenceProof:
    index = source.randrange(len(proof.receipts))
    return with_receipt(proof, index, resign=False, out_root=source.randbytes(32))


def _altered_token(source: random.Random, proof: InferenceProof) -> InferenceProof:
    """Whoever hands on the file alters it."""
    tokens, at = list(proof.tokens), source.randrange(len(proof.tokens))
    tokens[at] = (tokens[at] + 1) % 70
    return replace(proof, tokens=tuple(tokens))


def _left_out(source: random.Random, proof: InferenceProof) -> InferenceProof:
    index = source.randrange(len(proof.receipts))
    return replace(proof, receipts=proof.receipts[:index] + proof.receipts[index + 1 :])


def _another_order(source: random.Random, proof: InferenceProof) -> InferenceProof:
    """The session key signed another order than the one that nodes worked on."""
    order = replace(proof.order, sampling_seed=source.randbytes(32))
    return replace(proof, order=order, order_signature=sign(order, SESSION_KEY, DOMAIN))


def _anothers_feed(source: random.Random, proof: InferenceProof) -> InferenceProof:
    feeds = tuple((feed, sign(feed, NODE_KEYS[0], DOMAIN)) for feed, _ in proof.feeds)
    return replace(proof, feeds=feeds)


def _foreign_leaves(source: random.Random, proof: InferenceProof) -> InferenceProof:
    """A wrong root, with leaves that are not those behind it."""
    return replace(_wrong_root(source, proof), leaves=tuple(tuple(reversed(leaves)) for leaves in proof.leaves))


#: Each convicts the node that tells it.
NODE_LIES = (
    Lie("a node alters an element", meddle=_wrong_element),
    Lie("the last node hands out another token", meddle=_wrong_token),
    Lie("a node alters an element", meddle=_wrong_element),
    Lie("a node signs another root", alter=_wrong_root),
    Lie("a node alters an element", meddle=_wrong_element),
    Lie("the last node hands out another token", meddle=_wrong_token),
    Lie("a node signs another root, leaves are foreign", alter=_foreign_leaves),
)
#: Each is found out, and convicts nobody.
PAPER_LIES = (
    Lie("a token is altered", alter=_altered_token),
    Lie("a receipt is left out", alter=_left_out),
    Lie("a receipt is not signed", alter=_unsigned),
    Lie("a node bills too much", alter=_too_dear),
    Lie("a node signs another input", alter=_wrong_input),
    Lie("the order is another", alter=_another_order),
    Lie("somebody else signed the feeds", alter=_anothers_feed),
)
