"""What a doctor finds: one line a check, with a level and advice. And the checks of any machine."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nexus_chain.byte_sizes import format_size
from nexus_chain.errors import NexusError, OperatingSystemError
from nexus_chain.settings import DEFAULT, Explained

OK, WARN, FAIL = "OK", "WARN", "FAIL"
PYTHONS = ((3, 11), (3, 12))
_DISTRIBUTION = "neural-nexus"
_PINNED = re.compile(r"([A-Za-z0-9_.-]+)==([^;\s]+)$")


@dataclass(frozen=True)
class Finding:
    """What one check found. ``advice``: what to do; empty where nothing is."""

    level: str
    said: str
    advice: str = ""


Check = tuple[str, Callable[[], Finding]]


@dataclass(frozen=True)
class Report:
    """Findings in the order of their checks, each with its check's name."""

    findings: tuple[tuple[str, Finding], ...]

    @property
    def passed(self) -> bool:
        """Whether nothing failed; warnings do not."""
        return all(found.level != FAIL for _, found in self.findings)

    def lines(self) -> Iterator[str]:
        """One line a check."""
        for name, found in self.findings:
            yield f"{found.level:4} {name}: {found.said}" + (f". {found.advice}" if found.advice else "")

    def to_dict(self) -> dict[str, Any]:
        """For scripts."""
        return {"passed": self.passed, "checks": [{"check": name, **asdict(found)} for name, found in self.findings]}


def examine(*groups: Sequence[Check]) -> Report:
    """Run the checks. A group ends with its first failure: what comes after stands on it."""
    return Report(tuple(found for group in groups for found in _until_failure(group)))


def _until_failure(checks: Iterable[Check]) -> Iterator[tuple[str, Finding]]:
    for name, check in checks:
        found = _finding(check)
        yield name, found
        if found.level == FAIL:
            return


def _finding(check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except NexusError as error:
        return Finding(FAIL, error.message.rstrip("."), error.advice)
    except OSError as error:
        wrong = OperatingSystemError.of(error)
        return Finding(FAIL, wrong.message, wrong.advice)


def python_version() -> Finding:
    """Whether this Python is one that the package is made for."""
    said = f"{platform.python_implementation()} {platform.python_version()} on {platform.system()} {platform.machine()}"
    if sys.version_info[:2] in PYTHONS:
        return Finding(OK, said)
    return Finding(FAIL, said, "Use Python 3.11 or 3.12.")


def packages() -> Finding:
    """Whether the packages are there, in the versions that this distribution names."""
    try:
        wanted = importlib.metadata.requires(_DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        return Finding(WARN, f"{_DISTRIBUTION} runs from its sources", "Install it to have its packages checked.")
    pinned = [found for text in wanted if (found := _PINNED.match(text.replace(" ", "")))]
    wrong = [f"{one[1]} is {has or 'missing'}, not {one[2]}" for one in pinned if (has := _version(one[1])) != one[2]]
    if not wrong:
        return Finding(OK, f"{len(pinned)} packages as pinned")
    level = FAIL if any("missing" in text for text in wrong) else WARN
    return Finding(level, "; ".join(wrong), f"Install {_DISTRIBUTION} again.")


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name).split("+")[0]  # torch says +cpu
    except importlib.metadata.PackageNotFoundError:
        return None


def settings_said(found: Iterable[Explained]) -> Finding:
    """Every setting that is not at its default, and where its value comes from."""
    chosen = [f"{one.name} = {one.shown} ({one.source})" for one in found if one.source not in (DEFAULT, "")]
    return Finding(OK, "; ".join(chosen) or "all at their defaults; see the command `settings`")


def private(path: Path, what: str, *, must: bool = True) -> Finding:
    """Whether nobody but its owner can read a file or folder; ``must``: whether it is a failure if they can."""
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        wanted = "700" if path.is_dir() else "600"
        return Finding(FAIL if must else WARN, f"{what} {path} has mode {mode:o}", f"Run chmod {wanted} {path}.")
    if not os.access(path, os.R_OK):
        return Finding(FAIL, f"{what} {path} cannot be read", "Run this as its owner.")
    return Finding(OK, f"{path}")


def disk_space(folder: Path, wanted: int, least: int = 1 << 30) -> Finding:
    """Whether the disk below ``folder`` has ``wanted`` bytes free; less than ``least`` is a failure."""
    place = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    free = shutil.disk_usage(place).free
    said = f"{format_size(free)} free at {place}"
    if free >= max(wanted, least):
        return Finding(OK, said)
    return Finding(WARN if free >= least else FAIL, f"{said}, {format_size(max(wanted, least))} may be needed",
                   "Free space.")  # fmt: skip
