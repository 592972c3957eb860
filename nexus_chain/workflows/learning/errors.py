"""What can go wrong with a run of distillation, beside what its stages raise.

DistillationError
└── RunFolderError          what a run's folder keeps of its plan cannot be read
    ├── OtherPlanError      the folder belongs to a run with another plan
    └── UnknownRunError     there is no run of that name
"""

from __future__ import annotations

from nexus_chain.distillation.errors import DistillationError


class RunFolderError(DistillationError):
    """Raised when a file that a run kept of its own plan is damaged."""


class OtherPlanError(RunFolderError):
    """Raised when a run is started in the folder of another one: its answers and examples are not this run's."""


class UnknownRunError(RunFolderError):
    """Raised where somebody wants to look at a run that is not there."""
