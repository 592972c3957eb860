"""Claims as JSON documents: a kind, and the fields that the judge of that kind reads.

{"kind": "aethel", "source": "intent …"}       or "response", which holds one source; "specification" or none
{"kind": "mathematics", "response": …, "expected": …, "domain": …, "scope": …}
{"kind": "python", "code": …, "function": …, "domain": …, "reference" or "contract": …, "examples": …}
{"kind": "text", "answers": [… , …]}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nexus_chain.distillation.judge.errors import ClaimError
from nexus_chain.distillation.judge.verdict import Kind
from nexus_chain.json_text import parse_json

LARGEST_CLAIM = 4 << 20
"""Bytes of the document."""


@dataclass(frozen=True)
class AethelClaim:
    """Exactly one of ``source`` and ``response``, a text that holds one source. ``specification``: see judge_aethel."""

    source: str | None = None
    response: str | None = None
    specification: str | None = None

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> AethelClaim:
        """Raises ClaimError."""
        require_fields(document, needed=(), optional=("source", "response", "specification"))
        made = cls(*(optional_text(document, name) for name in ("source", "response", "specification")))
        if (made.source is None) == (made.response is None):
            raise claim_refusal("it needs one of the fields 'source' and 'response'")
        return made


@dataclass(frozen=True)
class TextClaim:
    """Answers in plain text to one question."""

    answers: tuple[str, ...]

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> TextClaim:
        """Raises ClaimError."""
        require_fields(document, needed=("answers",), optional=())
        answers = document["answers"]
        if not isinstance(answers, list | tuple) or not all(isinstance(one, str) for one in answers):
            raise claim_refusal("its field 'answers' is no list of texts")
        return cls(tuple(answers))


def read_claim(text: str | bytes) -> dict[str, Any]:
    """The document of a claim's JSON, of at most ``LARGEST_CLAIM`` bytes. Raises ClaimError."""
    if len(text) > LARGEST_CLAIM:
        raise claim_refusal(f"it is larger than {LARGEST_CLAIM} bytes")
    try:
        value = parse_json(text)
    except ValueError as error:
        raise claim_refusal(f"it is no JSON ({error})") from error
    if not isinstance(value, dict):
        raise claim_refusal("it is no JSON object")
    kind_of(value)
    return value


def kind_of(document: Mapping[str, Any]) -> Kind:
    """Raises ClaimError for a kind that is none."""
    if document.get("kind") not in list(Kind):
        raise claim_refusal(f"its kind is none of {', '.join(Kind)}")
    return Kind(document["kind"])


def require_fields(document: Mapping[str, Any], needed: tuple[str, ...], optional: tuple[str, ...]) -> None:
    """ClaimError for a field that is missing, and for one that nobody would read."""
    for name in needed:
        if name not in document:
            raise claim_refusal(f"it lacks the field {name!r}")
    for name in document:
        if name not in ("kind", *needed, *optional):
            raise claim_refusal(f"it has the field {ascii(name)[:64]}, which {document['kind']} does not know")


def required_text(document: Mapping[str, Any], name: str) -> str:
    """A field that has to be text. Raises ClaimError."""
    value = optional_text(document, name)
    if value is None:
        raise claim_refusal(f"its field {name!r} is no text")
    return value


def optional_text(document: Mapping[str, Any], name: str) -> str | None:
    """A field that is text, or null or absent. Raises ClaimError."""
    value = document.get(name)
    if value is not None and not isinstance(value, str):
        raise claim_refusal(f"its field {name!r} is no text")
    return value


def claim_refusal(problem: str) -> ClaimError:
    """A claim that cannot be read."""
    return ClaimError(f"the claim cannot be read: {problem}", advice="Write it as docs/aethel.md shows.")
