"""What can go wrong between a checkpoint and an integer program.

NexusError
└── ProgramError
    ├── CheckpointLayoutError      not a checkpoint this importer understands
    ├── CheckpointFileError        a file of it is truncated or not what it claims to be
    ├── TensorMismatchError        a tensor is missing, unexpected, or has the wrong shape or type
    ├── NonFiniteWeightError       NaN or infinity in named rows of a named tensor
    ├── RecipeError                what an import is to choose does not fit the checkpoint
    ├── NotEnoughMemoryError       a model is larger than what this machine can hold
    ├── ModelFolderError           an integer model could not be written
    ├── SamplingError              sampling parameters outside their range
    ├── ProgramFormatError         a program or integer model on disk is not well formed
    ├── UnreproducibleProgramError a program that no builder makes of its own shape and widths
    ├── OverflowProofError         a descriptor lets an intermediate leave 64 bits
    └── KindTableError             a part of this code does not know an op kind, or knows one too many
"""

from __future__ import annotations

from nexus_chain.errors import NexusError


class ProgramError(NexusError):
    """Anything wrong with a checkpoint or an integer program."""


class CheckpointLayoutError(ProgramError):
    """The folder is not a Hugging Face checkpoint of a supported architecture."""


class CheckpointFileError(ProgramError):
    """A file of the checkpoint is truncated, unreadable or malformed."""


class TensorMismatchError(ProgramError):
    """A tensor is missing, unexpected, or its shape or type contradicts the configuration."""


class NonFiniteWeightError(ProgramError):
    """A tensor holds NaN or infinity; the message names the tensor and the rows."""


class RecipeError(ProgramError):
    """The recorded choices of an import are malformed or do not fit the checkpoint."""


class NotEnoughMemoryError(ProgramError):
    """The machine has less memory than a model needs; the message says how much that is."""


class ModelFolderError(ProgramError):
    """The files of an integer model could not be written."""


class SamplingError(ProgramError):
    """A temperature, beta or seed is outside its range."""


class ProgramFormatError(ProgramError):
    """A program or an integer model is not well formed."""


class UnreproducibleProgramError(ProgramError):
    """A program differs from what the builders make of its shape; the message names the first op."""


class OverflowProofError(ProgramError):
    """An intermediate of an op can leave its range; the message names both."""


class KindTableError(ProgramError):
    """A part of this code lacks an op kind, or names one that does not exist; raised at import."""
