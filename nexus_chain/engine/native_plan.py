"""Turns a segment's op list into steps for the compiled kernels.

Decides three things, all from the op list alone: which activations share a buffer (a name is free
after its last reader), which row-wise steps run as one chain, and where threads must wait for each
other. Knows nothing of models.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from nexus_chain.program import SAMPLED, Op, TensorSpec
from nexus_chain.program.dtypes import DTYPE_BYTES
from nexus_chain.program.op_kinds import KINDS

#: Steps that no op is made of alone, after the steps that carry out an op.
EXTRA_STEPS = ("append", "select_rows")
#: Number of every step in ``native/kinds.h``, which scripts/generate_op_kinds.py writes from this.
STEP_CODES = {name: code for code, name in enumerate((*KINDS, *EXTRA_STEPS))}
#: Split over threads by columns or heads, not by rows; ``native/program.c`` calls each of these itself.
WHOLE_STEPS = frozenset({"linear", "expert_linear", "attention", "prefix_mean"})
WeightName = str | tuple[str, ...] | None
CACHE = "cache:"  # prefix of the pseudo-buffers that stand for an attention op's cache


@dataclass(frozen=True)
class Buffer:
    """Bytes for every row of the batch (or every sampled row); ``by_column`` if rows are innermost."""

    row_bytes: int
    sampled: bool
    by_column: bool


@dataclass
class PlannedStep:
    """A kernel call: tensor names, weight names and integer parameters in the kernel's order.

    A tuple among the weights stands for a table of matrices: (weight, scale) of each, one after the other.
    """

    kind: str
    sampled: bool
    inputs: list[str | None]
    outputs: list[str]
    weights: list[WeightName]
    params: list[int]
    chained: bool = False
    barrier: bool = False


@dataclass
class Plan:
    """Steps in order, the buffer of every tensor name, and the specs of all tensors."""

    steps: list[PlannedStep] = field(default_factory=list)
    buffers: list[Buffer] = field(default_factory=list)
    buffer_of: dict[str, int] = field(default_factory=dict)
    specs: dict[str, TensorSpec] = field(default_factory=dict)


def plan_steps(ops: Sequence[Op], source: TensorSpec, keep: Collection[str]) -> Plan:
    """Plan for ``ops`` reading ``source``; the tensors named in ``keep`` survive the run."""
    plan = Plan(specs={source.name: source})
    for op in ops:
        plan.specs.update({spec.name: spec for spec in op.outputs})
    slots = {op.name: n for n, op in enumerate(o for o in ops if KINDS[o.kind].cached)}
    for op in ops:
        inputs = [_selected(plan, op, name) for name in op.inputs]
        plan.steps.extend(_steps_of(plan, op, inputs, slots.get(op.name, 0)))
    _assign_buffers(plan, source.name, keep)
    _mark_chains(plan)
    _mark_barriers(plan)
    return plan


def _is_sampled(spec: TensorSpec) -> bool:
    return SAMPLED in spec.shape


def _row_bytes(spec: TensorSpec) -> int:
    size = DTYPE_BYTES[spec.dtype]
    for dimension in spec.shape:
        size *= max(dimension, 1)
    return size


def _selected(plan: Plan, op: Op, name: str) -> str:
    """The tensor an op over sampled positions reads instead of one over all positions."""
    spec = plan.specs[name]
    if _is_sampled(spec) or not _is_sampled(op.outputs[0]):
        return name
    chosen = f"{name}@sampled"
    if chosen not in plan.specs:
        plan.specs[chosen] = TensorSpec(chosen, spec.dtype, (SAMPLED, *spec.shape[1:]))
        plan.steps.append(PlannedStep("select_rows", True, [name], [chosen], [], [_row_bytes(spec)]))
    return chosen


def _width(plan: Plan, name: str) -> int:
    return plan.specs[name].shape[-1]


def _steps_of(plan: Plan, op: Op, inputs: list[str], slot: int) -> list[PlannedStep]:
    """Kernel calls of one op; attention also appends to the cache first."""
    p, outputs = op.params, [spec.name for spec in op.outputs]
    weights: list[WeightName] = list(op.weights)
    operands: list[str | None] = list(inputs)
    before: list[PlannedStep] = []
    match op.kind:
        case "row_max" | "row_squares" | "quantise":
            params = [_width(plan, inputs[0]), p["start"], p["stop"], p.get("bits", 0)]
        case "sample_blocks":
            params = [_width(plan, inputs[0]), p["vocab"], p["block"]]
        case "linear":
            params = [p["rows"], p["columns"], p["bits"], p["fraction"]]
            weights = [*op.weights[:2], op.weights[2] if p["bias"] else None]
        case "normalise":
            params = [p[name] for name in KINDS[op.kind].params]
            weights = [op.weights[0], op.weights[1] if p["bias"] else None]
        case "expert_linear":
            params = [p[name] for name in ("rows", "columns", "bits", "fraction", "experts", "slots", "slot")]
            gate, residual = inputs[4:] if p["combine"] else (None, None)
            operands, weights = [*inputs[:3], residual, inputs[3], gate], [op.weights]
        case "attention":
            params = [slot, *(p[name] for name in ("heads", "kv_heads", "head_dim", "block", "window", "scale"))]
            operands = [*inputs[:3], f"{CACHE}{slot}"]
            before = [
                PlannedStep(
                    "append", False, list(inputs[3:]), [f"{CACHE}{slot}"], [], [slot, p["kv_heads"], p["head_dim"]]
                )
            ]
        case _:
            params = [p[name] for name in KINDS[op.kind].params]
    return [*before, PlannedStep(op.kind, _is_sampled(op.outputs[0]), operands, outputs, weights, params)]


def _assign_buffers(plan: Plan, source: str, keep: Collection[str]) -> None:
    last = {name: number for number, step in enumerate(plan.steps) for name in step.inputs if name}
    free: dict[Buffer, list[int]] = {}
    _take_buffer(plan, source, free)
    for number, step in enumerate(plan.steps):
        for name in step.outputs:
            if not name.startswith(CACHE):
                _take_buffer(plan, name, free)
        done = {name for name in (*step.inputs, *step.outputs) if name and last.get(name, number) == number}
        for name in sorted(done - set(keep)):
            if not name.startswith(CACHE):
                index = plan.buffer_of[name]
                free.setdefault(plan.buffers[index], []).append(index)


def _take_buffer(plan: Plan, name: str, free: dict[Buffer, list[int]]) -> None:
    spec = plan.specs[name]
    wanted = Buffer(_row_bytes(spec), _is_sampled(spec), len(spec.shape) > 1 and spec.shape[-1] < 0)
    if free.get(wanted):
        plan.buffer_of[name] = free[wanted].pop()
    else:
        plan.buffer_of[name] = len(plan.buffers)
        plan.buffers.append(wanted)


def _mark_chains(plan: Plan) -> None:
    """A row-wise step joins the row-wise step before it when both run over the same rows.

    ``select_rows`` reads other rows than it writes, so it starts a chain.
    """
    for before, step in zip(plan.steps, plan.steps[1:], strict=False):
        rowwise = not {before.kind, step.kind} & WHOLE_STEPS
        step.chained = rowwise and before.sampled == step.sampled and step.kind != "select_rows"


def _mark_barriers(plan: Plan) -> None:
    """Wait before a chain or whole step that touches a buffer others may still be writing or reading."""
    read: set[object] = set()
    written: set[object] = set()
    for group in _groups(plan.steps):
        sources = {_place(plan, name) for step in group for name in step.inputs if name}
        targets = {_place(plan, name) for step in group for name in step.outputs}
        if sources & written or targets & (read | written):
            group[0].barrier = True
            read, written = set(), set()
        read |= sources
        written |= targets


def _groups(steps: Sequence[PlannedStep]) -> list[list[PlannedStep]]:
    """Chains as lists, whole steps as lists of one."""
    groups: list[list[PlannedStep]] = []
    for step in steps:
        if step.chained:
            groups[-1].append(step)
        else:
            groups.append([step])
    return groups


def _place(plan: Plan, name: str) -> object:
    return name if name.startswith(CACHE) else plan.buffer_of[name]
