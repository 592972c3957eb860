"""Solvers that all audits share, and whoever forges a distillation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

from nexus_chain.certificates import distillation_judging, distillation_publication
from nexus_chain.distillation.judge.solvers import SolverLimits, Solvers
from tests.support.forged_distillation import Forge
from tests.support.tiny_distillation import (
    Distilled,
)
from tests.support.tiny_publication import Published


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Threads only wait for each other over tensors as small as these."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def kept_solvers() -> Iterator[dict[SolverLimits, Solvers]]:
    """Processes of solvers that serve all audits: starting one takes longer than all obligations here."""
    kept: dict[SolverLimits, Solvers] = {}
    yield kept
    for solvers in kept.values():
        solvers.close()


@pytest.fixture(autouse=True)
def shared_solvers(kept_solvers: dict[SolverLimits, Solvers], monkeypatch: pytest.MonkeyPatch) -> None:
    def shared(limits: SolverLimits) -> nullcontext[Solvers]:
        return nullcontext(kept_solvers.setdefault(limits, Solvers(limits)))

    monkeypatch.setattr(distillation_judging, "Solvers", shared)


@pytest.fixture
def forge(distilled: Distilled, published: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Forge:
    """Whoever forges has software that looks at nothing before it publishes."""
    for check in ("_require_verdicts", "require_auditable"):
        monkeypatch.setattr(distillation_publication, check, lambda *_: None)
    return Forge(distilled, published, tmp_path)
