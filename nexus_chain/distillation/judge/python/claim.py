"""A claim about a Python function, and its JSON form.

{"kind": "python", "code": ..., "function": "f", "domain": {"x": "int[-8..8]"},
 "reference": "def f(x): ..." or null,
 "contract": {"requires": "x > 0", "ensures": "result >= x"} or null,
 "examples": [{"arguments": [2], "result": 4}]}
"""

from __future__ import annotations

import ast
import keyword
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nexus_chain.distillation.judge.python.domain import Input, PythonDomain, parse_domain
from nexus_chain.distillation.judge.python.errors import OutsideSubsetError, PythonClaimError
from nexus_chain.distillation.judge.python.source import extract_code, parameters_of, parse_source

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,40}")
_FIELDS = frozenset({"kind", "code", "function", "reference", "contract", "domain", "examples"})
MOST_PARAMETERS = 6
MOST_EXAMPLES = 100
_LARGEST_EXAMPLE = 4_000  # items of an example's list, and bits of its integers: Python writes no longer ones


@dataclass(frozen=True)
class PythonContract:
    """Expressions in Python: ``requires`` over the parameters, ``ensures`` over them and ``result``.

    Where ``requires`` is false, nothing is claimed. In ``ensures`` the parameters are as they were before the call.
    """

    ensures: str
    requires: str = "True"


@dataclass(frozen=True)
class PythonExample:
    """``function(*arguments)`` gives ``result``. Examples only refute."""

    arguments: tuple[Input, ...]
    result: Any


@dataclass(frozen=True)
class PythonClaim:
    """``code`` (bare, or a response with one fenced block) defines ``function``, whose parameters ``domain`` names.

    At most one of ``reference`` (source of a function of the same name) and ``contract``; with neither, ``examples``.
    """

    code: str
    function: str
    domain: Mapping[str, PythonDomain]
    reference: str | None = None
    contract: PythonContract | None = None
    examples: tuple[PythonExample, ...] = ()

    def __post_init__(self) -> None:
        for name in (self.function, *self.domain):
            if not _NAME.fullmatch(name) or keyword.iskeyword(name) or "__" in name or name == "result":
                raise _refusal(f"{name!a} is no name for a function or a parameter", "Use ASCII letters.")
        if len(self.domain) > MOST_PARAMETERS:
            raise _refusal("it has too many parameters", f"Use at most {MOST_PARAMETERS}.")
        if self.reference is not None and self.contract is not None:
            raise _refusal("it has a reference and a contract", "Keep one of them.")
        if self.reference is None and self.contract is None and not self.examples:
            raise _refusal("it claims nothing", "Add a reference, a contract or examples.")

    @property
    def parameters(self) -> tuple[str, ...]:
        return tuple(self.domain)


def parse_python_claim(document: Mapping[str, Any]) -> PythonClaim:
    """The claim of a JSON document. Raises PythonClaimError, naming what is wrong."""
    unknown = sorted(set(document) - _FIELDS)
    if unknown:
        raise _refusal(f"the field {unknown[0]!a} is unknown", f"Use {', '.join(sorted(_FIELDS))}.")
    if document.get("kind") != "python":
        raise _refusal("its kind is not python", 'Write "kind": "python".')
    domain = _mapping(document, "domain")
    reference = document.get("reference")
    return PythonClaim(
        code=_text(document, "code"),
        function=_text(document, "function"),
        domain={name: parse_domain(_text(domain, name)) for name in _in_order(domain, document)},
        reference=None if reference is None else _text(document, "reference"),
        contract=_contract(document),
        examples=_examples(document, len(domain)),
    )


def _in_order(domain: Mapping[str, Any], document: Mapping[str, Any]) -> tuple[str, ...]:
    """The parameters as the reference declares them, else as the code does; as the domain has them if none is read.

    A claim is kept and hashed as JSON with sorted keys, so the domain's own order says nothing.
    """
    reference, code = document.get("reference"), document.get("code")
    try:
        source = reference if isinstance(reference, str) else extract_code(code if isinstance(code, str) else "")
        module = parse_source(source)
    except OutsideSubsetError:
        return tuple(domain)
    functions = [statement for statement in module.body if isinstance(statement, ast.FunctionDef)]
    declared = [parameters_of(function) for function in functions if function.name == document.get("function")]
    if len(declared) == 1 and sorted(declared[0]) == sorted(domain):
        return declared[0]
    return tuple(domain)


def _contract(document: Mapping[str, Any]) -> PythonContract | None:
    if document.get("contract") is None:
        return None
    contract = _mapping(document, "contract")
    if set(contract) - {"requires", "ensures"}:
        raise _refusal("its contract has other fields than requires and ensures", "Remove them.")
    requires = "True" if contract.get("requires") is None else _text(contract, "requires")
    return PythonContract(_text(contract, "ensures"), requires)


def _examples(document: Mapping[str, Any], parameters: int) -> tuple[PythonExample, ...]:
    examples = document.get("examples") or []
    if not isinstance(examples, list) or len(examples) > MOST_EXAMPLES:
        raise _refusal("its examples are no list, or too many", f"Give at most {MOST_EXAMPLES}.")
    return tuple(_example(example, parameters) for example in examples)


def _example(example: object, parameters: int) -> PythonExample:
    if not isinstance(example, dict) or set(example) != {"arguments", "result"}:
        raise _refusal("an example lacks arguments or result", 'Write {"arguments": [2], "result": 4}.')
    arguments = example["arguments"]
    if not isinstance(arguments, list) or len(arguments) != parameters or not all(map(_is_plain, arguments)):
        raise _refusal("an example's arguments do not fit the parameters", "Give one value for each parameter.")
    if not _is_plain(example["result"]) and example["result"] is not None:
        raise _refusal("an example's result is no integer, boolean, list or null", "Use these.")
    return PythonExample(tuple(arguments), example["result"])


def _is_plain(value: object) -> bool:
    if isinstance(value, list):
        return len(value) <= _LARGEST_EXAMPLE and all(map(_is_plain_number, value))
    return _is_plain_number(value)


def _is_plain_number(value: object) -> bool:
    return isinstance(value, int) and value.bit_length() <= _LARGEST_EXAMPLE


def _mapping(document: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    value = document.get(field)
    if not isinstance(value, Mapping):
        raise _refusal(f"its {field} is no object", "Write it as a JSON object.")
    return value


def _text(document: Mapping[str, Any], field: str) -> str:
    value = document.get(field)
    if not isinstance(value, str):
        raise _refusal(f"its {field!a} is no text", "Write it as a JSON string.")
    return value


def _refusal(problem: str, advice: str) -> PythonClaimError:
    return PythonClaimError(f"this is no claim about Python: {problem}", advice=advice)


def values_text(values: Sequence[Input]) -> str:
    """Inputs as Python writes them."""
    return ", ".join(map(repr, values))
