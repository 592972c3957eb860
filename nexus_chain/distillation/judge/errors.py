"""What can go wrong while a claim is judged. A claim that is merely wrong is no error: it is refuted.

JudgeError
├── ArtefactError    a text that is no obligation
└── SolverError      a solver that cannot be started
"""

from __future__ import annotations

from nexus_chain.distillation.errors import DistillationError


class JudgeError(DistillationError):
    """Root of this folder's errors."""


class ArtefactError(JudgeError):
    """Raised for a text that is not an obligation in the subset of SMT-LIB that artefacts use."""


class SolverError(JudgeError):
    """Raised when the solvers' process does not start."""
