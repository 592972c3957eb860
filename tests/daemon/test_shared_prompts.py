"""Prompts that begin alike are computed once, and give the same bits, receipts and bills."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from nexus_chain.chain.wallet import Wallet
from nexus_chain.commitments.tensor import commit
from nexus_chain.market.documents import Receipt
from node.daemon.errors import PositionError
from node.daemon.serving.shared_prompts import LEAST_SHARED, NOTHING_SHARED, GivenPrompt, longest_beginning
from tests.support.workplace import PRICE, SESSION, Answer, LocalNode, make_order, whole_answer

FIRST = [(7 * number + 3) % 600 for number in range(24)]
"""A prompt."""


@pytest.fixture
def computed(nodes: list[LocalNode], monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Rows of every batch that any of the nodes computes."""
    found: list[int] = []
    for node in nodes:

        def forward(batch: Sequence[tuple[Any, Tensor]], honest: Any = node.engine.forward) -> list[Tensor]:
            found.append(sum(len(rows) for _, rows in batch))
            return honest(batch)

        monkeypatch.setattr(node.engine, "forward", forward)
    return found


def answer_to(
    nodes: list[LocalNode], user: Wallet, prompt: list[int], paid: int, salt: int, tokens: int = 20
) -> Answer:
    """An order whose prompt was answered; ``paid``: wei that each node was promised before."""
    answer = order_of(nodes, user, prompt, paid, salt, tokens)
    answer.begin()
    return answer


def order_of(nodes: list[LocalNode], user: Wallet, prompt: list[int], paid: int, salt: int, tokens: int = 20) -> Answer:
    """The same before anybody knows it."""
    order = make_order(user, prompt, max_tokens=tokens, salt=bytes([salt]) * 32)
    order = replace(order, prompt_root=commit(torch.tensor(prompt, dtype=torch.int32), order.salt))
    answer = Answer(nodes, user, order, prompt)
    answer.paid = paid + len(prompt) * PRICE
    return answer


@pytest.mark.parametrize(
    ("second", "shared"),
    [
        (FIRST, 23),  # the last row of a prompt is computed always: it is the one that gives a token
        ([*FIRST[:20], 599, 598, 597], 20),
        (FIRST[:18], 17),
        ([*FIRST[:LEAST_SHARED], 1, 2], LEAST_SHARED),
        ([*FIRST[: LEAST_SHARED - 1], 1, 2, 4], 0),
        ([*FIRST, 8, 9], 24),
    ],
)
def test_a_prompt_that_begins_as_another_is_computed_from_where_it_differs(
    nodes: list[LocalNode], user: Wallet, computed: list[int], second: list[int], shared: int
) -> None:
    first = answer_to(nodes, user, FIRST, 0, salt=1)
    first.pay(5)
    first.decode(5)
    computed.clear()
    later = answer_to(nodes, user, second, first.paid, salt=2)
    assert computed == [len(second) - shared] * 2
    later.pay(6)
    later.decode(6)
    later.close(len(second) + 6)
    assert later.tokens == whole_answer(second, 7)
    first.pay(6 + len(second) + 5)  # the first goes on, undisturbed
    first.decode(5)
    assert first.tokens == whole_answer(FIRST, 11)


def test_receipts_are_those_of_a_node_that_shares_nothing(nodes: list[LocalNode], user: Wallet) -> None:
    def receipts(answer: Answer) -> list[dict[str, Any]]:
        kept = [Receipt.from_json(node.core.serving.receipts(answer.digest)[0][0].json) for node in nodes]
        return [{"in": one.in_root, "out": one.out_root, "price": one.price} for one in kept]

    alone = answer_to(nodes, user, FIRST, 0, salt=5)
    for node in nodes:
        node.core.serving._sequences.forget(alone.digest)
    other = answer_to(nodes, user, FIRST, alone.paid, salt=6)
    same_salt = answer_to(nodes, user, FIRST, other.paid, salt=5, tokens=19)
    assert receipts(same_salt) == receipts(alone) != receipts(other)


def test_nobody_puts_other_rows_under_a_prompt_that_others_begin_with(nodes: list[LocalNode], user: Wallet) -> None:
    """A client who could would have an honest node sign what the next order's rows do not give."""
    first = order_of(nodes, user, FIRST, 0, salt=1)
    first.open()
    truth = whole_answer(FIRST, 7)
    first.pay(3)
    drafts = [truth[0], (truth[1] + 1) % 600, 5]
    first.feed(0, [*FIRST, *drafts])  # guesses come with the prompt, and all but one are wrong
    for node in nodes:
        rows = node.core.rows.read(first.digest, 0, len(FIRST))
        for start in (0, 5, len(FIRST) - 1):
            with pytest.raises(PositionError):
                node.core.serving.forward(first.digest, start, rows[start:] + 0, discard=True)
    inner = nodes[0].core.serving.forward(first.digest, len(FIRST) + 1, torch.tensor([truth[1]]).int(), discard=True)[1]
    nodes[1].core.serving.forward(first.digest, len(FIRST) + 1, inner, discard=True)
    later = answer_to(nodes, user, [*FIRST, *truth[:3]], first.paid, salt=2)
    assert later.tokens == truth[3:4]


def prompt_of(rows: Tensor, session: bytes = SESSION) -> GivenPrompt:
    return GivenPrompt(session, object(), rows, rows + 1)


def test_sessions_share_nothing_with_each_other() -> None:
    rows = torch.arange(40, dtype=torch.int32)
    assert longest_beginning(SESSION, rows, [prompt_of(rows, bytes(32)), None]) is NOTHING_SHARED
    assert longest_beginning(SESSION, rows, [prompt_of(rows)]).length == 40


@given(
    st.lists(st.integers(0, 1), min_size=1, max_size=40),
    st.lists(st.lists(st.integers(0, 1), min_size=1, max_size=40), max_size=4),
    st.booleans(),
)
def test_the_longest_beginning_is_found(rows: list[int], others: list[list[int]], wide: bool) -> None:
    def tensor(values: list[int]) -> Tensor:
        found = torch.tensor([0] * 12 + values, dtype=torch.int32)
        return torch.stack([found, found * 0], dim=1) if wide else found

    wanted, prompts = tensor(rows), [prompt_of(tensor(other)) for other in others]
    lengths = [0]
    for prompt in prompts:
        both = zip(wanted.tolist(), prompt.rows.tolist(), strict=False)
        length = next((at for at, (one, other) in enumerate(both) if one != other), min(len(wanted), len(prompt.rows)))
        lengths.append(length if length >= LEAST_SHARED else 0)
    found = longest_beginning(SESSION, wanted, prompts)
    assert found.length == max(lengths)
    assert torch.equal(found.outputs.reshape(-1), (wanted[: found.length] + 1).reshape(-1))
