"""What can go wrong while a model learns from others.

DistillationError
├── MissingPackageError    a package of the extra ``distillation`` is not installed
└── judge.errors, teachers.errors, …   each folder owns its branch
"""

from __future__ import annotations

from nexus_chain.errors import NexusError


class DistillationError(NexusError):
    """Root of this package's errors."""


class MissingPackageError(DistillationError):
    """Raised when a package that only distillation needs is not installed."""

    @classmethod
    def of(cls, package: str) -> MissingPackageError:
        """``package``: the name that pip knows."""
        return cls(
            f"the package {package} is not installed",
            advice="Install it with: pip install 'neural-nexus[distillation]'.",
        )
