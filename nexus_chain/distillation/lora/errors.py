"""What can go wrong while an adapter is trained, measured, kept or merged.

LoraError
├── TrainingConfigError        a setting that makes no sense
├── TrainingDataError          examples that cannot be read or learned from
│   ├── OverlapError           a held-out problem is among the examples
│   └── NotEnoughExamplesError fewer than a training asks for
├── BaseModelError             a base model that cannot be loaded
├── AdapterError               an adapter that is damaged
│   └── OtherBaseError         an adapter of another base model
├── TrainingInterruptedError   the process ended before the training did; it can go on
├── TrainingStorageError       a disk that is full or refuses
└── LearnedVersionError               a version that is unknown, damaged, or not better than the one it would replace
    └── NotBetterError
"""

from __future__ import annotations

from nexus_chain.distillation.errors import DistillationError


class LoraError(DistillationError):
    """Root of this folder's errors."""


class TrainingConfigError(LoraError):
    """Raised for a setting of a training that makes no sense."""


class TrainingDataError(LoraError):
    """Raised for examples that cannot be read, or that nothing can be learned from."""


class OverlapError(TrainingDataError):
    """Raised when a held-out problem, or one nearly like it, is among the examples."""


class NotEnoughExamplesError(TrainingDataError):
    """Raised when a training is asked for before there are enough examples."""


class BaseModelError(LoraError):
    """Raised when the base model cannot be loaded."""


class AdapterError(LoraError):
    """Raised when an adapter is missing or damaged."""


class OtherBaseError(AdapterError):
    """Raised when an adapter was trained on another base model."""


class TrainingInterruptedError(LoraError):
    """Raised when the process of a training ended too early. The same training goes on from its checkpoint."""


class TrainingStorageError(LoraError):
    """Raised when the disk is full, or refuses."""


class LearnedVersionError(LoraError):
    """Raised for a version that is unknown or whose record is damaged."""


class NotBetterError(LearnedVersionError):
    """Raised when a version is not shown to be better than the one that it would replace."""
