"""Errors of the disputes package.

NexusError
└── DisputeError
    ├── TraceInputError       what a trace is to be computed from does not fit the segment
    ├── ProgramTooLargeError  disputes about this program could not be played to their end
    ├── NothingToDisputeError the published data agrees with the recomputation
    └── WitnessError          no witness can be built for this element
"""

from __future__ import annotations

from nexus_chain.errors import NexusError


class DisputeError(NexusError):
    """Base of everything that goes wrong while preparing a move."""


class TraceInputError(DisputeError):
    """Rows, prompt or layers do not belong to the segment whose trace is wanted."""


class NothingToDisputeError(DisputeError):
    """The node's data equals the recomputation: a challenge would lose."""


class WitnessError(DisputeError):
    """The element asked about is outside the tensor, or its op has no witness."""


class ProgramTooLargeError(DisputeError):
    """A program is beyond what games can be about, so lies in it could not be convicted."""
