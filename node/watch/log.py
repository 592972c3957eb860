"""The watcher's write-ahead log and the state that its events add up to."""

from __future__ import annotations

from pathlib import Path

from nexus_chain.event_log import EventLog
from node.watch.cases import (
    AnswerJudged,
    CaseEnded,
    CaseOpened,
    CaseReopened,
    GameFound,
    MoveMined,
    ReceiptJudged,
    TraceSeen,
    WatchEvent,
    WatchState,
    next_state,
)

_KINDS = {
    kind.__name__: kind
    for kind in (AnswerJudged, ReceiptJudged, CaseOpened, GameFound, MoveMined, CaseEnded, CaseReopened, TraceSeen)
}


class CaseBook:
    """The current ``WatchState``, rebuilt from the log at ``path`` when constructed."""

    def __init__(self, path: Path) -> None:
        self._log: EventLog[WatchEvent] = EventLog(path, _KINDS)
        self.state = WatchState()
        for event in self._log.events():
            self.state = next_state(self.state, event)

    def write(self, event: WatchEvent) -> WatchState:
        """Apply ``event``; it is on the disk before it counts."""
        after = next_state(self.state, event)
        if after is not self.state:
            self._log.append(event)
            self.state = after
        return after

    def close(self) -> None:
        """Close the file."""
        self._log.close()
