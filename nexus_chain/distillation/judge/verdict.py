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
class Enumeration:
    """A finite domain of which every point was run in the sandbox, by code that depends on its input alone.

    ``domain``: as the claim states it. ``points``: how many were compared. ``sha256``: of the table, one line for each
    point in the domain's order: inputs, a tab, the result, a line feed.
    """

    name: str
    domain: str
    points: int
    sha256: str


@dataclass(frozen=True)
class Verdict:
    """``checked``: what was checked and over which domain. ``reason``: why the outcome. Each is one sentence.

    ``counterexample``: values by name, for a refuted claim. ``artefacts``: what both solvers proved, for a proved
    one; ``enumerations``: the finite domains that were run through, without an artefact. ``vacuous``: the claim's
    guards contradict each other, so it says nothing.
    """

    kind: Kind
    outcome: Outcome
    checked: str
    reason: str
    counterexample: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    artefacts: tuple[Artefact, ...] = ()
    vacuous: bool = False
    enumerations: tuple[Enumeration, ...] = ()

    def __post_init__(self) -> None:
        evidence = self.artefacts or self.enumerations
        if self.outcome is Outcome.PROVED and not evidence:
            raise ValueError("a proved verdict names the artefacts that prove it")
        if self.outcome is not Outcome.PROVED and evidence:
            raise ValueError("artefacts prove: a verdict that is not proved has none")
