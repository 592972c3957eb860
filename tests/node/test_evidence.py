"""Whom an answer's file accuses: liars, and nobody for what the file leaves out."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "client"))

from engine_answers import NODE_KEYS, SESSION_KEY, answer_of, small_model, with_receipt

from nexus_chain.client.proof import InferenceProof
from nexus_chain.market.documents import address_of, sign
from nexus_chain.program import IntegerModel
from node.watch.cases import LINK, STEP
from node.watch.evidence import identity_of, judge, usable

PROMPT = [3, 1, 4, 1, 5]
NODES = [address_of(key) for key in NODE_KEYS]


@pytest.fixture(scope="module")
def model() -> IntegerModel:
    return small_model()


@pytest.fixture(scope="module")
def honest(model: IntegerModel) -> InferenceProof:
    return answer_of(model, PROMPT, 40)


def lying(model: IntegerModel, liar: int) -> InferenceProof:
    """Segment ``liar`` alters one element of the third position's row."""

    def meddle(segment: int, start: int, rows: Tensor) -> Tensor:
        if segment != liar or start > 2:
            return rows
        rows = rows.clone()
        rows[2 - start, 0] ^= 1
        return rows

    return answer_of(model, PROMPT, 40, meddle=meddle)


def accused(proof: InferenceProof, model: IntegerModel) -> list[tuple[str, str]]:
    return [(found.signed[0].node, found.kind) for found in judge(proof, model).accusations]


def test_an_honest_answer_accuses_nobody(honest: InferenceProof, model: IntegerModel) -> None:
    found = judge(honest, model)
    assert (found.word, found.accusations) == ("right", ())
    assert [right for _, right in found.verdicts] == [True] * len(honest.receipts)


@pytest.mark.parametrize("liar", [0, 1])
def test_a_liar_is_accused_and_those_behind_it_are_not(liar: int, model: IntegerModel) -> None:
    proof = lying(model, liar)
    assert accused(proof, model) == [(NODES[liar], STEP)]
    (accusation,) = judge(proof, model).accusations
    assert accusation.signed[0].to_position == len(PROMPT), "the earliest chunk has the smallest trace"
    assert {signed[0].node for signed, right in judge(proof, model).verdicts if not right} == {NODES[liar]}


def test_rows_that_the_predecessor_did_not_sign_are_a_link_game(honest: InferenceProof, model: IntegerModel) -> None:
    index = next(i for i, (receipt, _) in enumerate(honest.receipts) if receipt.segment == 1)
    assert accused(with_receipt(honest, index, resign=True, in_root=bytes(32)), model) == [(NODES[1], LINK)]


def test_a_prompt_that_the_order_does_not_name_is_a_link_game(honest: InferenceProof, model: IntegerModel) -> None:
    assert accused(with_receipt(honest, 0, resign=True, in_root=bytes(32)), model) == [(NODES[0], LINK)]


def test_a_file_without_the_liars_receipts_accuses_nobody_behind_it(model: IntegerModel) -> None:
    """Regression: the honest node next to the liar was accused, and would have won the watcher's bond."""
    proof = lying(model, 0)
    stripped = replace(proof, receipts=tuple(s for s in proof.receipts if s[0].segment > 0))
    found = judge(stripped, model)
    assert (found.word, found.accusations) == ("incomplete", ())


def test_a_file_with_other_tokens_and_no_feeds_accuses_nobody(honest: InferenceProof, model: IntegerModel) -> None:
    """Regression: tampering with the tokens and leaving out the session key's feeds made the first node look guilty."""
    tokens = [*honest.tokens]
    tokens[len(PROMPT)] ^= 1
    found = judge(replace(honest, tokens=tuple(tokens), feeds=()), model)
    assert NODES[0] not in [accusation.signed[0].node for accusation in found.accusations]
    assert LINK not in [accusation.kind for accusation in found.accusations]


def test_an_empty_file_is_not_a_right_answer(honest: InferenceProof, model: IntegerModel) -> None:
    assert judge(replace(honest, receipts=()), model).word == "incomplete"


@pytest.mark.parametrize("first", [False, True])
def test_of_two_receipts_for_one_place_the_wrong_one_is_accused(
    honest: InferenceProof, model: IntegerModel, first: bool
) -> None:
    """Regression: the first in the file was accused; a liar that put a right one there won the bond."""
    index = next(i for i, (receipt, _) in enumerate(honest.receipts) if receipt.segment == 1)
    wrong = with_receipt(honest, index, resign=True, out_root=bytes(32)).receipts[index]
    receipts = (wrong, *honest.receipts) if first else (*honest.receipts, wrong)
    (accusation,) = judge(replace(honest, receipts=receipts), model).accusations
    assert accusation.signed == wrong


def test_feeds_of_strangers_do_not_count(honest: InferenceProof) -> None:
    feed = replace(honest.feeds[0][0], root=bytes(32))
    forged = replace(honest, feeds=((feed, sign(feed, NODE_KEYS[0], honest.domain)), *honest.feeds))
    keys = {node: node for node in NODES}
    assert usable(forged, keys, address_of(SESSION_KEY)).feeds == honest.feeds


def test_a_file_that_leaves_something_out_is_another_answer(honest: InferenceProof) -> None:
    """Regression: a stripped file, judged first, kept the whole one of the same order from being looked at."""
    others = (
        replace(honest, receipts=honest.receipts[1:]),
        replace(honest, feeds=honest.feeds[1:]),
        replace(honest, tokens=honest.tokens[:-1]),
    )
    assert identity_of(honest) == identity_of(replace(honest, receipts=honest.receipts[::-1]))
    assert len({identity_of(proof) for proof in (honest, *others)}) == 4
