"""Models that a gateway's machine can fetch by name, as its routes see them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from node.gateway.errors import UnknownModelError


@dataclass(frozen=True)
class PullProgress:
    """How far the fetching of a model is.

    ``status``: in words. ``digest``: ``sha256:`` and the file's hash, in hex, where a file is under way; ``total`` and
    ``completed``: its bytes.
    """

    status: str
    digest: str | None = None
    total: int | None = None
    completed: int | None = None


class Catalogue(Protocol):
    """Models that can be fetched. Raises GatewayError and nothing else on purpose."""

    def names(self) -> Sequence[str]:
        """Names of the entries."""

    def pull(self, name: str) -> AsyncIterator[PullProgress]:
        """Fetch the entry of that name; one that is here already is checked. Raises UnknownModelError."""


class EmptyCatalogue:
    """Nothing can be fetched."""

    def names(self) -> Sequence[str]:
        """None."""
        return ()

    def pull(self, name: str) -> AsyncIterator[PullProgress]:
        """Raises UnknownModelError."""
        raise unknown_entry(name, self.names())


def unknown_entry(name: str, known: Sequence[str]) -> UnknownModelError:
    """The error that says which names a catalogue has."""
    advice = f"It has: {', '.join(known)}." if known else "This gateway fetches no models: ask its operator."
    return UnknownModelError(f"the catalogue has no model {name!r}", advice=advice, param="model")
