"""Any single field of a certificate that is changed fails at the step that names it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from nexus_chain.certificates.distillation_certificate import (
    VOUCHED_FIELDS,
    VOUCHED_RECORD_FIELDS,
)
from nexus_chain.content.cid import Cid
from nexus_chain.content.errors import CanonicalFormatError
from tests.support.forged_distillation import EVERYTHING, LITTLE, assert_fails_at
from tests.support.tiny_distillation import (
    Distilled,
)

ROOT = Path(__file__).parents[3]


def changed_value(value: Any) -> Any:
    """Another value of the same form."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if re.fullmatch("baf(k|y)[a-z2-7]{55}", value):
        return str(Cid.of(b"elsewhere"))
    if re.fullmatch("0x[0-9a-f]+", value):
        return value[:-1] + ("1" if value[-1] == "0" else "0")
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", value):
        return f"{Decimal(value) + Decimal('0.0001'):f}"
    if re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+", value):
        return "9.9.9"
    return {"unranked": "bronze"}.get(value, value + "x")


def changes(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """(path, changed document) for every field of a document, of the first item of its lists, and of every key."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            for inner, changed in changes(getattr(value, field.name), f"{path}.{field.name}"):
                yield inner, (value, {field.name: changed})
    elif isinstance(value, dict):
        for key in value:
            for inner, changed in changes(value[key], f"{path}.{key}"):
                yield inner, (value, {key: changed})
    elif isinstance(value, tuple):
        for inner, changed in changes(value[0], path):
            yield inner, (value, changed)
    else:
        yield path.removeprefix("."), changed_value(value)


def built(change: Any) -> Any:
    """The document that ``changes`` describes: not built before, as some cannot be."""
    if not isinstance(change, tuple):
        return change
    before, after = change
    if isinstance(before, tuple):
        return (built(after), *before[1:])
    inner = {name: built(value) for name, value in after.items()}
    return {**before, **inner} if isinstance(before, dict) else replace(before, **inner)


#: The step that names a field; the longest beginning of its path counts.
STEP_OF = {
    "model.name": 7,
    "model.version": 5,
    "model.model_version": 4,
    "model.parent": 5,
    "model.publisher": 3,
    "model.layers": 5,
    "model.weights_root": 5,
    "model.program_root": 5,
    "model.tokenizer_sha256": 5,
    "model.manifest": 5,
    "model.activation_bits": 8,
    "parent": 6,
    "dataset": 10,
    "dataset.verified": 15,
    "dataset.tier": 15,
    "judge": 11,
    "judge.artefacts": 13,
    "judge.artefacts_root": 11,
    "teachers": 14,
    "cost_usd": 14,
    "lost": 14,
    "training.configuration": 20,
    "training.seeds": 20,
    "training.adapter": 19,
    "training.adapter_config": 19,
    "evaluation": 16,
    "evaluation.max_tokens": 17,
}  # fmt: skip
REFUSED = ("format", "evaluation.metric")
"""Fields of one value: a document with another is no document."""


def paths() -> list[str]:
    """Every path, from the types alone: a field that is added appears here, and needs a step."""
    from typing import get_args, get_type_hints

    from nexus_chain.certificates.distillation_certificate import DistillationCertificate

    def walk(kind: Any, path: str) -> Iterator[str]:
        inner = [one for one in (kind, *get_args(kind)) if dataclasses.is_dataclass(one)]
        if not inner:
            yield path
        for one in inner:
            for name, hint in get_type_hints(one).items():
                yield from walk(hint, f"{path}.{name}".removeprefix("."))

    return list(walk(DistillationCertificate, ""))


def expected_step(path: str) -> int | None:
    """None for a field that the operator vouches for."""
    if any(path == field or path.startswith(field + ".") for field in VOUCHED_FIELDS):
        return None
    known = [prefix for prefix in STEP_OF if path == prefix or path.startswith(prefix + ".")]
    assert known, f"no step names {path}: write one, or state in VOUCHED_FIELDS that there is none"
    return STEP_OF[max(known, key=len)]


@pytest.mark.parametrize("path", paths())
def test_changed_field_fails_at_the_step_that_names_it(distilled: Distilled, path: str) -> None:
    found = [change for where, change in changes(distilled.certificate) if (where + ".").startswith(path + ".")]
    assert found, "the fixture has a value for every field"
    if path in REFUSED:
        with pytest.raises(CanonicalFormatError, match=f"{path} must be"):
            built(found[0])
        return
    report, step = distilled.certified(built(found[0])).audit(LITTLE), expected_step(path)
    if step is None:
        assert report.passed, report.failed_step
    else:
        assert_fails_at(report, step)


def test_vouched_fields_are_told_to_auditors() -> None:
    document = (ROOT / "docs" / "auditor.md").read_text()
    known = paths()
    for field in VOUCHED_FIELDS:
        assert field in known
        assert f"`{field}`" in document, field
    for field in VOUCHED_RECORD_FIELDS:
        assert f"`{field}`" in document, field


def test_too_small_limits_and_too_large_ones(distilled: Distilled) -> None:
    judge = distilled.certificate.judge
    starved = replace(distilled.certificate, judge=replace(judge, z3_rlimit=1, cvc5_rlimit=1))
    assert_fails_at(distilled.certified(starved).audit(EVERYTHING), 13, "is not proved")
    endless = replace(distilled.certificate, judge=replace(judge, z3_rlimit=2**50))
    assert_fails_at(distilled.certified(endless).audit(EVERYTHING), 13, "more than an audit's")
