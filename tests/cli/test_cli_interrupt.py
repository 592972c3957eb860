"""Ctrl-C during an answer: the first ends it between two tokens, the second at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from node.cli.ask import _show, first_interrupt_noted


def press() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_the_first_press_is_noted_and_the_second_interrupts() -> None:
    before = signal.getsignal(signal.SIGINT)
    with first_interrupt_noted() as enough:
        press()
        assert enough.is_set()
        with pytest.raises(KeyboardInterrupt):
            press()
    assert signal.getsignal(signal.SIGINT) == before


def test_a_pressed_answer_ends_after_its_piece_and_is_closed(capsys: pytest.CaptureFixture[str]) -> None:
    closed = []

    def answer() -> Iterator[str]:
        try:
            yield "one "
            press()
            yield "two "  # what was under way is shown
            yield "three"
        finally:
            closed.append(True)

    with pytest.raises(KeyboardInterrupt):
        _show(answer(), quiet=False)
    assert capsys.readouterr().out == "one two "
    assert closed == [True]
