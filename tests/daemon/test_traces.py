"""Traces of disputed receipts: run once, kept within a limit, and never wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from nexus_chain.disputes import defender
from nexus_chain.disputes.kept_trace import bytes_of, layer_ends, whole
from nexus_chain.disputes.trace import Trace, TracedSequence
from nexus_chain.program import PRESETS, Sampling, random_model
from node.daemon.upkeep.traces import TraceStore

MODEL = random_model(PRESETS["tiny"], seed=4)
LAYERS = MODEL.program.shape.layers
RECEIPTS = [bytes([number]) * 32 for number in range(1, 5)]
OPEN: set[bytes] = set()


class Counting(Trace):
    """Knows how often it was run from end to end, and which layers were run for one question."""

    def __init__(self, seed: int = 1) -> None:
        tokens = torch.randint(0, 640, (9,), generator=torch.Generator().manual_seed(seed), dtype=torch.int32)
        super().__init__(
            MODEL.program,
            MODEL.weights,
            (0, LAYERS),
            TracedSequence(tokens, tokens[:4], Sampling(), bytes([seed]) * 32),
        )
        self.runs, self.layers = 0, list[int]()

    def stream(self) -> Iterator[Tensor]:
        self.runs += 1
        return super().stream()

    def _run(self, layer: int, rows: Tensor) -> dict[str, Tensor]:
        self.layers.append(layer)
        return super()._run(layer, rows)


LAYOUT = Counting().layout
WHOLE = sum(bytes_of(LAYOUT.tensor(number)) for number in whole(LAYOUT))
ENDS = sum(bytes_of(LAYOUT.tensor(number)) for number in layer_ends(LAYOUT))


def questions(trace: Trace) -> list[object]:
    """One of each kind that a game asks, about tensors of every layer."""
    roots = trace.roots()
    asked: list[object] = [roots]
    for number in (*range(0, len(roots), 7), len(roots) - 1):
        asked += [defender.rows(trace, roots, number), defender.leaf(trace, number, 0)]
    return asked


@pytest.mark.parametrize("limit", [10 * WHOLE, ENDS, 0])
def test_a_kept_trace_answers_as_one_that_was_run_for_the_question(tmp_path: Path, limit: int) -> None:
    store = TraceStore(tmp_path, limit)
    expected = questions(Trace(MODEL.program, MODEL.weights, (0, LAYERS), Counting().sequence))
    assert questions(store.trace(RECEIPTS[0], Counting(), OPEN)) == expected
    again = Counting()
    assert questions(TraceStore(tmp_path, limit).trace(RECEIPTS[0], again, OPEN)) == expected
    assert again.runs == 0


def test_two_receipts_asked_in_turn_are_run_once_each(tmp_path: Path) -> None:
    """Regression: only the last trace was kept, so two games about two receipts cost a run for every question."""
    store, sources = TraceStore(tmp_path, 10 * WHOLE), {receipt: Counting(receipt[0]) for receipt in RECEIPTS[:2]}
    for number in range(5):
        for receipt, source in sources.items():
            defender.leaf(store.trace(receipt, source, OPEN), number, 0)
    assert [source.runs for source in sources.values()] == [1, 1]
    assert [source.layers for source in sources.values()] == [list(range(LAYERS))] * 2, "and no layer a second time"


def test_where_the_whole_does_not_fit_a_question_costs_one_layer(tmp_path: Path) -> None:
    TraceStore(tmp_path, ENDS).trace(RECEIPTS[0], Counting(), OPEN)
    again = Counting()
    last = len(LAYOUT.tensors) - 2
    defender.leaf(TraceStore(tmp_path, ENDS).trace(RECEIPTS[0], again, OPEN), last, 0)
    assert again.layers == [LAYERS - 1]


def test_the_oldest_whose_games_are_over_make_room(tmp_path: Path) -> None:
    store = TraceStore(tmp_path, 2 * WHOLE)
    for receipt in RECEIPTS[:2]:
        store.trace(receipt, Counting(receipt[0]), OPEN)
    store.trace(RECEIPTS[2], Counting(3), {RECEIPTS[0], RECEIPTS[2]})
    again = {receipt: Counting(receipt[0]) for receipt in RECEIPTS[:3]}
    assert sorted(folder.name for folder in tmp_path.iterdir()) == [RECEIPTS[0].hex(), RECEIPTS[2].hex()]
    for receipt in (RECEIPTS[0], RECEIPTS[2]):
        store.trace(receipt, again[receipt], OPEN)
        assert again[receipt].runs == 0


def test_traces_of_open_games_are_never_given_up_for_another(tmp_path: Path) -> None:
    """The newcomer is kept with less: its roots."""
    store = TraceStore(tmp_path, WHOLE)
    store.trace(RECEIPTS[0], Counting(1), {RECEIPTS[0]})
    store.trace(RECEIPTS[1], Counting(2), {RECEIPTS[0], RECEIPTS[1]})
    sizes = {folder.name: (folder / "tensors.bin").stat().st_size for folder in tmp_path.iterdir()}
    assert sizes == {RECEIPTS[0].hex(): WHOLE, RECEIPTS[1].hex(): 0}
    again = Counting(2)
    store.trace(RECEIPTS[1], again, OPEN).roots()
    assert again.runs == 0


@pytest.mark.parametrize("name", ["tensors.bin", "index.json"])
def test_what_the_disk_got_wrong_is_not_shown(tmp_path: Path, name: str) -> None:
    store = TraceStore(tmp_path, 10 * WHOLE)
    right = questions(store.trace(RECEIPTS[0], Counting(), OPEN))
    file = tmp_path / RECEIPTS[0].hex() / name
    data = bytearray(file.read_bytes())
    for place in range(100, len(data), 50):
        data[place] ^= 1
    file.write_bytes(data)
    assert questions(store.trace(RECEIPTS[0], Counting(), OPEN)) == right


def test_a_trace_that_a_crash_left_half_written_is_run_again(tmp_path: Path) -> None:
    store, source = TraceStore(tmp_path, 10 * WHOLE), Counting()
    store.trace(RECEIPTS[0], source, OPEN)
    (tmp_path / RECEIPTS[0].hex() / "index.json").unlink()
    store.trace(RECEIPTS[0], source, OPEN)
    assert source.runs == 2


def test_a_full_disk_costs_time_and_no_game(tmp_path: Path) -> None:
    store = TraceStore(tmp_path, 10 * WHOLE)
    (tmp_path / RECEIPTS[0].hex()).write_text("a file where the folder has to be")
    assert questions(store.trace(RECEIPTS[0], Counting(), OPEN)) == questions(Counting())


def test_traces_go_with_the_receipts(tmp_path: Path) -> None:
    store = TraceStore(tmp_path, 10 * WHOLE)
    for receipt in RECEIPTS[:2]:
        store.trace(receipt, Counting(receipt[0]), OPEN)
    store.forget_unless(lambda receipt: receipt == RECEIPTS[1])
    assert [folder.name for folder in tmp_path.iterdir()] == [RECEIPTS[1].hex()]


def test_folders_that_are_not_ours_are_left_alone(tmp_path: Path) -> None:
    """Regression: the lost+found of a disk of its own ended every look at the chain, and every answer with it."""
    strays = ["lost+found", "ab", "z" * 64]
    for name in strays:
        (tmp_path / name).mkdir()
    store = TraceStore(tmp_path, 10 * WHOLE)
    store.trace(RECEIPTS[0], Counting(), OPEN)
    store.forget_unless(lambda receipt: False)
    assert sorted(folder.name for folder in tmp_path.iterdir()) == sorted(strays)
