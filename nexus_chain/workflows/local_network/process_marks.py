"""Whether a process is the one that was started: a number is used again, by others and after a machine's restart."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

_PROCESSES = Path("/proc")
_BOOT_ID = _PROCESSES / "sys/kernel/random/boot_id"
_LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class ProcessMark:
    """A process by its number and by when it started, as this system says it."""

    number: int
    started: str

    @property
    def is_alive(self) -> bool:
        """Whether that very process still runs; one that has ended and waits for its parent does not."""
        return bool(self.started) and _started(self.number) == self.started

    def ask_to_end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Signal the process, and its group where it leads one. One that is gone by now is no error."""
        if not self.is_alive:
            return
        try:
            if os.getpgid(self.number) == self.number:
                os.killpg(self.number, number)
            else:
                os.kill(self.number, number)
        except ProcessLookupError:
            return

    def end(self, grace: float) -> None:
        """Ask it to end, wait ``grace`` seconds, then end it as a power cut would."""
        self.ask_to_end()
        deadline = time.monotonic() + grace
        while self.is_alive and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
        self.ask_to_end(signal.SIGKILL)


def mark_of(number: int) -> ProcessMark:
    """The mark of a process that runs now; one that is not alive has none that ever is."""
    return ProcessMark(number, _started(number))


def _started(number: int) -> str:
    """When a process started, in the system's own terms; empty where none of that number runs."""
    if not _BOOT_ID.is_file():
        return _started_by_ps(number)
    try:
        state, *fields = (_PROCESSES / str(number) / "stat").read_text().rpartition(")")[2].split()
        return "" if state in "ZX" else f"{_BOOT_ID.read_text().strip()} {fields[18]}"
    except (OSError, ValueError, IndexError):
        return ""


def _started_by_ps(number: int) -> str:
    words = ["ps", "-o", "stat=,lstart=", "-p", str(number)]
    state, _, started = subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip().partition(" ")
    return "" if state.startswith("Z") else started.strip()
