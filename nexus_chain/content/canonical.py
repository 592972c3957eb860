"""Canonical JSON (RFC 8785) of frozen dataclasses, and strict reading back.

One document has one spelling, so its hash and its CID mean something. Reading refuses unknown
and missing fields, wrong types and any spelling but the canonical one, and names the field.

Field types understood: str, int, float, bool, ``T | None``, ``tuple[T, ...]``, ``dict[str, T]``
and dataclasses of those. Floats accept integers, as JSON does not tell 1.0 from 1.
"""

from __future__ import annotations

import dataclasses
import math
import re
import types
from functools import cache
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import rfc8785

from nexus_chain.content.cid import Cid
from nexus_chain.content.errors import CanonicalFormatError, CidFormatError
from nexus_chain.json_text import parse_json

_T = TypeVar("_T")
_HEX = re.compile(r"0x[0-9a-f]*\Z")
_SEMVER = re.compile(r"(0|[1-9]\d{0,4})\.(0|[1-9]\d{0,4})\.(0|[1-9]\d{0,4})\Z")


def canonical_bytes(document: object) -> bytes:
    """The one spelling of a document (a dataclass or plain JSON values)."""
    plain = dataclasses.asdict(document) if dataclasses.is_dataclass(document) else document  # type: ignore[arg-type]
    try:
        return rfc8785.dumps(_without_tuples(plain))
    except rfc8785.CanonicalizationError as error:
        raise _malformed(type(document).__name__, f"has no canonical JSON ({error})") from error


def read_canonical(kind: type[_T], data: bytes, where: str) -> _T:
    """Read what ``canonical_bytes`` wrote; CanonicalFormatError naming the field otherwise."""
    try:
        plain = parse_json(data)
    except ValueError as error:
        raise _malformed(where, f"is not JSON ({error})") from error
    document = _read(kind, plain, where)
    if canonical_bytes(document) != data:
        raise _malformed(where, "is not in canonical form (RFC 8785)")
    return cast(_T, document)


def require_hex(value: str, size: int, where: str) -> bytes:
    """The bytes of ``0x`` and 2 x ``size`` lower-case hexadecimal digits."""
    if len(value) != 2 + 2 * size or not _HEX.match(value):
        raise _malformed(where, f"must be 0x and {2 * size} lower-case hexadecimal digits")
    return bytes.fromhex(value[2:])


def require_cid(value: str, where: str) -> Cid:
    """The CID that a field holds."""
    try:
        return Cid.parse(value)
    except CidFormatError as error:
        raise _malformed(where, f"must be a CID ({error.message})") from error


def require_semver(value: str, where: str) -> tuple[int, int, int]:
    """(major, minor, patch) of ``1.2.3``, each below 65 536 as the registry keeps them."""
    found = _SEMVER.match(value)
    if not found or any(int(part) > 0xFFFF for part in found.groups()):
        raise _malformed(where, "must be a version like 1.2.3")
    major, minor, patch = (int(part) for part in found.groups())
    return major, minor, patch


def require(condition: bool, where: str, problem: str) -> None:
    """Raise CanonicalFormatError unless ``condition`` holds."""
    if not condition:
        raise _malformed(where, problem)


def _malformed(where: str, problem: str) -> CanonicalFormatError:
    return CanonicalFormatError(f"{where} {problem}", advice="Ask the publisher for a document of the current schema")


def _without_tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_tuples(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_tuples(item) for item in value]
    return value


def _read(kind: Any, value: Any, where: str) -> Any:
    """``value`` as ``kind``; a document's own ``__post_init__`` checks what types cannot say."""
    origin, arguments = get_origin(kind), get_args(kind)
    if dataclasses.is_dataclass(kind):
        return _read_dataclass(kind, value, where)
    if origin in (types.UnionType, Union):
        inner = next(argument for argument in arguments if argument is not types.NoneType)
        return None if value is None else _read(inner, value, where)
    if origin is tuple:
        require(isinstance(value, list), where, "must be a list")
        return tuple(_read(arguments[0], item, f"{where}[{index}]") for index, item in enumerate(value))
    if origin is dict:
        require(isinstance(value, dict), where, "must be an object")
        return {key: _read(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    return _read_scalar(kind, value, where)


def _read_dataclass(kind: Any, value: Any, where: str) -> Any:
    require(isinstance(value, dict), where, "must be an object")
    hints = _field_types(kind)
    names = set(hints)
    unknown, missing = sorted(set(value) - names), sorted(names - set(value))
    require(not unknown, where, f"has an unknown field {unknown[:1]}")
    require(not missing, where, f"lacks the field {missing[:1]}")
    return kind(**{name: _read(hints[name], value[name], f"{where}.{name}") for name in names})


@cache
def _field_types(kind: Any) -> dict[str, Any]:
    """The types of a dataclass's fields: files of records have many lines of one kind."""
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


def _read_scalar(kind: Any, value: Any, where: str) -> Any:
    if kind is float and type(value) is int:
        return float(value)
    require(type(value) is kind, where, f"must be of type {kind.__name__}, not {type(value).__name__}")
    require(kind is not float or math.isfinite(value), where, "must be finite")
    return value
