"""The JSON Schema: what the dataclasses say, and what a validator of draft 2020-12 makes of documents."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from nexus_chain.certificates.distillation_certificate import SignedDistillation
from nexus_chain.certificates.distillation_schema import SCHEMA_PATH, distillation_schema, schema_text
from nexus_chain.content.canonical import canonical_bytes
from nexus_chain.content.errors import CanonicalFormatError
from tests.support.tiny_distillation import Distilled


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = json.loads(SCHEMA_PATH.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_the_file_is_what_the_dataclasses_say() -> None:
    assert SCHEMA_PATH.read_text() == schema_text(), "python -m nexus_chain.certificates.distillation_schema"
    assert json.loads(schema_text()) == distillation_schema()


def test_a_certificate_is_valid(distilled: Distilled, validator: jsonschema.Draft202012Validator) -> None:
    validator.validate(json.loads(distilled.signed.to_bytes()))


def fields(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every field of a document; of a list, of its first item."""
    inner = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    for name, item in inner:
        yield (*path, name)
        yield from fields(item, (*path, name))


def with_value(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    changed = copy.deepcopy(document)
    place = changed
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    return changed


def is_read(document: Any) -> bool:
    try:
        SignedDistillation.from_bytes(canonical_bytes(document))
    except CanonicalFormatError:
        return False
    return True


def test_every_field_of_another_type_is_refused_by_both(
    distilled: Distilled, validator: jsonschema.Draft202012Validator
) -> None:
    document = json.loads(distilled.signed.to_bytes())
    for path in fields(document):
        for wrong in ({"a": [None]}, [None], -1, "0xZZ"):
            changed = with_value(document, path, wrong)
            if validator.is_valid(changed):  # the reader may know more than the schema, never less
                assert wrong in (-1, "0xZZ"), path
            else:
                assert not is_read(changed), (path, wrong)


def test_every_missing_field_is_refused_by_both(
    distilled: Distilled, validator: jsonschema.Draft202012Validator
) -> None:
    document = json.loads(distilled.signed.to_bytes())
    open_maps = {"activation_bits", "outcomes", "solvers", "configuration", "seeds", "libraries"}
    for path in fields(document):
        if open_maps.intersection(path[:-1]) or isinstance(path[-1], int):
            continue
        changed = copy.deepcopy(document)
        place = changed
        for name in path[:-1]:
            place = place[name]
        del place[path[-1]]
        assert not validator.is_valid(changed), path
        assert not is_read(changed), path


def test_a_line_feed_at_the_end_is_no_part_of_a_number(distilled: Distilled) -> None:
    """Validators in Python take it, as their ``$`` does; validators in other languages do not, and neither do we."""
    document = json.loads(distilled.signed.to_bytes())
    assert not is_read(with_value(document, ("certificate", "cost_usd"), "1\n"))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("certificate", "format"), "nexus.distillation.v2"),
        (("certificate", "dataset", "tier"), "diamond"),
        (("certificate", "evaluation", "metric"), "rouge"),
        (("certificate", "cost_usd"), "1e3"),
        (("certificate", "cost_usd"), "-1"),
        (("certificate", "cost_usd"), "01"),
        (("certificate", "parent", "weights_root"), "0x" + "A" * 64),
        (("certificate", "parent", "certificate"), "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPBdG"),
        (("certificate", "model", "version"), "1.2"),
        (("certificate", "judge", "z3_rlimit"), 0),
        (("certificate", "added"), 1),
        (("signature",), "0x00"),
    ],
)
def test_forms_are_refused_by_both(
    distilled: Distilled, validator: jsonschema.Draft202012Validator, path: tuple[str, ...], value: object
) -> None:
    changed = with_value(json.loads(distilled.signed.to_bytes()), path, value)
    assert not validator.is_valid(changed)
    assert not is_read(changed)
