"""A small run of ``make fuzz-programs``: random and hostile programs are refused, or safe to serve honestly."""

from __future__ import annotations

import random

import pytest

from nexus_chain.errors import NexusError
from nexus_chain.program import Program
from nexus_chain.program.reproduction import reproduce
from tests.support.hostile_programs import hostile_program
from tests.support.program_trials import Court

PROGRAMS = 120


def test_programs_are_refused_or_safe() -> None:
    court, served = Court(), 0
    for seed in range(PROGRAMS):
        outcome = court.try_program(seed)
        assert not outcome.convicted_honest, (seed, outcome.convicted_honest)
        served += not outcome.refused
    assert 0 < served < PROGRAMS // 2


def test_many_hostile_programs_are_well_formed_op_by_op() -> None:
    """What is tried is not refused for its form alone: a third passes op by op and is refused as a whole."""
    well_formed = refused = 0
    for seed in range(300):
        try:
            program = Program.from_json(hostile_program(random.Random(seed)).to_json())
        except NexusError:
            continue
        well_formed += 1
        try:
            reproduce(program)
        except NexusError:
            refused += 1
    assert well_formed > 60
    assert refused > 0.7 * well_formed


def test_checked_op_by_op_a_program_passes_that_no_node_can_answer_for() -> None:
    """What the check of whole programs is for: without it this program is served, and its trace cannot be made."""
    with pytest.raises(KeyError):
        Court(whole=False).try_program(7_000_000_000)
    assert Court().try_program(7_000_000_000).refused
