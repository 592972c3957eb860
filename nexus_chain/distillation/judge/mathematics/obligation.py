"""One thing to prove."""

from __future__ import annotations

from dataclasses import dataclass

from nexus_chain.distillation.judge.mathematics.terms import Formula


@dataclass(frozen=True)
class MathematicsObligation:
    """``goal`` holds wherever all of ``supposed`` do, over the domain."""

    name: str
    supposed: tuple[Formula, ...]
    goal: Formula
