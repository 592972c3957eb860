"""What can go wrong while a model learns from others.

DistillationError
├── MissingPackageError    a package of the extra ``distillation`` or ``curriculum`` is not installed
└── judge.errors, teachers.errors, …   each folder owns its branch
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec

from nexus_chain.errors import NexusError


class DistillationError(NexusError):
    """Root of this package's errors."""


class MissingPackageError(DistillationError):
    """Raised when a package that only distillation needs is not installed."""

    @classmethod
    def of(cls, package: str, extra: str = "distillation") -> MissingPackageError:
        """``package``: the name that pip knows; ``extra``: what brings it."""
        return cls(
            f"the package {package} is not installed",
            advice=f"Install it with: pip install 'neural-nexus[{extra}]'.",
        )


def require_packages(packages: Mapping[str, str]) -> None:
    """Raise MissingPackageError unless all are installed. ``packages``: the names that pip knows, by module."""
    for module, package in packages.items():
        if find_spec(module) is None:
            raise MissingPackageError.of(package)
