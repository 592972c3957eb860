"""The JSON Schema (draft 2020-12) of a signed distillation certificate, made from the dataclasses.

``distillation.schema.json`` beside this file is what ``distillation_schema`` gives: for readers in other languages. It
says what forms say; what one field says of another, and of the chain, is the audit's business.

    python -m nexus_chain.certificates.distillation_schema     # writes the file again
"""

from __future__ import annotations

import dataclasses
import json
import types
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from nexus_chain.certificates.distillation_certificate import (
    DISTILLATION_FORMAT,
    METRICS,
    TIERS,
    SignedDistillation,
)
from nexus_chain.content.field_forms import AtLeast, TextForm
from nexus_chain.staging import write_whole

SCHEMA_PATH = Path(__file__).with_name("distillation.schema.json")
_SCALARS = {str: "string", int: "integer", float: "number", bool: "boolean"}
#: Fields that take one of some values, by class and field.
_CHOICES: dict[tuple[str, str], list[str]] = {
    ("DistillationCertificate", "format"): [DISTILLATION_FORMAT],
    ("CertifiedEvaluation", "metric"): list(METRICS),
    ("CertifiedDataset", "tier"): list(TIERS),
}


def distillation_schema() -> dict[str, Any]:
    """The schema as plain JSON values."""
    definitions: dict[str, Any] = {}
    root = _schema_of(SignedDistillation, definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:{DISTILLATION_FORMAT}",
        "title": "Signed distillation certificate of Neural Nexus",
        **root,
        "$defs": dict(sorted(definitions.items())),
    }


def schema_text() -> str:
    """What the file holds."""
    return json.dumps(distillation_schema(), indent=1, sort_keys=True) + "\n"


def _schema_of(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    origin, arguments = get_origin(kind), get_args(kind)
    if dataclasses.is_dataclass(kind):
        return _reference(kind, definitions)
    if origin is Annotated:
        return _schema_of(arguments[0], definitions) | _form(arguments[1])
    if origin in (types.UnionType, Union):
        inner = next(argument for argument in arguments if argument is not types.NoneType)
        return {"anyOf": [_schema_of(inner, definitions), {"type": "null"}]}
    if origin is tuple:
        return {"type": "array", "items": _schema_of(arguments[0], definitions)}
    if origin is dict:
        return {"type": "object", "additionalProperties": _schema_of(arguments[1], definitions)}
    return {"type": _SCALARS[kind]}


def _reference(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    name = kind.__name__
    if name not in definitions:
        definitions[name] = {}
        hints = get_type_hints(kind, include_extras=True)
        fields = [field.name for field in dataclasses.fields(kind)]
        properties = {field: _schema_of(hints[field], definitions) | _choice(name, field) for field in fields}
        definitions[name] = {
            "type": "object",
            "description": (kind.__doc__ or "").split("\n", 1)[0],
            "properties": properties,
            "required": sorted(fields),
            "additionalProperties": False,
        }
    return {"$ref": f"#/$defs/{name}"}


def _choice(name: str, field: str) -> dict[str, Any]:
    return {"enum": _CHOICES[name, field]} if (name, field) in _CHOICES else {}


def _form(form: object) -> dict[str, Any]:
    if isinstance(form, TextForm):
        return {"pattern": form.pattern, "description": form.meaning}
    if isinstance(form, AtLeast):
        return {"minimum": form.least}
    raise TypeError(f"{form!r} is no form of a field")


if __name__ == "__main__":
    write_whole(SCHEMA_PATH, schema_text())
