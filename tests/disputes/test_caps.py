"""Programs about which no game could be played to its end are refused before anybody pays for them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nexus_chain.disputes.caps import LONGEST_LEAF, check_caps
from nexus_chain.disputes.errors import ProgramTooLargeError
from nexus_chain.program import PRESETS, ModelShape, Program, decoder_program
from nexus_chain.program.descriptors import LONGEST_CONTEXT

TINY = PRESETS["tiny"]


def program(shape: ModelShape = TINY, **changes: int) -> Program:
    return decoder_program("capped", replace(shape, **changes))


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_our_own_shapes_are_within_the_caps(preset: str) -> None:
    check_caps(decoder_program("own", PRESETS[preset]))


def test_an_odd_vocabulary_of_long_rows_is_refused() -> None:
    """Regression: its rows cannot be halved, the contract refuses such a leaf, and a wrong logit was beyond dispute."""
    check_caps(program(vocab=LONGEST_LEAF // 4 - 1))
    check_caps(program(vocab=50_304))
    with pytest.raises(ProgramTooLargeError, match=r"head\.logits.*201028 bytes"):
        check_caps(program(vocab=50_257))


def test_a_context_beyond_what_games_are_about_is_refused() -> None:
    check_caps(program(context=LONGEST_CONTEXT))
    with pytest.raises(ProgramTooLargeError, match="16385 positions"):
        check_caps(program(context=LONGEST_CONTEXT + 1))


def test_a_segment_of_too_many_tensors_is_refused_to_its_node_only() -> None:
    deep = program(layers=60)
    check_caps(deep)
    check_caps(deep, 0, 30)
    with pytest.raises(ProgramTooLargeError, match="layers 0-60"):
        check_caps(deep, 0, 60)
