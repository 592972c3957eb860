"""Runs every op kind on hostile tensors and hostile wiring, in a process of its own: a trap ends only this one.

Prints one JSON line before each case, so that the last line names the case which ended the process, and one
after it with what differs. ``python -m tests.support.hostile_kernels tensors|wiring [seed]``.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import chain

import torch
from torch import Tensor

from nexus_chain.engine.engine import Engine
from nexus_chain.engine.reference import ReferenceExecutor
from nexus_chain.engine.trace import TraceExecutor
from nexus_chain.program import PRESETS, Op, Program, Sampling, TensorSpec, random_model
from tests.support.fast_ops import NativeOps, TorchOps, batch_of
from tests.support.lies import run_op
from tests.support.random_worlds import RandomWorld

Fill = Callable[[Tensor, torch.Generator], Tensor]
REWIRED = 0.3  # share of the inputs that a rewired program takes from elsewhere
WIRINGS = 16
PRESET_NAMES = ("tiny-bias", "tiny-experts", "tiny-head-norm", "tiny-encoder")


def _constant(pick: Callable[[torch.iinfo], int]) -> Fill:
    return lambda tensor, source: torch.full_like(tensor, pick(torch.iinfo(tensor.dtype)))


def _any_bits(tensor: Tensor, source: torch.Generator) -> Tensor:
    flat = torch.randint(0, 256, (tensor.numel() * tensor.element_size(),), dtype=torch.uint8, generator=source)
    return flat.view(tensor.dtype).view(tensor.shape)


def _edges(tensor: Tensor, source: torch.Generator) -> Tensor:
    """Values next to where a read or a register ends."""
    limits = torch.iinfo(tensor.dtype)
    powers = [sign * (2**bit) + by for bit in range(limits.bits) for sign in (1, -1) for by in (-1, 0, 1)]
    values = torch.tensor([value for value in powers if limits.min <= value <= limits.max], dtype=tensor.dtype)
    return values[torch.randint(0, len(values), tensor.shape, generator=source)]


FILLS: Mapping[str, Fill] = {
    "minimum": _constant(lambda limits: limits.min),
    "maximum": _constant(lambda limits: limits.max),
    "zero": _constant(lambda limits: 0),
    "minus one": _constant(lambda limits: -1),
    "any bits": _any_bits,
    "edges": _edges,
}


def _say(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


def _inputs(world: RandomWorld, op: Op, source: torch.Generator) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """All inputs of ``op`` noise, and all of them filled alike."""
    made = world.inputs(op)
    yield "noise", made
    for fill, values in FILLS.items():
        yield f"all {fill}", {name: values(tensor, source) for name, tensor in made.items()}


def _single_inputs(world: RandomWorld, op: Op, source: torch.Generator) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Each of several inputs of ``op`` hostile among noise."""
    made = world.inputs(op)
    for fill, values in FILLS.items():
        for name in made if len(made) > 1 else ():
            yield f"{name} {fill}", {**made, name: values(made[name], source)}


def _distinct(program: Program) -> list[Op]:
    """One op of every kind, parameters and rows."""
    return list({(op.kind, *op.params.items(), op.outputs[0].shape): op for op in program.ops}.values())


def hostile_tensors(seed: int) -> None:
    """Every op of a small program with every kind in it: hostile weights times hostile inputs."""
    world, source = RandomWorld(seed), torch.Generator().manual_seed(seed)
    noise = world.weights
    for fill in (None, *FILLS):
        world.weights = {name: FILLS[fill](tensor, source) for name, tensor in noise.items()} if fill else noise
        executors = [kind(world.program, world.weights) for kind in (NativeOps, TorchOps)]
        for op in (op for op in _distinct(world.program) if op.weights or not fill):
            alone = () if fill else _single_inputs(world, op, source)
            for inputs, given in chain(_inputs(world, op, source), alone):
                _say(case=f"{op.name}: weights {fill or 'noise'}, inputs {inputs}")
                _say(kind=op.kind, wrong=_wrong(world, op, given, executors))


def _wrong(world: RandomWorld, op: Op, given: dict[str, Tensor], executors: list[NativeOps | TorchOps]) -> list[str]:
    """Names of the executors whose outputs are not those of the reference."""
    expected = run_op(world.layout, op, given, world.weights, world.sampling)
    wrong = []
    for executor in executors:
        found = executor.run_op(op, given, batch_of(world.layout, world.sampling))
        wrong += [type(executor).__name__] * any(map(_differs, found, expected))
    return wrong


def _differs(found: Tensor, expected: Tensor) -> bool:
    return found.dtype != expected.dtype or not torch.equal(found, expected)


def rewired(program: Program, source: random.Random) -> Program:
    """``program`` with inputs of ops after layer 0 taken from other tensors of their type and shape."""
    ops = list(program.segment(0, 1))
    before = {ops[-1].outputs[0].name: ops[-1].outputs[0]}
    for op in program.segment(1, program.shape.layers):
        chosen = [_other(before, name, source) if source.random() < REWIRED else name for name in op.inputs]
        ops.append(replace(op, inputs=tuple(chosen)))
        before |= {spec.name: spec for spec in op.outputs}
    made = replace(program, ops=tuple(ops))
    made.validate()
    return made


def _other(before: Mapping[str, TensorSpec], name: str, source: random.Random) -> str:
    wanted = before[name]
    alike = [other for other, spec in before.items() if (spec.dtype, spec.shape) == (wanted.dtype, wanted.shape)]
    return source.choice(alike)


def hostile_wiring(seed: int) -> None:
    """Whole rewired programs, fed with rows as a client may send them: powers of two and edges."""
    for number in range(WIRINGS):
        preset = PRESET_NAMES[number % len(PRESET_NAMES)]
        model = random_model(PRESETS[preset], seed=seed)
        program = rewired(model.program, random.Random(100 * seed + number))
        rows = _edges(torch.zeros(6, program.shape.width, dtype=torch.int32), torch.Generator().manual_seed(number))
        _say(case=f"{preset} rewired {number}")
        sampling = Sampling.at_temperature(0.8, bytes(range(32)))
        expected = ReferenceExecutor(program, model.weights, 1).run(rows, 2, sampling)
        wrong = []
        for backend in ("native", "torch"):
            engine = Engine(program, model.weights, 1, threads=2, backend=backend)
            found = TraceExecutor(engine).run(rows, 2, sampling)
            wrong += [f"{backend} {name}" for name in expected if not torch.equal(found[name], expected[name])]
        _say(kind=preset, wrong=wrong)


if __name__ == "__main__":
    {"tensors": hostile_tensors, "wiring": hostile_wiring}[sys.argv[1]](int(sys.argv[2]))
