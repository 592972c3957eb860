"""What foreign clients found of a gateway, and the record of it in build/conformance.json.

Knows no client and no gateway.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

RECORD = Path("build/conformance.json")
SCRIPTED, LIVE = "scripted", "live"
"""Gateways over a service that says what is written down, and gateways over a network that computes."""


@dataclass(frozen=True)
class Finding:
    """``reason``: why a check may fail. ``gateway``: SCRIPTED or LIVE."""

    client: str
    check: str
    passed: bool
    problem: str = ""
    reason: str = ""
    gateway: str = LIVE

    @property
    def is_right(self) -> bool:
        """Whether it ended as it is meant to."""
        return self.passed != bool(self.reason)

    @property
    def line(self) -> str:
        """For people."""
        word = "pass" if self.passed else "as argued" if self.reason else "FAIL"
        why = self.reason or self.problem
        return f"{word:9} {self.client}: {self.check}" + ("" if self.passed or not why else f" ({why})")


def report_findings(found: Iterable[Finding], record: Path = RECORD) -> bool:
    """Print each finding when it comes, and write ``record``. Returns whether all ended as they are meant to.

    What other clients found before, or the same ones of the other gateway, stays in the record.
    """
    new: list[Finding] = []
    for finding in found:
        print(finding.line, flush=True)
        new.append(finding)
    counts = _counts(new)
    asked = {(finding.client, finding.gateway) for finding in new}
    findings = [*(one for one in _recorded(record) if (one.client, one.gateway) not in asked), *new]
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(json.dumps({**_counts(findings), "findings": list(map(asdict, findings))}, indent=1) + "\n")
    print(f"{counts['passed']} of {counts['checks']} checks pass, {counts['argued']} fail as argued: {record}")
    return not counts["wrong"]


def _counts(findings: Sequence[Finding]) -> dict[str, int]:
    return {
        "checks": len(findings),
        "passed": sum(finding.passed for finding in findings),
        "argued": sum(not finding.passed and bool(finding.reason) for finding in findings),
        "wrong": sum(not finding.is_right for finding in findings),
    }


def _recorded(record: Path) -> Iterator[Finding]:
    """What the record holds; nothing where there is none, or one of another shape."""
    try:
        kept: Sequence[Mapping[str, Any]] = json.loads(record.read_text())["findings"]
        yield from [Finding(**one) for one in kept if "gateway" in one]
    except (OSError, ValueError, KeyError, TypeError):
        return
