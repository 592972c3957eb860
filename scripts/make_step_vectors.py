"""Golden vectors of single steps: calls of ``StepVerifier`` with the word that they return.

    python scripts/make_step_vectors.py       # rewrites tests/vectors/steps.jsonl

One right and one wrong element of every op kind, and of every part of a posted score row (for attention that looks
back and for one that looks in both directions), on tiny random models: a dense decoder, one with experts and an
encoder. The script is deterministic and asks no contract: its verdicts are the protocol's.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from nexus_chain.commitments.tensor import RowLayout
from nexus_chain.disputes import defender
from nexus_chain.disputes.stored_trace import StoredTrace
from nexus_chain.disputes.trace import Trace, TracedSequence
from nexus_chain.disputes.trace_layout import TraceTensor
from nexus_chain.disputes.witness_abi import ScorePart, convicts_call, convicts_scores_call
from nexus_chain.disputes.witnesses import PublishedModel, WitnessBuilder
from nexus_chain.program import ModelShape, Sampling, random_model
from nexus_chain.program.descriptors import BOTH_DIRECTIONS
from nexus_chain.program.dtypes import DTYPE_BYTES

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "tests" / "vectors" / "steps.jsonl"
DENSE = ModelShape(
    layers=1, width=32, heads=2, kv_heads=1, head_dim=16, ffn=40, vocab=96, context=16, attention_bias=True
)
SHAPES = (
    DENSE,
    replace(DENSE, experts=3, experts_per_token=2, qk_norm=True),
    replace(DENSE, layers=2, kv_heads=2, encoder=True),  # of which the last only samples
)
POSITIONS, PROMPT = 4, 2


def honest_trace(shape: ModelShape) -> tuple[PublishedModel, StoredTrace]:
    """A model and the trace that its vectors are about."""
    model = random_model(shape, seed=11)
    tokens = torch.tensor([5, 77, 31, 2], dtype=torch.int32)
    sequence = TracedSequence(tokens, tokens[:PROMPT], Sampling.at_temperature(1.0, b"\3" * 32), bytes(range(32)))
    trace = StoredTrace.of(Trace(model.program, model.weights, (0, model.program.shape.layers), sequence))
    return PublishedModel(model.program, model.weights), trace


def vectors() -> Iterator[dict[str, object]]:
    """Every vector; ``returns`` is what ``calldata`` gives."""
    seen: set[tuple[str, int, bool]] = set()
    for shape in SHAPES:
        model, trace = honest_trace(shape)
        for tensor in trace.layout.tensors[1:]:
            step = kind_of(tensor), tensor.output, looks_both_ways(tensor)
            if step not in seen:
                seen.add(step)
                yield from vectors_of(model, trace, tensor)


def kind_of(tensor: TraceTensor) -> str:
    return tensor.op.kind if tensor.op else tensor.name


def looks_both_ways(tensor: TraceTensor) -> bool:
    return tensor.op is not None and tensor.op.params.get("window") == BOTH_DIRECTIONS


def vectors_of(model: PublishedModel, trace: StoredTrace, tensor: TraceTensor) -> Iterator[dict[str, object]]:
    """The last element of a tensor, right and wrong."""
    element = trace.tensor(tensor.number).numel() - 1
    wrong = trace.tensor(tensor.number).clone()
    wrong.view(-1)[element] ^= 1
    for convicts, posted in ((False, trace), (True, trace.replaced({tensor.number: wrong}))):
        calls = score_calls if kind_of(tensor) == "attention" else step_calls
        yield from calls(WitnessBuilder(model, posted, posted.roots()), tensor, element, convicts)


def place(tensor: TraceTensor, element: int) -> tuple[int, int]:
    """(leaf, element within it) of a row-major index."""
    return divmod(element, RowLayout.of(tensor.dtype, tensor.shape).leaf_bytes // DTYPE_BYTES[tensor.dtype])


def step_calls(
    builder: WitnessBuilder, tensor: TraceTensor, element: int, convicts: bool
) -> Iterator[dict[str, object]]:
    leaf, within = place(tensor, element)
    data = defender.leaf(builder.trace, tensor.number, leaf).data
    claim = builder.claim(tensor.number, leaf, data)
    witness = builder.witness(tensor.number, leaf, data, within)
    yield vector(tensor, "step", convicts_call(builder.subject(), claim, witness), convicts)


def score_calls(
    builder: WitnessBuilder, tensor: TraceTensor, element: int, convicts: bool
) -> Iterator[dict[str, object]]:
    """The sum is wrong where the element is; a score and a record are wrong where a byte of them is changed."""
    leaf, within = place(tensor, element)
    data = defender.leaf(builder.trace, tensor.number, leaf).data
    claim, row = builder.claim(tensor.number, leaf, data), builder.score_row(tensor.number, leaf, within)
    for part in ScorePart:
        records, scores = bytearray(row.record_bytes), bytearray(row.score_bytes)
        if convicts and part != ScorePart.SUM:
            (scores if part == ScorePart.SCORE else records)[0] ^= 1
        posted = bytes(records), bytes(scores)
        claimed = (tensor.number, leaf, data, within)
        witness = builder.score_witness(claimed, posted, (part, 0))
        root = builder.score_root(tensor.number, leaf, within, posted)
        call = convicts_scores_call(builder.subject(), claim, within, root, witness)
        yield vector(tensor, part.name.lower(), call, convicts)


def vector(tensor: TraceTensor, step: str, call: bytes, convicts: bool) -> dict[str, object]:
    word = int(convicts).to_bytes(32, "big")
    return {
        "kind": kind_of(tensor),
        "tensor": tensor.name,
        "step": step,
        "convicts": convicts,
        "calldata": "0x" + call.hex(),
        "returns": "0x" + word.hex(),
    }


def rendered() -> str:
    """The file's content."""
    return "".join(json.dumps(made) + "\n" for made in vectors())


if __name__ == "__main__":
    content = rendered()
    TARGET.write_text(content)
    sys.stdout.write(f"wrote {TARGET.relative_to(ROOT)}: {content.count(chr(10))} vectors\n")
