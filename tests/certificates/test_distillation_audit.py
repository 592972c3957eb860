from __future__ import annotations

from nexus_chain.certificates.audit import DISTILLATION_STEPS
from tests.support.tiny_distillation import Distilled


def test_good(distilled: Distilled) -> None:
    report = distilled.audit()
    for s in report.steps:
        print(s)
    assert report.passed, report.failed_step
    assert len(report.steps) == len(DISTILLATION_STEPS)
