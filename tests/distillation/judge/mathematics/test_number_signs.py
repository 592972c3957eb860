"""Numbers with one sign and three digits after it: read where the text settles which sign is which."""

from __future__ import annotations

import pytest

from nexus_chain.distillation.judge.errors import MathematicsSubsetError
from nexus_chain.distillation.judge.mathematics.number_signs import NumberSigns


@pytest.mark.parametrize(
    ("text", "point", "comma"),
    [
        ("14", False, False),
        ("1.000", False, False),
        ("1,000", False, False),
        ("the answer", False, True),
        ("Total = 5", False, False),
        ("2.5", True, True),
        (".5 and 1.000", True, True),
        ("0.125", True, True),
        ("1234.567", True, True),
        ("1,234,567", True, True),
        ("1,234.567", True, True),
        ("1.234.567, the answer", False, False),
        ("1.234,5, the answer", False, False),
        ("0,125 is the answer", False, False),
        ("1,5 is the answer", False, False),
        ("2.5 and 1,5", False, False),
        ("[1,5]", False, False),
        ("Step 1.5: 2", False, False),
        ("1.2.2024", False, False),
    ],
)
def test_what_a_text_settles(text: str, point: bool, comma: bool) -> None:
    assert NumberSigns.of(text) == NumberSigns(point, comma)


CLEAR = ["14", "0.125", ".125", "1234.567", "012.345", "2.5", "1.2345", "1,234,567", "1,234.567", "[1,2,3]", "[1, 5]"]
POINT = ["1.000", "3.142", "-12.345", "999.999x", "1/2.500", "12.500%", "[1.234, 5]"]
COMMA = ["1,000", "12,345", "-1,234", "[1,5]", "gcd(12,18)", "1,234x"]
BOTH = ["max(5,1.000)", "max(1.000,5)", "[0.5,1]"]


@pytest.mark.parametrize("text", [*CLEAR, *POINT, *COMMA, *BOTH])
@pytest.mark.parametrize("point", [False, True])
@pytest.mark.parametrize("comma", [False, True])
def test_what_has_two_readings_is_refused_unless_it_is_settled(text: str, point: bool, comma: bool) -> None:
    if (text in {*POINT, *BOTH} and not point) or (text in {*COMMA, *BOTH} and not comma):
        with pytest.raises(MathematicsSubsetError, match="may stand before decimals"):
            NumberSigns(point, comma).require_clear(text)
    else:
        NumberSigns(point, comma).require_clear(text)
