"""A distillation's audit that has to fail: everything is signed and anchored by the operator again.

So only a step's own check can object.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nexus_chain.certificates.audit import AuditReport
from nexus_chain.certificates.audit_evidence import AuditRequest
from nexus_chain.certificates.distillation_publication import (
    SUMMARY_FILE,
    DistillationSummary,
)
from nexus_chain.chain.wallet import Wallet
from nexus_chain.content.canonical import canonical_bytes, read_canonical
from nexus_chain.content.record_lines import RecordLines
from tests.support.tiny_distillation import (
    Distilled,
    ToyRetrainer,
    certify,
)
from tests.support.tiny_publication import Published

STRANGER = Wallet(bytes(31) + b"\x08")
EVERYTHING = AuditRequest(sample=None, seed="s")
#: Three of everything: enough for what a sample cannot miss.
LITTLE = AuditRequest(sample=3, seed="s", retrainer=ToyRetrainer())


def assert_fails_at(report: AuditReport, number: int, reason: str = "") -> None:
    failed = report.failed_step
    assert failed is not None, report
    assert (failed.number, reason in failed.detail) == (number, True), failed
    assert not report.passed
    assert [step.number for step in report.steps] == list(range(1, number + 1)), "it stops at the failed step"


class Forge:
    """Certifies a distillation's folder after some of its files were changed."""

    def __init__(self, distilled: Distilled, parent: Published, folder: Path) -> None:
        self._distilled, self._parent, self.folder = distilled, parent, folder / "kept"
        shutil.copytree(distilled.folder, self.folder)

    def records(self, name: str, kind: type[Any]) -> list[Any]:
        return list(RecordLines.read(kind, (self.folder / name).read_bytes(), name).records)

    def write(self, name: str, records: list[Any]) -> None:
        (self.folder / name).write_bytes(RecordLines.of(records).to_bytes())

    def summarise(self, change: Callable[[DistillationSummary], DistillationSummary]) -> None:
        path = self.folder / SUMMARY_FILE
        path.write_bytes(canonical_bytes(change(read_canonical(DistillationSummary, path.read_bytes(), "summary"))))

    def certified(self, child: Path | None = None) -> Distilled:
        return certify(self._parent, self.folder, child or self._distilled.child, self._distilled.store)
