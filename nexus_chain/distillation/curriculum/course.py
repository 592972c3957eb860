"""A curriculum: problems to learn from and problems to measure by, which have nothing in common."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from nexus_chain.distillation.curriculum.errors import CurriculumError
from nexus_chain.distillation.curriculum.problems import GeneratorSettings, Problem, problem

_DRAWS_PER_PROBLEM = 50

#: Sums and differences of two numbers of two digits. SmolLM2-135M-Instruct answers few of them right, though it reads
#: numbers digit by digit and answers in three tokens or less: it lacks practice, not means, and a proof is cheap.
TWO_DIGIT_SUMS = GeneratorSettings(
    "chain_sum", {"min_terms": 2, "max_terms": 2, "min_digits": 2, "max_digits": 2}, category="math"
)
DEFAULT_GENERATORS = (TWO_DIGIT_SUMS,)


@dataclass(frozen=True)
class Curriculum:
    """``held_out`` shares neither a prompt nor a set of operands with ``training``."""

    training: tuple[Problem, ...]
    held_out: tuple[Problem, ...]


def curriculum(
    seed: int, *, training: int, held_out: int, generators: Sequence[GeneratorSettings] = DEFAULT_GENERATORS
) -> Curriculum:
    """The same problems for the same seed, ``training`` and ``held_out`` of them, of the generators in turn.

    Raises CurriculumError where the generators do not make that many different ones, and MissingPackageError.
    """
    chance = random.Random(f"curriculum/{seed}")
    seen: set[tuple[str, tuple[str, ...]]] = set()
    found: list[Problem] = []
    wanted = training + held_out
    for _ in range(wanted * _DRAWS_PER_PROBLEM):
        if len(found) == wanted:
            break
        one = problem(generators[len(found) % len(generators)], chance.randrange(2**31))
        key = (one.generator.name, one.operands or (one.prompt,))
        if key not in seen:
            seen.add(key)
            found.append(one)
    if len(found) < wanted:
        raise CurriculumError(
            f"the generators make only {len(found)} different problems of the {wanted} wanted",
            advice="Ask for fewer, or let the generators' settings allow more.",
        )
    return Curriculum(tuple(found[held_out:]), tuple(found[:held_out]))
