"""An example that a judge vouches for, and a set of them to train on."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from nexus_chain.distillation.memory.errors import ExampleError
from nexus_chain.distillation.memory.normal_form import NormalTexts

CATEGORIES = ("code", "math", "logic", "text")
TRAINING_CONFIDENCE = 0.8
TRAINING_EXAMPLES = 1000
LONGEST_TEXT = 1_000_000
"""Characters that a prompt, a response or a proof may have."""
_LONGEST_SOURCE = 200


@dataclass(frozen=True)
class VerifiedExample:
    """A prompt and the response that was chosen for it.

    ``source``: who gave the response. ``confidence``: 0 to 1. ``verification_proof``: what the judge gives as its
    reason, or where that is. ``category``: one of CATEGORIES. ``timestamp``: seconds since 1970. ``hash``: SHA-256 of
    both texts in normal form, in hexadecimal (see ``normal_form``). Raises ExampleError for anything else.
    """

    prompt: str
    response: str
    source: str
    confidence: float
    verification_proof: str | None
    category: str
    timestamp: float
    hash: str

    @classmethod
    def of(
        cls,
        prompt: str,
        response: str,
        *,
        source: str,
        confidence: float,
        category: str,
        verification_proof: str | None = None,
        timestamp: float | None = None,
    ) -> VerifiedExample:
        """An example with its hash; ``timestamp`` None: now. Raises ExampleError."""
        for name, text in (("prompt", prompt), ("response", response)):
            _require_text(name, text, LONGEST_TEXT)
        moment = time.time() if timestamp is None else timestamp
        digest = NormalTexts.of(prompt, response, category).hash
        return cls(prompt, response, source, confidence, verification_proof, category, moment, digest)

    def __post_init__(self) -> None:
        _require_text("prompt", self.prompt, LONGEST_TEXT)
        _require_text("response", self.response, LONGEST_TEXT)
        _require_text("source", self.source, _LONGEST_SOURCE)
        if self.verification_proof is not None:
            _require_text("verification_proof", self.verification_proof, LONGEST_TEXT)
        if not _is_number(self.confidence) or not 0 <= self.confidence <= 1:
            raise ExampleError("the confidence is no number from 0 to 1", advice="Give the distiller's confidence.")
        if self.category not in CATEGORIES:
            raise ExampleError("the category is unknown", advice=f"Give one of {', '.join(CATEGORIES)}.")
        if not _is_number(self.timestamp) or self.timestamp < 0:
            raise ExampleError("the timestamp is no time", advice="Give seconds since 1970.")
        if len(self.hash) != 64 or not set(self.hash) <= set("0123456789abcdef"):
            raise ExampleError("the hash is no SHA-256", advice="Make the example with VerifiedExample.of.")

    @property
    def normal_texts(self) -> NormalTexts:
        """Prompt and response in normal form."""
        return NormalTexts.of(self.prompt, self.response, self.category)


@dataclass(frozen=True)
class TrainingDataset:
    """Examples in the order of their hashes, which does not depend on when they were saved.

    ``avg_confidence``: 0 for an empty set. ``categories``: how many examples each category has.
    ``ready_for_training``: TRAINING_EXAMPLES or more have a confidence of TRAINING_CONFIDENCE or more.
    """

    examples: tuple[VerifiedExample, ...]
    total_count: int
    avg_confidence: float
    categories: Mapping[str, int]
    ready_for_training: bool

    @classmethod
    def of(cls, examples: Iterable[VerifiedExample]) -> TrainingDataset:
        """The set of ``examples``, which need no order."""
        ordered = tuple(sorted(examples, key=lambda example: example.hash))
        total = math.fsum(example.confidence for example in ordered)
        return cls(
            examples=ordered,
            total_count=len(ordered),
            avg_confidence=total / len(ordered) if ordered else 0.0,
            categories=MappingProxyType(dict(sorted(Counter(example.category for example in ordered).items()))),
            ready_for_training=is_ready(example.confidence for example in ordered),
        )


def is_ready(confidences: Iterable[float]) -> bool:
    """Whether enough examples are good enough to train on."""
    return sum(confidence >= TRAINING_CONFIDENCE for confidence in confidences) >= TRAINING_EXAMPLES


def _require_text(name: str, text: object, most: int) -> None:
    if not isinstance(text, str) or not text.strip():
        raise ExampleError(f"the {name} is empty", advice="Leave such an example out.")
    if len(text) > most:
        raise ExampleError(f"the {name} has {len(text)} characters of {most} allowed", advice="Shorten it.")
    # PostgreSQL keeps no NUL, and half a surrogate pair has no UTF-8.
    if "\0" in text or not (text.isascii() or _has_utf8(text)):
        raise ExampleError(f"the {name} holds a character that no database keeps", advice="Remove it.")


def _has_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
