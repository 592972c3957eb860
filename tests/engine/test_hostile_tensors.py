"""Whatever bits a kernel reads, the process lives on and the result is the one that ``OPERATORS.md`` defines.

The kernels run in a process of their own: a division by zero, a read out of bounds or an endless loop ends
that one, and the last case that it named is the one at fault.
"""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from nexus_chain.program.op_kinds import KINDS

ROOT = Path(__file__).resolve().parents[2]
SEEDS = (0, 1)  # the largest logit, and noise drawn beside it
STUCK_SECONDS = 1500  # ends a process that loops for ever; one that works takes a small part of it
pytestmark = pytest.mark.timeout(2 * STUCK_SECONDS)


@cache
def survived(what: str, seed: int) -> list[dict[str, Any]]:
    """What the process reported after each case, or a failure that names the case it did not come back from."""
    command = [sys.executable, "-m", "tests.support.hostile_kernels", what, str(seed)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            said, complaint = process.communicate(timeout=STUCK_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            said, complaint = process.communicate()
    lines = [json.loads(line) for line in said.splitlines()]
    assert process.returncode == 0, (process.returncode, lines[-1:], complaint[-2000:])
    return lines


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", KINDS)
def test_hostile_tensors_have_the_result_of_the_reference(kind: str, seed: int) -> None:
    """Smallest, largest, zero, minus one, edges and any bits in every input and weight."""
    lines = survived("tensors", seed)
    cases = [
        (case["case"], done["wrong"])
        for case, done in zip(lines[::2], lines[1::2], strict=True)
        if kind == done["kind"]
    ]
    assert len(cases) >= 7
    assert [case for case in cases if case[1]] == []


def test_rewired_programs_have_the_result_of_the_reference() -> None:
    """Ops that read a tensor of the right form for another one, fed with rows of a client's choice."""
    lines = survived("wiring", 1)
    cases = [(case["case"], done["wrong"]) for case, done in zip(lines[::2], lines[1::2], strict=True)]
    assert len(cases) >= 16
    assert [case for case in cases if case[1]] == []
