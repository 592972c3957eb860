"""The judge of all kinds of claims: one pair of solvers, and each kind's own modules, imported when they are needed."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

from nexus_chain.distillation.errors import MissingPackageError, require_packages
from nexus_chain.distillation.judge.claim import (
    AethelClaim,
    TextClaim,
    claim_refusal,
    kind_of,
    require_fields,
    required_text,
)
from nexus_chain.distillation.judge.errors import ClaimError
from nexus_chain.distillation.judge.solvers import SOLVER_MODULES, Solvers
from nexus_chain.distillation.judge.verdict import Kind, Outcome, Verdict

if TYPE_CHECKING:
    from nexus_chain.distillation.judge.text import AnswerEmbedder

_PACKAGES = {"lark": "lark", **SOLVER_MODULES}
"""Module and the name that pip knows, of what every judge needs."""


class Judge:
    """Owns its solvers unless they are given; ``embedder`` is for claims of the kind text. Use it as a context."""

    def __init__(self, solvers: Solvers | None = None, embedder: AnswerEmbedder | None = None) -> None:
        """Raises MissingPackageError."""
        require_packages(_PACKAGES)
        self._owned = ExitStack()
        self._solvers = solvers or self._owned.enter_context(Solvers())
        self._embedder = embedder
        self._second_opinion: Any = None
        self._sandbox: Any = None  # one for all claims: it finds out once what confines on this machine

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the processes that the judge started."""
        self._second_opinion = None
        self._owned.close()

    def judge(self, claim: Mapping[str, Any]) -> Verdict:
        """The verdict on a claim's document, as ``claim`` describes it.

        Raises JudgeError for a claim that cannot be read or that nobody here judges, SolverError where nothing can be.
        """
        kind = kind_of(claim)
        if kind is Kind.AETHEL:
            return self._judge_aethel(AethelClaim.from_document(claim))
        if kind is Kind.TEXT:
            return self._judge_text(TextClaim.from_document(claim))
        if kind is Kind.MATHEMATICS:
            return self._judge_mathematics(claim)
        return self._judge_python(claim)

    def _judge_aethel(self, claim: AethelClaim) -> Verdict:
        from nexus_chain.distillation.judge.aethel.extraction import extract_aethel
        from nexus_chain.distillation.judge.aethel.judging import judge_aethel
        from nexus_chain.distillation.judge.fences import LARGEST_RESPONSE

        source = claim.source if claim.response is None else extract_aethel(claim.response)
        if source is None:
            reason = "The response does not hold exactly one piece of Aethel, bare or in one fenced block"
            reason += f", within {LARGEST_RESPONSE} characters and without HTML that hides text."
            return Verdict(Kind.AETHEL, Outcome.UNKNOWN, "Nothing was checked.", reason)
        return judge_aethel(source, self._solvers, claim.specification)

    def _judge_mathematics(self, document: Mapping[str, Any]) -> Verdict:
        claims = _module(Kind.MATHEMATICS, "claim")
        require_fields(document, needed=("response", "expected"), optional=("domain", "scope"))
        domain, scope = document.get("domain", "integers"), document.get("scope", "answer")
        by_name = isinstance(domain, Mapping) and all(isinstance(one, str) for one in domain.values())
        if not by_name and not isinstance(domain, str):
            raise claim_refusal("its field 'domain' is neither a text nor a text for each name")
        if scope not in list(claims.MathematicsScope):
            raise claim_refusal(f"its field 'scope' is none of {', '.join(claims.MathematicsScope)}")
        response, expected = required_text(document, "response"), required_text(document, "expected")
        claim = claims.MathematicsClaim(response, expected, domain, claims.MathematicsScope(scope))
        if self._second_opinion is None:
            opinions = _module(Kind.MATHEMATICS, "second_opinion")
            self._second_opinion = self._owned.enter_context(opinions.SecondOpinion())
        judge = _module(Kind.MATHEMATICS, "judge").judge_mathematics
        return cast(Verdict, judge(claim, self._solvers, self._second_opinion))

    def _judge_python(self, document: Mapping[str, Any]) -> Verdict:
        claim = _module(Kind.PYTHON, "claim").parse_python_claim(document)
        if self._sandbox is None:
            self._sandbox = import_module("nexus_chain.distillation.judge.sandbox.sandbox").Sandbox()
        return cast(Verdict, _module(Kind.PYTHON, "judge").judge_python(claim, self._solvers, self._sandbox))

    def _judge_text(self, claim: TextClaim) -> Verdict:
        from nexus_chain.distillation.judge.text import judge_text

        if self._embedder is None:
            raise ClaimError("answers in plain text are compared by an embedder, and there is none", advice="Give one.")
        return judge_text(claim.answers, self._embedder)


def _module(kind: Kind, name: str) -> Any:
    """A module of the folder that judges ``kind``."""
    package = f"nexus_chain.distillation.judge.{kind}"
    try:
        return import_module(f"{package}.{name}")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("nexus_chain"):
            raise ClaimError(f"no judge decides claims of the kind {kind}", advice="Update the package.") from error
        raise MissingPackageError.of(error.name or str(error)) from error
