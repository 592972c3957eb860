"""Whom an answer's file accuses: liars, and nobody for what the file leaves out."""

from __future__ import annotations

from dataclasses import replace

import pytest
from torch import Tensor

from nexus_chain.evidence.judgement import identity_of, judge, keep_signed, keep_usable
from nexus_chain.evidence.proof import InferenceProof
from nexus_chain.market.documents import AuditOrder, address_of, sign
from nexus_chain.program import IntegerModel
from tests.support.engine_answers import NODE_KEYS, SESSION_KEY, answer_of, small_model, with_receipt

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


def accused(proof: InferenceProof, model: IntegerModel) -> list[str]:
    return [receipt.node for receipt, _ in judge(proof, model).accusations]


def test_an_honest_answer_accuses_nobody(honest: InferenceProof, model: IntegerModel) -> None:
    found = judge(honest, model)
    assert (found.word, found.accusations) == ("right", ())
    assert [right for _, right in found.verdicts] == [True] * len(honest.receipts)


@pytest.mark.parametrize("liar", [0, 1])
def test_a_liar_is_accused_and_those_behind_it_are_not(liar: int, model: IntegerModel) -> None:
    proof = lying(model, liar)
    assert accused(proof, model) == [NODES[liar]]
    (accusation,) = judge(proof, model).accusations
    assert accusation[0].to_position == len(PROMPT), "the earliest chunk has the smallest trace"
    assert {signed[0].node for signed, right in judge(proof, model).verdicts if not right} == {NODES[liar]}


@pytest.mark.parametrize("index", [0, 1, 3, 4])
def test_a_receipt_over_an_input_that_the_file_does_not_explain_says_nothing(
    honest: InferenceProof, model: IntegerModel, index: int
) -> None:
    """Neither a game nor a mark in the node's record: whoever made the file chose what it explains."""
    other = with_receipt(honest, index, resign=True, in_root=bytes(32))
    found = judge(other, model)
    assert (found.word, found.accusations) == ("incomplete", ())
    assert other.receipts[index] not in [signed for signed, _ in found.verdicts]
    assert all(right for _, right in found.verdicts)


def test_a_file_without_the_liars_receipts_accuses_nobody_behind_it(model: IntegerModel) -> None:
    """Regression: the honest node next to the liar was accused, and would have won the watcher's bond."""
    proof = lying(model, 0)
    stripped = replace(proof, receipts=tuple(s for s in proof.receipts if s[0].segment > 0))
    found = judge(stripped, model)
    assert (found.word, found.accusations) == ("incomplete", ())


@pytest.mark.parametrize("place", [len(PROMPT), -2, -1])
@pytest.mark.parametrize("feeds", [True, False])
def test_a_file_with_other_tokens_accuses_nobody(
    honest: InferenceProof, model: IntegerModel, place: int, feeds: bool
) -> None:
    """Regression: tokens are the file's maker's; altering the last one made the last node look guilty."""
    tokens = [*honest.tokens]
    tokens[place] ^= 1
    found = judge(replace(honest, tokens=tuple(tokens), feeds=honest.feeds if feeds else ()), model)
    assert (found.word, found.accusations) == ("incomplete", ())
    assert all(right for _, right in found.verdicts)


def test_a_file_with_another_prompt_length_accuses_nobody(honest: InferenceProof, model: IntegerModel) -> None:
    """Regression: sampling from the middle of the prompt, the program gives other tokens than the node handed out."""
    for length in (1, len(PROMPT) - 1, len(PROMPT) + 1):
        found = judge(replace(honest, prompt_length=length), model)
        assert (found.word, found.accusations, found.verdicts) == ("incomplete", (), ())


def test_a_feed_over_other_tokens_makes_the_file_incomplete(honest: InferenceProof, model: IntegerModel) -> None:
    """The session key can sign two feeds for one place: the file shows that it did, and of nodes nothing."""
    feed = replace(honest.feeds[0][0], root=bytes(32))
    both = replace(honest, feeds=(*honest.feeds, (feed, sign(feed, SESSION_KEY, honest.domain))))
    found = judge(both, model)
    assert (found.word, found.accusations) == ("incomplete", ())
    assert [right for _, right in found.verdicts] == [True] * len(honest.receipts)


def test_a_lie_is_proven_whatever_else_the_file_contradicts(model: IntegerModel) -> None:
    proof = lying(model, 1)
    feed = replace(proof.feeds[0][0], root=bytes(32))
    both = replace(proof, feeds=(*proof.feeds, (feed, sign(feed, SESSION_KEY, proof.domain))))
    assert accused(both, model) == [NODES[1]]


def test_the_last_node_is_accused_of_a_token_that_its_input_does_not_give(
    honest: InferenceProof, model: IntegerModel
) -> None:
    index = next(i for i, (receipt, _) in enumerate(honest.receipts) if receipt.segment == 2)
    assert accused(with_receipt(honest, index, resign=True, out_root=bytes(32)), model) == [NODES[2]]


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
    assert judge(replace(honest, receipts=receipts), model).accusations == (wrong,)


def test_feeds_of_strangers_do_not_count(honest: InferenceProof) -> None:
    feed = replace(honest.feeds[0][0], root=bytes(32))
    forged = replace(honest, feeds=((feed, sign(feed, NODE_KEYS[0], honest.domain)), *honest.feeds))
    keys = {node: node for node in NODES}
    assert keep_usable(keep_signed(forged, keys), address_of(SESSION_KEY)).feeds == honest.feeds


def test_a_file_that_leaves_something_out_is_another_answer(honest: InferenceProof) -> None:
    """Regression: a stripped file, judged first, kept the whole one of the same order from being looked at."""
    others = (
        replace(honest, receipts=honest.receipts[1:]),
        replace(honest, feeds=honest.feeds[1:]),
        replace(honest, tokens=honest.tokens[:-1]),
    )
    assert identity_of(honest) == identity_of(replace(honest, receipts=honest.receipts[::-1]))
    assert len({identity_of(proof) for proof in (honest, *others)}) == 4


def test_a_file_with_a_broken_signature_is_another_answer(honest: InferenceProof) -> None:
    """Regression: a copy in which nothing was signed any more, judged first, shielded the genuine file."""
    (receipt, signature), (feed, fed) = honest.receipts[0], honest.feeds[0]
    audit = AuditOrder(honest.order_digest, NODES[0], 0, 5, bytes(32), 1)
    signed = audit, sign(audit, SESSION_KEY, honest.domain)
    whole = replace(honest, audits=(signed,), disputed=(honest.receipts[1],))
    others = (
        replace(whole, receipts=((receipt, flipped(signature)), *whole.receipts[1:])),
        replace(whole, feeds=((feed, flipped(fed)), *whole.feeds[1:])),
        replace(whole, audits=((audit, flipped(signed[1])),)),
        replace(whole, audits=()),
        replace(whole, disputed=((honest.receipts[1][0], flipped(honest.receipts[1][1])),)),
        replace(whole, disputed=()),
        replace(whole, order_signature=flipped(whole.order_signature)),
    )
    assert len({identity_of(proof) for proof in (whole, *others)}) == 8
    assert len({identity_of(proof.with_disputed) for proof in (whole, *others)}) == 8
    assert identity_of(whole) == identity_of(InferenceProof.from_dict(whole.to_dict()))


def flipped(signature: bytes) -> bytes:
    return bytes([signature[0] ^ 1]) + signature[1:]


def test_receipts_of_strangers_do_not_count(honest: InferenceProof) -> None:
    forged = with_receipt(honest, 0, resign=False, out_root=bytes(32))
    assert keep_signed(forged, {node: node for node in NODES}).receipts == honest.receipts[1:]
