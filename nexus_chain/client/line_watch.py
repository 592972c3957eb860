"""Before every chunk: is every node still bound by what it will sign, and can the answer still be disputed?

The chain is not asked on the way of an answer that is quick: what it said a few seconds ago counts, and is
brought up to date aside. Only when that is too old does the next chunk wait for a fresh answer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

from nexus_chain.chain.errors import ChainError
from nexus_chain.chain.line_facts import SessionFacts
from nexus_chain.client.errors import NodeUnfitError, SessionStateError
from nexus_chain.wire.peer import NodeContact

OLDEST_SECONDS = 10.0
"""What the chain said may be so old when a chunk starts, or a quarter of the challenge window if that is shorter."""
REFRESH_AFTER = 0.25
"""Share of that age from which on the chain is asked again, aside."""


class LineWatch:
    """The facts of one session's lines while answers are under way. ``read`` asks the chain. Any thread may use it."""

    def __init__(self, read: Callable[[], SessionFacts]) -> None:
        """Reads once. Raises what ``read`` does."""
        self._read = read
        self._aside: threading.Thread | None = None
        self._lock = threading.Lock()
        now = time.monotonic()
        self._known = read(), now

    @property
    def facts(self) -> SessionFacts:
        """What the chain said last."""
        return self._known[0]

    def before_chunk(self, contact: NodeContact) -> NodeUnfitError | None:
        """Why the node must not get another chunk, or None.

        Raises SessionStateError when the session's own time is over, and the chain's errors when it does not answer
        for longer than facts may be old.
        """
        self.bring_up_to_date()
        self._require_session()
        return self.unfit(contact.address)

    def fit_spare(self, candidates: Iterable[NodeContact]) -> NodeContact | None:
        """The first candidate that may be sent work, as the chain says now. Raises as ``before_chunk``."""
        self.refresh()
        self._require_session()
        return next((contact for contact in candidates if self.unfit(contact.address) is None), None)

    def unfit(self, node: str) -> NodeUnfitError | None:
        """Why a node must not be sent work, as far as the chain said so; None too for nodes that nobody asked about."""
        reason = self.facts.unfit(node) if node in self.facts.nodes else ""
        if not reason:
            return None
        return NodeUnfitError(f"node {node} {reason}", advice="Another node may take its place.")

    def refresh(self) -> None:
        """Ask the chain now. Raises the chain's errors."""
        now = time.monotonic()
        facts = self._read()
        with self._lock:
            if now >= self._known[1]:  # a slow answer does not replace a newer one
                self._known = facts, now

    def _require_session(self) -> None:
        if self.facts.ended:
            raise SessionStateError(
                f"the session {self.facts.ended} while the answer was under way",
                advice="What was computed is receipted and kept; open another session to ask again.",
            )

    def bring_up_to_date(self) -> None:
        """Wait for the chain where what it said is too old; ask it aside where that will be soon."""
        facts, taken = self._known
        oldest = min(OLDEST_SECONDS, facts.window / 4)
        age = time.monotonic() - taken
        if age > oldest:
            self.refresh()
        elif age > REFRESH_AFTER * oldest:
            self._refresh_aside()

    def _refresh_aside(self) -> None:
        with self._lock:
            if self._aside is None or not self._aside.is_alive():
                self._aside = threading.Thread(target=self._take_quietly, name="nexus-lines", daemon=True)
                self._aside.start()

    def _take_quietly(self) -> None:
        """Ask aside: a failure only leaves the facts as old as they are."""
        try:
            self.refresh()
        except ChainError:
            return
