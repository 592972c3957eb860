"""Filters and tests that chat templates may use, and what each of them costs.

What is not in these tables is not offered: most of it could make a gigabyte out of one number (``center``,
``batch``), and no known chat template uses it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any

from jinja2 import filters, tests

from nexus_chain.versions.template_budget import TEXT, TemplateTooCostlyError, charge, charge_copy, counted, spend
from nexus_chain.versions.template_operations import CALL, pay_for_percent

_MOST_INDENT = 16  # of JSON, in characters

#: Filters that look at their value without walking through it.
_FREE_FILTERS = ("attr", "count", "d", "default", "first", "last", "length")
#: Filters that go through a list, and give its items to others.
_LIST_FILTERS = ("list", "map", "reject", "rejectattr", "select", "selectattr")
#: Filters that compare or write a list's items.
_ORDERING_FILTERS = ("dictsort", "groupby", "join", "max", "min", "sort", "unique")
#: Filters that read all of their value, and write about as much.
_TEXT_FILTERS = (
    "abs", "capitalize", "e", "escape", "float", "forceescape", "format", "indent", "items", "lower", "replace",
    "reverse", "safe", "string", "title", "trim", "truncate", "upper", "wordcount",
)  # fmt: skip
_FREE_TESTS = (
    "boolean", "callable", "defined", "false", "filter", "float", "integer", "iterable", "mapping", "none", "number",
    "sameas", "sequence", "string", "test", "true", "undefined",
)  # fmt: skip


def offered_filters(to_json: Callable[..., str]) -> dict[str, Callable[..., Any]]:
    """The filters by name; ``to_json`` is the one that is called ``tojson``."""
    found = {name: _filter(name, filters.FILTERS[name]) for name in (*_FREE_FILTERS, *_LIST_FILTERS)}
    found |= {name: _filter(name, filters.FILTERS[name]) for name in (*_ORDERING_FILTERS, *_TEXT_FILTERS)}
    return {**found, "int": _filter("int", _to_int), "tojson": _filter("tojson", to_json)}


def offered_tests() -> dict[str, Callable[..., Any]]:
    """The tests by name; comparisons pay for what they compare."""
    known: Mapping[str, Any] = tests.TESTS
    return {name: _test(name, found) for name, found in known.items()}


def _filter(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` under its price. Filters that are told of their context get it first: the value stands behind."""
    at = 1 if hasattr(function, "jinja_pass_arg") else 0

    @wraps(function)
    def offered(*given: Any, **named: Any) -> Any:
        spend(CALL + len(given) + len(named))
        told, value, others = given[:at], given[at], given[at + 1 :]
        if name in _FREE_FILTERS:
            return function(*given, **named)
        extra = charge([*others, *named.values()])
        if name in _LIST_FILTERS or name in _ORDERING_FILTERS:
            value = _paid_items(name, value, extra)
        else:
            charge(value)
            _pay_growth(name, value, *others, **named)
        found = function(*told, value, *others, **named)
        return (
            counted(found) if hasattr(found, "__next__") else charge_copy(found) if _is_list(found) else charge(found)
        )

    return offered


def _test(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    at = 1 if hasattr(function, "jinja_pass_arg") else 0

    @wraps(function)
    def offered(*given: Any) -> Any:
        spend(CALL + len(given))
        if name not in _FREE_TESTS:
            charge(list(given[at:]))
        return function(*given)

    return offered


def _paid_items(name: str, value: Any, others: Iterable[Any]) -> Any:
    """``value`` for a filter of lists: each item is paid for, and where they are compared all that they hold, too."""
    if not value or not isinstance(value, Iterable):
        return value
    # An attribute's path (``a.b,c.d``) is walked, and a separator written, for each item.
    texts = [one for one in others if isinstance(one, str)]
    each = 1 + sum(CALL * (text.count(".") + text.count(",")) + len(text) // TEXT for text in texts)
    if name in _LIST_FILTERS:
        return counted(value, each)
    items: Any = value if name == "dictsort" else list(counted(value, each))
    # Sorting compares each of n items about log2(n) times.
    for _ in range(1 if name == "join" else max(1, len(items).bit_length())):
        charge(items)
    return items


def _pay_growth(name: str, value: Any, *others: Any, **named: Any) -> None:
    """What a filter adds to a text, before it does."""
    if name == "replace":
        old, new = (*others, *(named[key] for key in ("old", "new") if key in named))[:2]
        spend(str(value).count(str(old)) * len(str(new)) // TEXT)
    elif name == "indent":
        width = others[0] if others else named.get("width", 4)
        spend(len(str(value).splitlines()) * max(0, width if isinstance(width, int) else len(str(width))) // TEXT)
    elif name == "trim":
        spend(len(str(value)) * sum(len(one) for one in (*others, *named.values()) if isinstance(one, str)) // TEXT)
    elif name == "format":
        pay_for_percent(str(value), others or tuple(named.values()))
    elif name == "tojson":
        _require_narrow_json(**named)


def _require_narrow_json(**shape: Any) -> None:
    indent, separators = shape.get("indent"), shape.get("separators") or ()
    width = indent if isinstance(indent, int) else len(indent or "")
    if max(width, *map(len, separators), 0) > _MOST_INDENT:
        raise TemplateTooCostlyError(f"it writes JSON whose indent or separator has over {_MOST_INDENT} characters")


def _to_int(value: Any, default: Any = 0) -> Any:
    """Jinja's ``int`` in base ten, where Python itself bounds a number's digits."""
    return filters.FILTERS["int"](value, default)


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple | Mapping)
