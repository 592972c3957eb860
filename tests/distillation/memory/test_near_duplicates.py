"""Which pairs are near-duplicates, and that signatures are those of datasketch."""

from __future__ import annotations

import random
import subprocess
import sys

import numpy as np
import pytest
from datasketch import MinHash
from hypothesis import given
from hypothesis import strategies as st

from nexus_chain.distillation.memory import near_duplicates
from nexus_chain.distillation.memory.near_duplicates import BANDS, ROWS, Sketch, signatures, similarity, sketches
from nexus_chain.distillation.memory.normal_form import NormalTexts
from tests.support.memory_examples import WORDS, example

LONG = "A farmer takes the way to the market and sells all that grew in the garden of the old house by the river"


def sketch(prompt: str, response: str = "It is so.", category: str = "text") -> Sketch:
    return sketches([example(prompt, response, category=category).normal_texts])[0]


@pytest.mark.parametrize("few", [0, 512])
@given(sets=st.lists(st.sets(st.integers(0, 2**32 - 1), min_size=1, max_size=50), min_size=1, max_size=5))
def test_signatures_are_those_of_datasketch(few: int, sets: list[set[int]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near_duplicates, "_FEW_SHINGLES", few)
        require_datasketch_signatures(sets)


def require_datasketch_signatures(sets: list[set[int]]) -> None:
    found = signatures([np.array(sorted(one), np.uint32) for one in sets])
    for row, one in zip(found, sets, strict=True):
        expected = MinHash(num_perm=BANDS * ROWS, seed=1, hashfunc=int)
        expected.update_batch(one)
        assert row.tolist() == expected.hashvalues.tolist()


def test_punctuation_and_a_word_at_the_end_of_a_long_text_make_no_other_example() -> None:
    assert sketch(LONG).is_near(sketch(LONG + "!"))
    assert sketch(LONG + " today").is_near(sketch(LONG))


@pytest.mark.parametrize(
    ("one", "other"), [("17 + 25", "17 + 26"), ("x < y", "x <= y"), ("a + b", "a - b"), ("3.5", "35"), ("-3", "3")]
)
def test_a_number_or_a_sign_makes_another_example_however_long_the_rest_is(one: str, other: str) -> None:
    first, second = sketch(f"{LONG} {one} {LONG}"), sketch(f"{LONG} {other} {LONG}")
    assert not first.is_near(second)
    assert not set(first.bands) & set(second.bands)


@pytest.mark.parametrize(("one", "other"), [("5!", "5"), ("x != y", "x = y"), ("f(x,)", "f(x)"), ("s[1:]", "s[1]")])
@pytest.mark.parametrize("category", ["code", "math", "logic"])
def test_where_signs_mean_something_every_sign_counts(one: str, other: str, category: str) -> None:
    assert not sketch(f"{LONG} {one}", category=category).is_near(sketch(f"{LONG} {other}", category=category))


def test_texts_of_other_words_are_not_near() -> None:
    assert not sketch(LONG).is_near(sketch("Bread is made of flour and water, and of time"))


def test_a_prompt_is_no_response() -> None:
    assert not sketch(LONG, "Yes").is_near(sketch("Yes", LONG))


def test_what_is_near_shares_a_band() -> None:
    draw = random.Random(7)
    near = missed = 0
    for _ in range(300):
        words = draw.choices(WORDS, k=100)
        other = [*words]
        other[draw.randrange(100)] = "otherwise"
        first, second = sketches([NormalTexts(" ".join(each), "yes", "text") for each in (words, other)])
        if first.is_near(second):
            near += 1
            missed += not set(first.bands) & set(second.bands)
    assert near == 300
    assert missed <= 3  # 0.989 at a similarity of 0.9, and these have 0.94


@given(st.sets(st.integers(0, 99), min_size=1), st.sets(st.integers(0, 99), min_size=1))
def test_similarity_is_that_of_jaccard(one: set[int], other: set[int]) -> None:
    arrays = [np.array(sorted(each), np.uint32) for each in (one, other)]
    assert similarity(*arrays) == len(one & other) / len(one | other)


@given(st.lists(st.text(min_size=1), min_size=1, max_size=5))
def test_an_example_alone_has_the_sketch_that_it_has_in_a_batch(texts: list[str]) -> None:
    examples = [NormalTexts(text, text, "math") for text in texts]
    for alone, together in zip((sketches([one])[0] for one in examples), sketches(examples), strict=True):
        assert alone.bands == together.bands
        assert alone.is_near(together)


def test_another_process_computes_the_same_bands() -> None:
    """Bands are kept: nothing in them may depend on Python's random hashes."""
    program = (
        "from nexus_chain.distillation.memory.near_duplicates import sketches; "
        "from nexus_chain.distillation.memory.normal_form import NormalTexts; "
        f"print(sketches([NormalTexts({LONG.casefold()!r}, 'it is so.', 'text')])[0].bands)"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == str(sketch(LONG).bands)
