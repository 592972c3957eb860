"""What can go wrong while an import's quality is measured.

NexusError
└── QualityError
    ├── CalibrationError    no text to measure on, or a tokenizer that does not fit the model
    ├── FloatModelError     the float model that the integers are compared with does not run
    ├── QualityGateError    the integer model loses more than allowed, or behaves otherwise
    └── MeasurementError    a sample or a metric is not what is certified
"""

from __future__ import annotations

from nexus_chain.errors import NexusError


class QualityError(NexusError):
    """The quality of an import could not be measured, or is not good enough."""


class CalibrationError(QualityError):
    """The calibration text is missing or too short, or the tokenizer does not belong to the model."""


class FloatModelError(QualityError):
    """The float model cannot be loaded or run."""


class QualityGateError(QualityError):
    """A measure of the integer model is past the gate; the message states what was found and what is asked for."""


class MeasurementError(QualityError):
    """A held-out sample or a measured figure is not what is certified."""
