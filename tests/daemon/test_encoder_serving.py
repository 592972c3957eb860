"""Nodes that serve an encoder: a prompt enters whole, and its order is for one token."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nexus_chain.chain.wallet import Wallet
from nexus_chain.engine.reference import ReferenceExecutor
from nexus_chain.market.documents import Ask
from nexus_chain.market.errors import OrderOverLimitError
from nexus_chain.program import PRESETS, random_model
from nexus_chain.program.sampling import Sampling
from node.daemon.errors import PromptError
from tests.support.workplace import PRICE, Answer, LocalNode, linked_nodes, make_order

ENCODER = random_model(PRESETS["tiny-encoder"], seed=4)
SPLIT = ((0, 2), (2, 3))
PROMPT = [3, 141, 59, 26, 135]
ASKS = tuple(Ask(start, end, PRICE) for start, end in SPLIT)


@pytest.fixture
def nodes(tmp_path: Path, user: Wallet) -> Iterator[list[LocalNode]]:
    with linked_nodes(tmp_path, user, SPLIT, ENCODER) as made:
        yield made


@pytest.fixture
def answer(nodes: list[LocalNode], user: Wallet) -> Answer:
    return Answer(nodes, user, make_order(user, PROMPT, max_tokens=1, asks=ASKS), PROMPT)


def test_the_answer_is_the_programs_and_receipted(answer: Answer) -> None:
    answer.open()
    token = answer.feed(0, PROMPT)
    executor = ReferenceExecutor(ENCODER.program, ENCODER.weights)
    expected = executor.run(torch.tensor(PROMPT, dtype=torch.int32), len(PROMPT), Sampling())
    assert torch.equal(token, expected["sample.token"])
    assert len(answer.close(len(PROMPT))) == len(SPLIT)


def test_a_part_of_a_prompt_is_refused_and_neither_kept_nor_billed(answer: Answer, nodes: list[LocalNode]) -> None:
    answer.open()
    rows = torch.tensor(PROMPT, dtype=torch.int32)
    with pytest.raises(PromptError, match="at once"):
        nodes[0].core.serving.forward(answer.digest, 0, rows[:3])
    assert nodes[0].core.ledger.state.order(answer.digest).length == 0
    assert len(answer.feed(0, PROMPT)) == 1
    with pytest.raises(PromptError, match="at once"):
        nodes[0].core.serving.forward(answer.digest, len(PROMPT), rows[:1])


def test_a_restarted_node_gives_the_rows_again(answer: Answer, nodes: list[LocalNode]) -> None:
    answer.open()
    first = answer.feed(0, PROMPT)
    for node in nodes:
        node.restart()
    assert torch.equal(answer.feed(0, PROMPT), first)


def test_an_order_for_more_tokens_is_refused(answer: Answer, nodes: list[LocalNode]) -> None:
    answer.order = replace(answer.order, max_tokens=2)
    with pytest.raises(OrderOverLimitError, match="one token"):
        nodes[0].core.serving.open_order(answer.application(0), *answer.voucher(1000))
