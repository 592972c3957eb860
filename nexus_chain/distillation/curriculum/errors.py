"""What can go wrong while problems are made.

CurriculumError
"""

from __future__ import annotations

from nexus_chain.distillation.errors import DistillationError


class CurriculumError(DistillationError):
    """Raised for a generator that is unknown or cannot make that many different problems."""
