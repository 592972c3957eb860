"""What an import may choose: every choice that changes the bits of the integer model, and nothing else.

The same checkpoint and recipe give the same program and weights on every machine; ``recipe.json``
beside a checkpoint or an integer model records one. Which choices are good ones is not decided here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nexus_chain.json_text import parse_json
from nexus_chain.program.errors import RecipeError
from nexus_chain.program.fixed_point import LEVELS

if TYPE_CHECKING:
    from torch import Tensor

RECIPE_FILE = "recipe.json"
FORMAT = "nexus.recipe.v1"
LARGEST_EXPONENT = 24  # of smoothing: what is beyond float32's mantissa is no outlier


@dataclass(frozen=True)
class ActivationBits:
    """Bits (8 or 15) of the rows entering each family of linear ops."""

    attention_input: int = 8
    attention_output: int = 8
    mlp_input: int = 8
    down: int = 15
    head: int = 15


@dataclass(frozen=True)
class Recipe:
    """The choices of one import; the defaults are those of a network without outliers.

    ``widths`` are those of every layer; ``wider`` names inputs that have 15 bits all the same, such as
    "3.attention_input". ``smoothing`` holds an exponent per channel of a group, such as "3.mlp": the
    channel is multiplied by that power of two where it is made and divided by it where it is read. What
    groups a decoder has is said in ``smoothing.py``. ``finer`` names matrices such as "3.value" that have a
    second int8 matrix, of what rounding took from the first.
    """

    widths: ActivationBits = ActivationBits()
    wider: tuple[str, ...] = ()
    smoothing: Mapping[str, tuple[int, ...]] = field(default_factory=dict, hash=False)
    finer: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, bits in asdict(self.widths).items():
            _require(bits in LEVELS, f"{name} has {bits} bits, not 8 or 15")
        for group, exponents in self.smoothing.items():
            _require(max(map(abs, exponents), default=0) <= LARGEST_EXPONENT, f"smoothing of {group} is out of range")

    def exponents(self, group: str, size: int) -> Tensor:
        """The exponents of a group's ``size`` channels, f64[size]; zeros where it is not smoothed."""
        import torch  # takes seconds, and who reads a program needs no tensors

        found = self.smoothing.get(group, (0,) * size)
        _require(len(found) == size, f"smoothing of {group} has {len(found)} channels, the model has {size}")
        return torch.tensor(found, dtype=torch.float64)

    def to_json(self) -> str:
        """What ``recipe.json`` holds."""
        smoothing = {group: list(exponents) for group, exponents in self.smoothing.items()}
        values = {"format": FORMAT, "widths": asdict(self.widths), "wider": list(self.wider), "smoothing": smoothing}
        finer = {"finer": list(self.finer)} if self.finer else {}  # recipes without it keep their bytes
        return json.dumps(values | finer, sort_keys=True, separators=(",", ":")) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Recipe:
        """Read :meth:`to_json`; :class:`RecipeError` for anything else."""
        try:
            values = parse_json(text)
            _require(values["format"] == FORMAT, f"its format is {values['format']!r}, not {FORMAT}")
            return cls(
                ActivationBits(**values["widths"]),
                tuple(str(name) for name in values["wider"]),
                {str(group): _integers(channels) for group, channels in values["smoothing"].items()},
                tuple(str(name) for name in values.get("finer", ())),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as cause:
            raise _unusable(repr(cause)) from cause

    @classmethod
    def of_folder(cls, folder: Path, default: Recipe | None = None) -> Recipe:
        """The recipe that a folder records; ``default`` where it records none. Raises :class:`RecipeError`."""
        path = folder / RECIPE_FILE
        return cls.from_json(path.read_bytes()) if path.is_file() else default or cls()


def _integers(channels: list[Any]) -> tuple[int, ...]:
    _require(all(type(exponent) is int for exponent in channels), "an exponent of its smoothing is no integer")
    return tuple(channels)


def _require(condition: bool, problem: str) -> None:
    if not condition:
        raise _unusable(problem)


def _unusable(problem: str) -> RecipeError:
    return RecipeError(
        f"The recipe of this import cannot be used: {problem}",
        advice=f"Remove {RECIPE_FILE} from the folder to choose anew, or fetch the one that was published.",
    )
