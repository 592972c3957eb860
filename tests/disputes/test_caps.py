"""Programs about which no game could be played to its end are refused before anybody pays for them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from nexus_chain.disputes import defender
from nexus_chain.disputes.caps import MOST_CALLDATA, MOST_GAS, MOST_LEAF, check_caps
from nexus_chain.disputes.errors import ProgramTooLargeError
from nexus_chain.disputes.move_sizes import ENVELOPE, largest_moves
from nexus_chain.disputes.stored_trace import StoredTrace
from nexus_chain.disputes.trace import Trace, TracedSequence
from nexus_chain.disputes.trace_layout import TraceLayout
from nexus_chain.disputes.witnesses import PublishedModel, WitnessBuilder
from nexus_chain.program import PRESETS, ModelShape, Program, Sampling, blocks, decoder_program, random_model
from nexus_chain.program.descriptors import LONGEST_CONTEXT
from tests.support.game_stage import Stage
from tests.support.lies import lie

TINY = PRESETS["tiny"]


def program(shape: ModelShape = TINY, **changes: int) -> Program:
    return decoder_program("capped", replace(shape, **changes))


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_our_own_shapes_are_within_the_caps(preset: str) -> None:
    check_caps(decoder_program("own", PRESETS[preset]))


def test_logits_of_an_odd_vocabulary_in_long_rows_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: its rows cannot be halved, the contract refuses such a leaf, and a wrong logit was beyond dispute.

    Our builders make such rows a little longer, see ``tests/program/test_padded_vocabulary.py``.
    """
    check_caps(program(vocab=50_257))
    monkeypatch.setattr(blocks, "LOGITS_PIECE", 1 << 20)
    check_caps(program(vocab=MOST_LEAF // 4 - 1))
    check_caps(program(vocab=50_304))
    with pytest.raises(ProgramTooLargeError, match=r"head\.logits.*201028 bytes"):
        check_caps(program(vocab=50_257))


def test_a_context_beyond_what_games_are_about_is_refused() -> None:
    check_caps(program(context=LONGEST_CONTEXT))
    with pytest.raises(ProgramTooLargeError, match="16385 positions"):
        check_caps(program(context=LONGEST_CONTEXT + 1))


def test_a_segment_of_too_many_tensors_is_refused_to_its_node_only() -> None:
    deep = program(layers=60)
    check_caps(deep)
    check_caps(deep, 0, 30)
    with pytest.raises(ProgramTooLargeError, match="layers 0-60"):
        check_caps(deep, 0, 60)


def one_product(columns: int) -> ModelShape:
    """Rows of that many columns in one piece (with ``blocks.DOWN_CHUNK`` as large), all else small."""
    return ModelShape(layers=1, width=8, heads=1, kv_heads=1, head_dim=8, ffn=columns, vocab=16, context=8)


def test_a_row_whose_witness_no_transaction_carries_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: a row maximum that is too high is shown with the whole row, however long the row is."""
    monkeypatch.setattr(blocks, "DOWN_CHUNK", 131_071)
    fits, over = 31_600, 31_616  # multiples of 16 fall into leaves of at most 8 KiB
    check_caps(program(one_product(fits)))
    with pytest.raises(ProgramTooLargeError, match=r"down\.0\.max can take 131104 bytes"):
        check_caps(program(one_product(over)))
    for columns in (40_000, 120_000):
        with pytest.raises(ProgramTooLargeError, match="a transaction carries 131072 bytes and 16777216 gas"):
            check_caps(program(one_product(columns)))


def test_the_longest_row_within_the_caps_is_disputed_in_one_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "DOWN_CHUNK", 131_071)
    model = random_model(one_product(31_600), seed=1)
    tokens = torch.tensor([1, 2], dtype=torch.int32)
    sequence = TracedSequence(tokens, tokens, Sampling(), bytes(32))
    right = StoredTrace.of(Trace(model.program, model.weights, (0, 1), sequence))
    number = right.layout.numbers["layers.0.mlp.down.0.max"]
    posted = lie(right, model.weights, (number, 0), int(right.tensor(number)[0]) + 1000, consistent=False)
    published = PublishedModel(model.program, model.weights)
    stage, builder = Stage(published), WitnessBuilder(published, posted, posted.roots())
    data = defender.leaf(posted, number, 0).data
    witness = builder.witness(number, 0, data, 0).encoded()
    claim = builder.claim(number, 0, data).values()
    assert stage.verifier.call("convicts", builder.subject().values(), claim, witness)
    bound = next(
        m for m in largest_moves(right.layout) if (m.name, m.tensor) == ("its step", "layers.0.mlp.down.0.max")
    )
    assert bound.calldata - ENVELOPE - 2048 < len(witness) <= bound.calldata - ENVELOPE < MOST_CALLDATA
    assert stage.verifier.gas_used <= bound.gas <= MOST_GAS


@pytest.mark.parametrize("preset", ["tiny", "tiny-encoder", "tiny-experts", "tiny-head-norm"])
def test_no_witness_is_larger_than_its_bound(preset: str) -> None:
    """Of every tensor of a segment, the last element's witness; the longest sequence has the longest ones."""
    model = random_model(PRESETS[preset], seed=2)
    context, last = model.program.shape.context, model.program.shape.layers
    tokens = torch.arange(context, dtype=torch.int32)
    for start, end in ((0, 1), (last - 1, last)):
        rows = tokens if not start else torch.ones(context, model.program.shape.width, dtype=torch.int32)
        sequence = TracedSequence(rows, tokens[:1], Sampling(), bytes(32))
        trace = StoredTrace.of(Trace(model.program, model.weights, (start, end), sequence))
        builder = WitnessBuilder(PublishedModel(model.program, model.weights), trace, trace.roots())
        bounds = {move.tensor: move.calldata for move in largest_moves(trace.layout) if move.name == "its step"}
        for spec in trace.layout.tensors:
            if spec.name in bounds:
                leaf = len(trace.tree(spec.number)) - 1
                data = defender.leaf(trace, spec.number, leaf).data
                witness = builder.witness(spec.number, leaf, data, 0).encoded()
                assert len(witness) <= bounds[spec.name] - ENVELOPE, spec.name


def test_more_leaf_hashes_than_an_answer_holds_are_refused() -> None:
    """A tensor is answered by the roots of its subtrees; of too large a tensor even those are too many."""
    layout = TraceLayout(program(vocab=2**21, context=8192), 2, 3, 8192, 1)
    assert max(m.calldata for m in largest_moves(layout) if m.name == "its leaf hashes") > MOST_CALLDATA
    with pytest.raises(ProgramTooLargeError, match=r"its leaf hashes about head\.logits"):
        check_caps(program(vocab=2**21, context=8192))
