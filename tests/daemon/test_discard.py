"""Drafts at a node: rows that turn out wrong are dropped, unbilled, and leave no trace in a receipt."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from nexus_chain.commitments.tensor import RowTree, commit
from nexus_chain.market.documents import DISCARDS_PER_POSITION, Receipt
from node.daemon.errors import BusyError, PositionError, PredecessorError, RowsConflictError
from tests.support.workplace import PRICE, PROMPT, SESSION, Answer, LocalNode, whole_answer


def decode_with_drafts(
    answer: Answer, rounds: int, wrong: int, right: int = 0, *, between: Callable[[LocalNode], None] = lambda node: None
) -> None:
    """Feed the last token with ``right`` drafts that come true and ``wrong`` ones that do not, and drop those.

    ``between`` happens at a node after every call.
    """
    truth, discard = whole_answer(answer.prompt, 40), False
    for _ in range(rounds):
        start = len(answer.sequence()) - 1
        count = len(answer.tokens)
        draft = truth[count : count + right] + [(truth[count + right] + 1) % 600] * wrong
        rows = torch.tensor([answer.sequence()[-1], *draft], dtype=torch.int32)
        for node in answer.nodes:
            _, rows = node.core.serving.forward(answer.digest, start, rows, discard=discard)
            between(node)
        answer.tokens += rows.tolist()[: right + 1]
        discard = bool(wrong)


def test_wrong_drafts_change_neither_tokens_nor_roots_nor_the_bill(answer: Answer, nodes: list[LocalNode]) -> None:
    answer.begin()
    answer.pay(32)
    decode_with_drafts(answer, rounds=4, wrong=2, right=2)
    fed = len(answer.sequence()) - 1
    receipts = [Receipt.from_json(text) for text, _ in answer.close(fed)]
    assert answer.tokens == whole_answer(PROMPT, len(answer.tokens))
    assert receipts[0].in_root == commit(torch.tensor(answer.sequence()[:fed], dtype=torch.int32), answer.order.salt)
    assert receipts[1].out_root == commit(torch.tensor(answer.sequence(), dtype=torch.int32), answer.order.salt)
    assert receipts[0].out_root == receipts[1].in_root
    for node in nodes:
        assert node.core.ledger.state.session(SESSION).computed == fed * PRICE
        assert node.core.rows.length(answer.digest) == fed
    answer.decode(2)
    assert answer.tokens == whole_answer(PROMPT, len(answer.tokens))


def test_wrong_drafts_that_were_hashed_between_two_calls_leave_no_trace_in_a_root(answer: Answer) -> None:
    answer.begin()
    answer.pay(32)
    decode_with_drafts(
        answer, rounds=4, wrong=2, right=1, between=lambda node: node.core.serving.afterwards(answer.digest)
    )
    fed = len(answer.sequence()) - 1
    receipts = [Receipt.from_json(text) for text, _ in answer.close(fed)]
    assert answer.tokens == whole_answer(PROMPT, len(answer.tokens))
    assert receipts[0].in_root == commit(torch.tensor(answer.sequence()[:fed], dtype=torch.int32), answer.order.salt)
    assert receipts[1].out_root == commit(torch.tensor(answer.sequence(), dtype=torch.int32), answer.order.salt)
    inner = answer.nodes[1].core.rows.read(answer.digest, 0, fed)
    assert receipts[0].out_root == receipts[1].in_root == commit(inner, answer.order.salt)


def test_hashing_that_fails_between_two_calls_costs_a_rebuild_and_no_wrong_root(
    answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer.begin()
    answer.pay(32)
    decode_with_drafts(answer, rounds=2, wrong=0, right=1)

    def half_appended(tree: RowTree, rows: torch.Tensor) -> None:
        append(tree, rows[:1])
        raise MemoryError

    append = RowTree.append
    monkeypatch.setattr(RowTree, "append", half_appended)
    for node in answer.nodes:
        with pytest.raises(MemoryError):
            node.core.serving.afterwards(answer.digest)
    monkeypatch.undo()
    fed = len(answer.sequence()) - 1
    receipts = [Receipt.from_json(text) for text, _ in answer.close(fed)]
    assert receipts[0].in_root == commit(torch.tensor(answer.sequence()[:fed], dtype=torch.int32), answer.order.salt)
    assert receipts[1].out_root == commit(torch.tensor(answer.sequence(), dtype=torch.int32), answer.order.salt)


@pytest.mark.parametrize("fails_after", [0, 1])
def test_a_rewind_that_fails_in_the_middle_costs_a_rebuild_and_no_wrong_root(
    answer: Answer, monkeypatch: pytest.MonkeyPatch, fails_after: int
) -> None:
    """``fails_after``: trees that were cut before the one that could not be."""
    answer.begin()
    answer.pay(32)
    decode_with_drafts(answer, rounds=1, wrong=2, between=lambda node: node.core.serving.afterwards(answer.digest))
    serving, cuts, cut = answer.nodes[0].core.serving, [], RowTree.cut

    def failing(tree: RowTree, to: int) -> None:
        if len(cuts) == fails_after:
            raise MemoryError
        cuts.append(to)
        cut(tree, to)

    start = len(answer.sequence()) - 1
    row = torch.tensor([answer.sequence()[-1]], dtype=torch.int32)
    with monkeypatch.context() as patch:
        patch.setattr(RowTree, "cut", failing)
        with pytest.raises(MemoryError):
            serving.forward(answer.digest, start, row, discard=True)
    for node in answer.nodes:
        _, row = node.core.serving.forward(answer.digest, start, row, discard=True)
    answer.tokens += row.tolist()
    receipts = [Receipt.from_json(text) for text, _ in answer.close(start + 1)]
    inner = answer.nodes[1].core.rows.read(answer.digest, 0, start + 1)
    assert receipts[0].out_root == receipts[1].in_root == commit(inner, answer.order.salt)
    assert answer.tokens == whole_answer(PROMPT, len(answer.tokens))


def test_a_chunks_end_drops_what_was_fed_beyond_it(answer: Answer, nodes: list[LocalNode]) -> None:
    answer.begin()
    answer.pay(10)
    decode_with_drafts(answer, rounds=1, wrong=3)
    answer.close(len(PROMPT) + 1)
    for node in nodes:
        known = node.core.ledger.state.order(answer.digest)
        assert (known.length, known.closed, known.discarded) == (6, 6, 3)
        assert node.core.rows.length(answer.digest) == 6
    answer.decode(3)
    assert answer.tokens == whole_answer(PROMPT, len(answer.tokens))


def test_a_restart_between_a_draft_and_its_end_loses_nothing(answer: Answer, nodes: list[LocalNode]) -> None:
    answer.begin()
    answer.pay(20)
    decode_with_drafts(answer, rounds=2, wrong=2)
    for node in nodes:
        node.restart()
        assert node.core.ledger.state.order(answer.digest).length == len(PROMPT) + 4
    start = len(answer.sequence()) - 1
    rows = torch.tensor([answer.sequence()[-1]], dtype=torch.int32)
    for node in nodes:
        _, rows = node.core.serving.forward(answer.digest, start, rows, discard=True)
    answer.tokens += rows.tolist()
    answer.close(start + 1)
    assert answer.tokens == whole_answer(PROMPT, len(answer.tokens))


def test_other_rows_than_before_need_the_word(answer: Answer) -> None:
    answer.begin()
    answer.pay(10)
    decode_with_drafts(answer, rounds=1, wrong=1)
    with pytest.raises(RowsConflictError):
        answer.feed(len(PROMPT) + 1, [answer.tokens[-1]])


def test_the_prompt_and_what_is_receipted_stay(answer: Answer, nodes: list[LocalNode]) -> None:
    answer.begin()
    answer.pay(10)
    answer.decode(3)
    answer.close(len(PROMPT) + 2)
    before = nodes[0].core.ledger.state
    for start in (0, len(PROMPT) - 1, len(PROMPT), len(PROMPT) + 1):
        with pytest.raises(PositionError):
            nodes[0].core.serving.forward(answer.digest, start, torch.tensor([1], dtype=torch.int32), discard=True)
    assert nodes[0].core.ledger.state is before


def test_nobody_has_rows_computed_for_nothing_without_end(answer: Answer, nodes: list[LocalNode]) -> None:
    answer.begin()
    answer.pay(32)
    node, start = nodes[0], len(PROMPT)
    rows = torch.tensor([answer.tokens[-1], *[7] * 30], dtype=torch.int32)
    limit = node.core.ledger.state.order(answer.digest).limit
    for _ in range(DISCARDS_PER_POSITION * limit // 31 + 1):
        node.core.serving.forward(answer.digest, start, rows, discard=True)
    with pytest.raises(BusyError):
        node.core.serving.forward(answer.digest, start, rows, discard=True)
    known = node.core.ledger.state.order(answer.digest)
    assert DISCARDS_PER_POSITION * limit - 31 < known.discarded <= DISCARDS_PER_POSITION * limit
    assert known.length == start + 31


def test_rows_whose_root_was_asked_for_are_not_taken_back(answer: Answer, nodes: list[LocalNode]) -> None:
    answer.begin()
    answer.pay(10)
    answer.decode(2)
    with pytest.raises(PredecessorError):
        nodes[0].core.serving.close_chunk(answer.digest, len(PROMPT), len(PROMPT) + 2, ())
    with pytest.raises(PositionError):
        nodes[0].core.serving.forward(answer.digest, len(PROMPT), torch.tensor([1], dtype=torch.int32), discard=True)
    answer.close(len(PROMPT) + 2)
