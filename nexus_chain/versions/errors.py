"""What can go wrong with the files of a model version.

NexusError
└── VersionError
    ├── ModelFilesError      model or tokenizer files missing or not the registered ones
    ├── ChatFormatError      a conversation cannot be written as the model expects it
    ├── PromptTooLongError   prompt and answer do not fit the model's context
    └── TrainedFolderError   a trained folder lacks something or contradicts itself
"""

from __future__ import annotations

from nexus_chain.errors import NexusError


class VersionError(NexusError):
    """Root of this package's errors."""


class ModelFilesError(VersionError):
    """Model or tokenizer files are missing, or are not those the chain registers."""


class ChatFormatError(VersionError):
    """The model has no chat format, or its template does not take the conversation."""


class PromptTooLongError(VersionError):
    """Prompt and answer together exceed the model's context."""


class TrainedFolderError(VersionError):
    """A trained folder lacks a file, or its files contradict each other."""
