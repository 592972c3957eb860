"""The node's state in use: events go through the write-ahead log before they become visible.

Thread-safe. One ledger owns one log; effects are returned to whoever brought the event.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from node.daemon.ledger.effects import Effect
from node.daemon.ledger.events import (
    Event,
    RowsDiscarded,
    RowsReceived,
    RowsRecovered,
    SessionForgotten,
    TimePassed,
    VoucherReceived,
)
from node.daemon.ledger.state import NodeState, Terms
from node.daemon.ledger.transition import transition
from node.daemon.ledger.write_ahead_log import WriteAheadLog

#: Found out again after a restart, from the rows on disk and the clock.
_NOT_LOGGED = (RowsReceived, RowsDiscarded, RowsRecovered, TimePassed)
#: What a power cut may take until the next receipt: at worst the pay for one chunk, and the client has it too.
_UNHURRIED = (VoucherReceived,)


class Ledger:
    """The current ``NodeState``, rebuilt from ``log`` when constructed.

    A ``reader`` writes nothing: it looks at, or acts for, a node whose daemon may be running.
    """

    def __init__(self, log: WriteAheadLog, terms: Terms, *, reader: bool = False) -> None:
        self._log, self._reader = log, reader
        self._lock = threading.RLock()
        self._state = NodeState(terms)
        for event in log.events():
            self._state, _ = transition(self._state, event)

    @property
    def state(self) -> NodeState:
        """The state now; immutable, so it may be kept."""
        return self._state

    def dispatch(self, event: Event, record: Callable[[], None] | None = None) -> tuple[Effect, ...]:
        """Check, write down, then apply ``event``; returns its effects.

        ``record`` writes the event down where that is not the log's business: rows are logged as rows.
        Raises what ``transition`` raises, with nothing written.
        """
        with self._lock:
            after, effects = transition(self._state, event)
            if record is not None:
                record()
            elif isinstance(event, SessionForgotten) and not self._reader:
                orders = [one.digest for one in self._state.orders.values() if one.session == event.session]
                self._log.forget(event.session, orders)
            elif after is not self._state and not self._reader and not isinstance(event, _NOT_LOGGED):
                self._log.append(event, durable=not isinstance(event, _UNHURRIED))
            self._state = after
        return effects

    def close(self) -> None:
        """Close the log; later events fail."""
        with self._lock:
            self._log.close()
