"""What the judge says of a claim, and the obligations that stand behind a proof."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from types import MappingProxyType


class Outcome(StrEnum):
    """*proved* needs a proof by both solvers, *refuted* a counterexample; all else is *unknown*."""

    PROVED = "proved"
    REFUTED = "refuted"
    UNKNOWN = "unknown"


class Kind(StrEnum):
    """What kind of claim it is, and so which judge decides."""

    AETHEL = "aethel"
    MATHEMATICS = "mathematics"
    PYTHON = "python"
    TEXT = "text"


@dataclass(frozen=True)
class Artefact:
    """One obligation: it holds where both solvers say that ``text`` is unsatisfiable.

    ``text`` is SMT-LIB 2.6 and ends with ``(check-sat)``; see ``smt_text``.
    """

    name: str
    text: str

    @property
    def sha256(self) -> str:
        """SHA-256 of the text's UTF-8 bytes, as 64 hexadecimal digits."""
        return sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True)
class Verdict:
    """``checked``: what was checked and over which domain. ``reason``: why the outcome. Each is one sentence.

    ``counterexample``: values by name, for a refuted claim. ``artefacts``: what both solvers proved, for a proved
    one. ``vacuous``: the claim's guards contradict each other, so it says nothing.
    """

    kind: Kind
    outcome: Outcome
    checked: str
    reason: str
    counterexample: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    artefacts: tuple[Artefact, ...] = ()
    vacuous: bool = False

    def __post_init__(self) -> None:
        if self.outcome is Outcome.PROVED and not self.artefacts:
            raise ValueError("a proved verdict names the artefacts that prove it")
        if self.outcome is not Outcome.PROVED and self.artefacts:
            raise ValueError("artefacts prove: a verdict that is not proved has none")
