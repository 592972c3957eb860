"""SIGTERM and Ctrl-C while a daemon serves: the first lets it end its work, the second ends it as a power cut would."""

from __future__ import annotations

import os
import signal
import threading

from nexus_chain.interruption import EXIT_CODES


def end_by_signal(ended: threading.Event) -> None:
    """Set ``ended`` at the first signal; leave the process at the second: all that was promised is on the disk."""

    def note(number: int, frame: object) -> None:
        if ended.is_set():
            os._exit(EXIT_CODES[signal.Signals(number)])
        ended.set()

    for number in EXIT_CODES:
        signal.signal(number, note)
