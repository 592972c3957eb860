"""Which experts of a mixture stay in memory: those that tokens use most. Names and numbers only.

An expert is all matrices that a slot can choose together. What is measured is how often each was
chosen (a histogram by layer, see ``expert_uses``); what is not resident is read from disk when a token wants it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from nexus_chain.planning.errors import PlanInputError
from nexus_chain.program import Program, TensorSpec

Histogram = Mapping[int, Sequence[int]]
"""Uses by layer, then by expert."""


def owners(program: Program) -> dict[str, tuple[int, int]]:
    """(layer, expert) of every weight that belongs to an expert, by its name."""
    return {
        name: (op.layer, expert)
        for op in program.ops
        for expert, names in enumerate(op.expert_weights)
        for name in names
    }


@dataclass(frozen=True)
class Expert:
    """One expert; ``share`` is the part of its layer's uses that it got, 0 to 1."""

    layer: int
    number: int
    weights: tuple[str, ...]
    nbytes: int
    share: float


def experts_by_use(program: Program, uses: Histogram) -> list[Expert]:
    """All experts of ``program``, the most used share first; ties go to lower layers and numbers.

    A layer without uses counts as used evenly. Raises PlanInputError when the histogram is not the model's.
    """
    parts: dict[tuple[int, int], list[TensorSpec]] = {}
    owner = owners(program)
    for spec in program.weights:
        if spec.name in owner:
            parts.setdefault(owner[spec.name], []).append(spec)
    counts: dict[int, int] = {}
    for layer, _ in parts:
        counts[layer] = counts.get(layer, 0) + 1
    _check(uses, counts)
    experts = [
        Expert(
            layer,
            number,
            tuple(s.name for s in specs),
            sum(s.nbytes for s in specs),
            _share(uses, layer, number, counts),
        )
        for (layer, number), specs in parts.items()
    ]
    return sorted(experts, key=lambda expert: (-expert.share, expert.layer, expert.number))


def covering(experts: Sequence[Expert], coverage: float) -> list[Expert]:
    """The fewest experts of each layer that take at least ``coverage`` (0 to 1) of its uses."""
    if not 0 <= coverage <= 1:
        raise PlanInputError(f"a coverage of {coverage} is no share", advice="Choose 0 (none resident) to 1 (all).")
    if coverage == 1:
        return list(experts)
    covered: dict[int, float] = {}
    chosen = []
    for expert in experts:
        if covered.get(expert.layer, 0.0) < coverage:
            covered[expert.layer] = covered.get(expert.layer, 0.0) + expert.share
            chosen.append(expert)
    return chosen


def within(experts: Sequence[Expert], budget: int) -> list[Expert]:
    """Experts that fit ``budget`` bytes, taken in the order given, each that still fits."""
    chosen = []
    for expert in experts:
        if expert.nbytes <= budget:
            budget -= expert.nbytes
            chosen.append(expert)
    return chosen


def missed_bytes(experts: Iterable[Expert], resident: Iterable[Expert], used: int) -> float:
    """Bytes that a token reads from disk on average when it uses ``used`` experts of each layer."""
    kept = {(expert.layer, expert.number) for expert in resident}
    cold = [expert for expert in experts if (expert.layer, expert.number) not in kept]
    return sum(min(1.0, used * expert.share) * expert.nbytes for expert in cold)


def _check(uses: Histogram, counts: Mapping[int, int]) -> None:
    for layer, row in uses.items():
        if counts.get(layer, 0) != len(row) or any(count < 0 for count in row):
            raise PlanInputError(
                f"the histogram has {len(row)} experts in layer {layer}, the model {counts.get(layer, 0)}",
                advice="Give {layer: [uses of expert 0, of expert 1, ...]} of this model.",
            )


def _share(uses: Histogram, layer: int, number: int, counts: Mapping[int, int]) -> float:
    row = uses.get(layer, ())
    return row[number] / sum(row) if sum(row) else 1 / counts[layer]
