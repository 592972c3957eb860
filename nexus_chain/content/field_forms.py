"""Forms that fields of documents have, stated once: read by the documents' own checks and by their JSON Schemas.

A field is declared with ``Annotated``, as in ``root: Hex32``; ``require_forms`` checks a whole dataclass.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from nexus_chain.content.canonical import require


@dataclass(frozen=True)
class TextForm:
    """A string has to match the regular expression ``pattern``, which is one for Python and for ECMA 262 alike."""

    pattern: str
    meaning: str


@dataclass(frozen=True)
class AtLeast:
    """An integer has to be ``least`` or more."""

    least: int


Hex32 = Annotated[str, TextForm("^0x[0-9a-f]{64}$", "0x and 64 lower-case hexadecimal digits")]
Address = Annotated[str, TextForm("^0x[0-9a-f]{40}$", "0x and 40 lower-case hexadecimal digits")]
HexBytes = Annotated[str, TextForm("^0x([0-9a-f]{2})*$", "0x and pairs of lower-case hexadecimal digits")]
SignatureHex = Annotated[str, TextForm("^0x[0-9a-f]{130}$", "0x and 130 lower-case hexadecimal digits")]
CidText = Annotated[str, TextForm("^baf(k|y)[a-z2-7]{55}$", "a CID of version 1 in base32")]
SemVerText = Annotated[str, TextForm(r"^(0|[1-9][0-9]{0,4})(\.(0|[1-9][0-9]{0,4})){2}$", "a version like 1.2.3")]
DecimalText = Annotated[str, TextForm(r"^(0|[1-9][0-9]*)(\.[0-9]+)?$", "a decimal number that is not negative")]
UsdText = Annotated[
    str, TextForm(r"^(0|[1-9][0-9]{0,11})(\.[0-9]{1,12})?$", "US dollars with at most 12 digits each side of the point")
]
NonEmpty = Annotated[str, TextForm(".", "a text with at least one character")]
Count = Annotated[int, AtLeast(0)]
Positive = Annotated[int, AtLeast(1)]


def require_forms(document: Any, where: str) -> None:
    """Raise CanonicalFormatError, naming the field, unless every field of a dataclass has its form."""
    own_kind: Any = type(document)
    for name, kind in _formed_fields(own_kind):
        _require_form(kind, getattr(document, name), f"{where}.{name}")


@cache
def _formed_fields(kind: Any) -> tuple[tuple[str, Any], ...]:
    """Names and types of the fields that state a form somewhere."""
    hints = get_type_hints(kind, include_extras=True)
    fields = ((field.name, hints[field.name]) for field in dataclasses.fields(kind))
    return tuple((name, hint) for name, hint in fields if _states_form(hint))


def _states_form(kind: Any) -> bool:
    return get_origin(kind) is Annotated or any(map(_states_form, get_args(kind)))


def _require_form(kind: Any, value: Any, where: str) -> None:
    if value is None:
        return
    arguments = get_args(kind)
    if get_origin(kind) is Annotated:
        for form in arguments[1:]:
            _require_one(form, value, where)
    elif get_origin(kind) is tuple:
        for index, item in enumerate(value):
            _require_form(arguments[0], item, f"{where}[{index}]")
    elif get_origin(kind) is dict:
        for key, item in value.items():
            _require_form(arguments[1], item, f"{where}.{key}")
    else:
        for inner in arguments:  # ``X | None``
            _require_form(inner, value, where)


def _require_one(form: object, value: Any, where: str) -> None:
    if isinstance(form, TextForm):
        require(re.search(form.pattern.replace("$", r"\Z"), value) is not None, where, f"must be {form.meaning}")
    elif isinstance(form, AtLeast):
        require(value >= form.least, where, f"must be {form.least} or more")
