"""The demo's liar defends what it signed: its recomputed trace ends in its own output, whatever tensor it altered."""

from __future__ import annotations

import pytest
import torch

from nexus_chain.disputes import trace
from nexus_chain.program import POSITIONS, PRESETS, random_model
from nexus_chain.program.sampling import Sampling
from scripts.runs.lying_node import Lie, LyingEngine

MODEL = random_model(PRESETS["tiny"], seed=9)
LAYERS = (0, 2)
TENSORS = [s.name for op in MODEL.program.segment(*LAYERS) for s in op.outputs if s.shape[0] == POSITIONS]


@pytest.mark.parametrize("tensor", TENSORS)
def test_trace_of_a_liar_ends_in_the_output_it_signed(tensor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LyingEngine, "current", Lie(tensor, 3, 0, 16), raising=False)
    monkeypatch.setattr(trace, "Engine", LyingEngine)
    rows = torch.arange(6, dtype=torch.int32)
    engine = LyingEngine(MODEL.program, MODEL.weights, *LAYERS)
    signed = engine.forward([(engine.open(len(rows), Sampling(), len(rows)), rows)])[0]
    sequence = trace.TracedSequence(rows, tuple(rows.tolist()), Sampling(), bytes(32))
    recomputed = trace.Trace(MODEL.program, MODEL.weights, LAYERS, sequence)
    assert torch.equal(recomputed.tensor(len(recomputed.layout.tensors) - 1), signed)
