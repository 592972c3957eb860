"""What can go wrong while executing an integer program.

NexusError
└── EngineError
    ├── ContextExceededError    more positions than the model or the opened cache holds
    ├── InvalidRowsError        rows that this segment cannot consume
    ├── MemoryLimitError        a memory limit too small to stream a shard
├── ScratchMemoryError      no memory for a batch's temporaries
    ├── StateMismatchError      a state of another engine, or the same state twice in a batch
├── UnknownWeightError      weights are named that these layers do not read
    └── KernelUnavailableError  the compiled kernels were asked for and cannot be used here
"""

from __future__ import annotations

from nexus_chain.errors import NexusError


class EngineError(NexusError):
    """Anything wrong with what an executor was asked to do."""


class ContextExceededError(EngineError):
    """The prompt or the answer does not fit the model's context or the capacity that was opened."""


class InvalidRowsError(EngineError):
    """The rows fed to a segment have the wrong type, shape or range."""

    @classmethod
    def second_entry(cls, length: int) -> InvalidRowsError:
        """Rows fed to a sequence of an encoder that already holds ``length`` positions."""
        return cls(
            f"All positions of an encoder's sequence enter at once, and this one already holds {length}",
            advice="Open a new sequence and feed the whole text in one call.",
        )


class MemoryLimitError(EngineError):
    """Not even one layer at a time fits the limit; ``least`` bytes would do."""

    def __init__(self, message: str, least: int, *, advice: str) -> None:
        super().__init__(message, advice=advice)
        self.least = least


class ScratchMemoryError(EngineError):
    """The operating system gave no memory for the temporaries of a batch."""


class StateMismatchError(EngineError):
    """A sequence state does not belong to this engine, or appears twice in one batch."""


class UnknownWeightError(EngineError):
    """A weight was named that the engine's layers do not read."""


class KernelUnavailableError(EngineError):
    """The compiled kernels cannot be built, loaded or trusted on this machine."""
