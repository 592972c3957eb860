"""Problems of ``reasoning-gym`` generators, each made from a seed of its own, and the exact check of an answer."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from nexus_chain.distillation.curriculum.errors import CurriculumError
from nexus_chain.distillation.errors import MissingPackageError

_NUMBER = re.compile(r"(?<![\d.])-?\d+(?:\.\d+)?")


@dataclass(frozen=True)
class GeneratorSettings:
    """A generator of reasoning-gym, by name, and its settings. ``category``: as the memory files examples."""

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
    category: str = "math"
    numeric: bool = True
    """Whether answers are numbers: then the last number of a text is its answer."""


@dataclass(frozen=True)
class Problem:
    """``generator`` with ``seed`` makes it again. ``expected_expression``: what the answer has to equal, in integers.

    None where the problem is no integer expression. ``operands``: the numbers in the prompt, in ascending order.
    """

    prompt: str
    answer: str
    category: str
    seed: int
    generator: GeneratorSettings
    expected_expression: str | None = None

    @property
    def operands(self) -> tuple[str, ...]:
        """Two problems with the same ones are not told apart: 3 + 5 and 5 + 3."""
        return tuple(sorted(_NUMBER.findall(self.prompt)))


def problem(generator: GeneratorSettings, seed: int) -> Problem:
    """The problem that ``generator`` makes from ``seed``. Raises CurriculumError and MissingPackageError."""
    entry = _dataset(generator, seed)[0]
    expression = entry["metadata"].get("expression")
    return Problem(
        prompt=str(entry["question"]),
        answer=str(entry["answer"]),
        category=generator.category,
        seed=seed,
        generator=generator,
        expected_expression=expression if isinstance(expression, str) and _is_integral(expression) else None,
    )


def solves(asked: Problem, text: str) -> bool:
    """Whether ``text`` answers the problem exactly: the generator's own scorer gives its full score.

    It is shown the text, and the answer found in it.
    """
    dataset = _dataset(asked.generator, asked.seed)
    entry = dataset[0]
    return any(dataset.score_answer(found, entry) == 1.0 for found in {text.strip(), answer_in(asked, text)} if found)


def answer_in(asked: Problem, text: str) -> str:
    """The answer that a text gives: its last number, where answers are numbers; else its last line. "" for none."""
    if asked.generator.numeric:
        numbers = _NUMBER.findall(text.replace(",", ""))
        return numbers[-1] if numbers else ""
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else ""


def wrong_answer(asked: Problem) -> str:
    """An answer near the right one and wrong; the same each time. Raises CurriculumError where answers are no integers.

    It is for teachers that err at a known rate.
    """
    try:
        right = int(asked.answer)
    except ValueError as cause:
        raise CurriculumError(
            f"answers of {asked.generator.name} are no integers", advice="Choose a generator with integer answers."
        ) from cause
    chance = random.Random(f"{asked.generator.name}/{asked.seed}")
    return str(right + chance.choice((-1, 1)) * chance.choice((1, 2, 9, 10, 11)))


@lru_cache(maxsize=4096)
def _cached(name: str, settings: tuple[tuple[str, Any], ...], seed: int) -> Any:
    try:
        import reasoning_gym
    except ImportError as cause:
        raise MissingPackageError.of("reasoning-gym", extra="curriculum") from cause
    try:
        return reasoning_gym.create_dataset(name, seed=seed, size=1, **dict(settings))
    except (ValueError, TypeError, AssertionError) as cause:
        raise CurriculumError(
            f"the generator {name} refuses its settings ({cause})", advice="Look its settings up in reasoning-gym."
        ) from cause


def _dataset(generator: GeneratorSettings, seed: int) -> Any:
    return _cached(generator.name, tuple(sorted(generator.settings.items())), seed)


def _is_integral(expression: str) -> bool:
    return re.fullmatch(r"[\d\s()+*-]+", expression) is not None
