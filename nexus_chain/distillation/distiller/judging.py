"""The judge's verdict on every answer, each claim judged once and kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from nexus_chain.distillation.distiller.claims import ClaimDocument, claim_text
from nexus_chain.distillation.distiller.kept_verdicts import KeptVerdict, KeptVerdicts
from nexus_chain.distillation.distiller.request import DistillationRequest
from nexus_chain.distillation.distiller.source import GivenAnswer
from nexus_chain.distillation.judge.errors import JudgeError, SolverError
from nexus_chain.distillation.judge.sandbox.errors import SandboxUnavailableError
from nexus_chain.distillation.judge.verdict import Kind, Outcome, Verdict


class ClaimJudge(Protocol):
    """Whoever decides claims."""

    def judge(self, claim: ClaimDocument) -> Verdict:
        """Raises JudgeError for a claim that cannot be judged.

        SolverError and SandboxUnavailableError: nothing can be, on this machine.
        """


class Judging:
    """A judge and what it said before."""

    def __init__(self, judge: ClaimJudge, kept: KeptVerdicts) -> None:
        self._judge, self._kept = judge, kept

    def verdicts(self, request: DistillationRequest, answers: Sequence[GivenAnswer]) -> dict[str, Verdict]:
        """By source; none where the request wants no judge. Raises as ``judge`` where nothing can be."""
        if request.problem is None or not request.mode.is_judged:
            return {}
        judged: dict[str, Verdict] = {}
        kept = []
        for answer in answers:
            claim = request.problem.claim(answer.text)
            text = claim_text(claim)
            if text not in judged:
                judged[text] = self._kept.find(request.id, answer.source, text) or self._judged(claim)
            kept.append(KeptVerdict(request.id, answer.source, text, judged[text]))
        self._kept.keep(kept)
        return {one.source: one.verdict for one in kept}

    def _judged(self, claim: ClaimDocument) -> Verdict:
        """A claim that cannot be judged is unknown; solvers or a sandbox that do not run are no answer's fault."""
        try:
            return self._judge.judge(claim)
        except (SolverError, SandboxUnavailableError):
            raise
        except JudgeError as error:
            return Verdict(Kind(claim["kind"]), Outcome.UNKNOWN, "Nothing was checked.", f"{error.message}.")
