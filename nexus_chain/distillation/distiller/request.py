"""What is asked, and how an answer is chosen."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

from nexus_chain.distillation.distiller.claims import ProvableProblem
from nexus_chain.distillation.distiller.errors import DistillationRequestError

LONGEST_PROMPT = 1_000_000
"""Characters."""
_LONGEST_CATEGORY = 40


class VerificationMode(StrEnum):
    """*formal* takes proved answers only; *consistency* asks no judge; *hybrid* takes what is not refuted."""

    FORMAL = "formal"
    CONSISTENCY = "consistency"
    HYBRID = "hybrid"

    @property
    def is_judged(self) -> bool:
        """Whether the judge has a say."""
        return self is not VerificationMode.CONSISTENCY


@dataclass(frozen=True)
class DistillationRequest:
    """See component 3 of the design for the first four fields.

    ``use_local`` and ``use_teachers``: which sources are asked. ``category``: under which a source's record counts,
    such as ``math``. ``problem``: what makes an answer right; None: nobody can tell, so the mode cannot be *formal*.
    Raises DistillationRequestError.
    """

    prompt: str
    use_local: bool = True
    use_teachers: bool = True
    verification_mode: str = VerificationMode.FORMAL
    category: str = "text"
    problem: ProvableProblem | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.prompt, str) or not self.prompt.strip():
            raise DistillationRequestError("the prompt is empty", advice="Ask something.")
        if len(self.prompt) > LONGEST_PROMPT or not _is_unicode(self.prompt):
            raise DistillationRequestError(
                "the prompt is too long or no Unicode text", advice=f"Ask in at most {LONGEST_PROMPT} characters."
            )
        if self.verification_mode not in tuple(VerificationMode):
            raise DistillationRequestError(
                f"there is no mode {self.verification_mode!r}", advice=f"Give one of {', '.join(VerificationMode)}."
            )
        if not self.category.strip() or len(self.category) > _LONGEST_CATEGORY:
            raise DistillationRequestError("the category is empty or too long", advice="Give one such as math.")
        if not (self.use_local or self.use_teachers):
            raise DistillationRequestError("nobody may be asked", advice="Allow local models, teachers or both.")
        if self.mode is VerificationMode.FORMAL and self.problem is None:
            raise DistillationRequestError(
                "the mode formal needs to know what makes an answer right",
                advice="Give the problem, or take the mode hybrid or consistency.",
            )

    @property
    def mode(self) -> VerificationMode:
        return VerificationMode(self.verification_mode)

    @property
    def id(self) -> str:
        """SHA-256 of prompt, category and mode, as 64 hexadecimal digits."""
        return sha256(json.dumps([self.prompt, self.category, str(self.mode)]).encode()).hexdigest()

    @property
    def question(self) -> str:
        """SHA-256 of the prompt alone: answers are kept under it, as they do not depend on how they are chosen."""
        return sha256(self.prompt.encode()).hexdigest()


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
