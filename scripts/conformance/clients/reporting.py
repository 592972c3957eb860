"""How a foreign client's program tells what it found: a line of JSON for each check. It knows nothing of ours."""

from __future__ import annotations

import json
import os
from collections.abc import Callable

URL, KEY = os.environ["NEXUS_URL"], os.environ["NEXUS_KEY"]
CHAT, TEXT, ENCODER = (os.environ.get(f"NEXUS_{kind}", "") for kind in ("CHAT", "TEXT", "ENCODER"))
_CHECKS: list[Callable[[], None]] = []


def check(found: Callable[[], None]) -> Callable[[], None]:
    """Have ``run_checks`` call it; it raises where something is not as it should be."""
    _CHECKS.append(found)
    return found


def equal(found: object, expected: object) -> None:
    """Raise unless both are the same."""
    if found != expected:
        raise ValueError(f"{found!r} is not {expected!r}")


def run_checks() -> None:
    """Every check in order, a line for each."""
    for one in _CHECKS:
        try:
            one()
            report(one.__name__)
        except Exception as error:  # noqa: BLE001  # whatever a client raises is what is told
            report(one.__name__, f"{type(error).__name__}: {error}")


def report(name: str, problem: str = "") -> None:
    """Tell of one check."""
    print(json.dumps({"check": name, "passed": not problem, "problem": problem[:600]}), flush=True)
