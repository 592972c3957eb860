"""The verdict on a mathematical claim: the answer and each step have an outcome of their own."""

from __future__ import annotations

from dataclasses import dataclass

from nexus_chain.distillation.judge.verdict import Outcome, Verdict


@dataclass(frozen=True)
class StepVerdict:
    """``text``: the step as it was read. ``defines``: it only gives a name its meaning."""

    text: str
    outcome: Outcome
    reason: str
    defines: bool = False


@dataclass(frozen=True)
class MathematicsVerdict(Verdict):
    """``answer``: the final answer's outcome, whatever the claim's scope. ``steps``: in the order of the text."""

    answer: Outcome = Outcome.UNKNOWN
    steps: tuple[StepVerdict, ...] = ()

    @property
    def proved_reasoning(self) -> bool:
        """The answer and every step are proved, and there is a step that states something."""
        stated = any(not step.defines for step in self.steps)
        every = all(step.outcome is Outcome.PROVED for step in self.steps)
        return self.answer is Outcome.PROVED and stated and every
