"""Ctrl-C at any line of the client's own code: the books are right, nobody is blamed, the session goes on."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from tests.client.test_pipeline import SESSION, Network, expected_tokens

WATCHED = (
    "client/pipeline.py",
    "client/answer_state.py",
    "client/rounds.py",
    "client/prepayment.py",
    "client/node_connections.py",
    "client/chunk_end.py",
    "client/replacement.py",
    "client/boundary_rows.py",
    "client/purse.py",
    "client/store.py",
    "commitments/tensor.py",
)
PROMPT, TOKENS = [5, 6, 7, 8], 40
APART = 149  # lines between two interrupts, prime: chunks and rounds are met at different places


def interrupted(work: Callable[[], object], line: int) -> bool:
    """Do ``work`` with a KeyboardInterrupt at the ``line``-th line of the watched files; whether it came that far."""
    count = 0

    def at_line(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        if count == line:
            sys.settrace(None)
            raise KeyboardInterrupt
        return at_line

    def at_call(frame: FrameType, event: str, argument: Any) -> Any:
        return at_line if frame.f_code.co_filename.endswith(WATCHED) else None

    before = sys.gettrace()
    sys.settrace(at_call)
    try:
        work()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


@pytest.mark.parametrize("first", [1, 50, 100])
def test_an_interrupt_anywhere_leaves_the_books_right(tmp_path: Path, first: int) -> None:
    for number in range(1000):
        network = Network(tmp_path / str(number))
        run = network.pipeline(PROMPT, TOKENS)
        told: list[int] = []
        if not interrupted(lambda: told.extend(run.run()), first + number * APART):  # noqa: B023 (called at once)
            break
        assert run.failovers == []
        kept = network.store.order(run.digest)
        signed = [sum(len(order.receipts) for order in node.orders.values()) for node in network.nodes]
        assert sum(signed) == len(kept.receipts)
        if kept.receipts:
            # The last segment's receipt covers the token that its last position gave as well.
            assert len(kept.tokens) > max(receipt.to_position for receipt, _ in kept.receipts)
        assert list(kept.tokens[len(PROMPT) :]) == expected_tokens(PROMPT, TOKENS, 2)[: len(kept.tokens) - len(PROMPT)]
        for node in network.nodes:
            line = network.store.lines(SESSION)[node.address]
            assert node.computed <= line.used <= line.promised
            assert node.paid <= line.promised
        after = network.pipeline([1, 2], 3, bytes([9]) * 32)
        assert list(after.run()) == expected_tokens([1, 2], 3, 2)
        assert after.failovers == []
        network.store.close()
    assert number > 20
