"""Pages of events: newest first, so many at once, and where the next page begins."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Unpack

from node.gateway.errors import InvalidRequestError
from node.gateway.explorer.archive import ChainArchive, WantedEvents
from node.gateway.explorer.chain_events import KeptEvent

LARGEST_PAGE = 100
_PLACE = re.compile(r"([0-9]{1,18})-([0-9]{1,9})\Z")


@dataclass(frozen=True)
class PageRequest:
    """``limit``: items at most. ``before``: the place of an event that every item is older than; None: the newest."""

    limit: int = 25
    before: tuple[int, int] | None = None

    @classmethod
    def of(cls, limit: int, before: str | None) -> PageRequest:
        """Raises InvalidRequestError."""
        if not 1 <= limit <= LARGEST_PAGE:
            raise InvalidRequestError(
                f"limit {limit} is out of range", advice=f"Give 1 to {LARGEST_PAGE}.", param="limit"
            )
        return cls(limit, None if before is None else place_of(before, "before"))


def place_of(id: str, param: str) -> tuple[int, int]:
    """Block and log index of an event's id. Raises InvalidRequestError."""
    found = _PLACE.match(id)
    if found is None:
        raise InvalidRequestError(
            f"{id!r:.60} is no event's id", advice="Take it from `next` or `id` of an answer.", param=param
        )
    return int(found[1]), int(found[2])


def page_of(
    archive: ChainArchive,
    page: PageRequest,
    item: Callable[[KeptEvent], dict[str, Any]],
    **wanted: Unpack[WantedEvents],
) -> dict[str, Any]:
    """An item for each event that is ``wanted``; ``next``: the ``before`` of the page behind, None: there is none."""
    found = list(archive.events(before=page.before, newest_first=True, limit=page.limit + 1, **wanted))
    shown = found[: page.limit]
    return {"items": [item(event) for event in shown], "next": shown[-1].id if len(found) > page.limit else None}
