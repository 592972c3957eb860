"""One request and its response, as far as answers are concerned: what was asked in it, and the hashes of its bytes.

The middleware opens it before a route runs, and the service adds the answers that it begins. So every interface has
the same headers and the same evidence, and no answer outlives its request, whatever the routes do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol


class BegunAnswer(Protocol):
    """An answer that a request began. ``cost_wei`` and ``network_seconds`` are known once it ``has_ended``."""

    id: str
    network_seconds: float
    """What of the request's time was the network's."""

    @property
    def cost_wei(self) -> int:
        """What the caller pays for it."""

    @property
    def has_ended(self) -> bool:
        """Whether it is over and its cost is known."""

    def note_leaving(self) -> None:
        """Its caller has hung up."""

    async def aclose(self) -> None:
        """End it, and wait until it is paid and its evidence kept."""


@dataclass
class Exchange:
    """``id``: of the request. ``sent``: hash of the response's bytes so far."""

    id: str
    request_hash: str = ""
    answers: list[BegunAnswer] = field(default_factory=list)
    sent: Any = field(default_factory=hashlib.sha256)

    @property
    def signed_text(self) -> str:
        """Hex SHA-256 of the request's body and of the response's, with a colon between."""
        return f"{self.request_hash}:{self.sent.hexdigest()}"


CURRENT: ContextVar[Exchange | None] = ContextVar("nexus_exchange", default=None)
"""The exchange that the running task serves."""


def note_answer(answer: BegunAnswer) -> None:
    """Have the running exchange name ``answer`` in its headers, and end it where its route did not."""
    if (exchange := CURRENT.get()) is not None:
        exchange.answers.append(answer)


def arrange_answers(ids: Sequence[str]) -> None:
    """Have the running exchange name its answers in this order, whichever was begun first.

    Whoever sent several prompts tells by it which receipts are those of which.
    """
    if (exchange := CURRENT.get()) is not None:
        place = {id: number for number, id in enumerate(ids)}
        exchange.answers.sort(key=lambda answer: place.get(answer.id, len(place)))
