"""What can go wrong while a claim is judged. A claim that is merely wrong is no error: it is refuted.

JudgeError
├── AethelError      a source that is no Aethel
├── ArtefactError    a text that is no obligation
├── ClaimError       a claim that lacks a field, or of a kind that nobody judges
├── MathematicsSubsetError    mathematics that the judge does not read
└── SolverError      a solver that cannot be started
"""

from __future__ import annotations

from nexus_chain.distillation.errors import DistillationError


class JudgeError(DistillationError):
    """Root of this folder's errors."""


class AethelError(JudgeError):
    """Raised for a source that is no Aethel; the message begins with line and column where there are any."""


class ArtefactError(JudgeError):
    """Raised for a text that is not an obligation in the subset of SMT-LIB that artefacts use."""


class ClaimError(JudgeError):
    """Raised for a claim that cannot be read, or that no judge here decides."""


class SolverError(JudgeError):
    """Raised when the solvers' process does not start."""


class MathematicsSubsetError(JudgeError):
    """Raised for mathematics outside of the subset that is read: its message says which part, and why."""

    def __init__(self, message: str, *, advice: str = "Write it within the subset.") -> None:
        super().__init__(message, advice=advice)
