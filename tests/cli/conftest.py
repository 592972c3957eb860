"""The command, run in this process."""

from __future__ import annotations

import pytest

from nexus_chain.settings import SHARED
from node.cli.app import run
from tests.support.invocation import Nexus, Printed


@pytest.fixture
def nexus(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Nexus:
    """Call with the command's arguments. Settings in the environment do not leak in."""
    for name in ("config", *SHARED):
        monkeypatch.delenv(f"NEXUS_{name.upper()}", raising=False)

    def call(*arguments: object) -> Printed:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return Printed(code, printed.out, printed.err)

    return call
