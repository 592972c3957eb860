"""Where a stranger's chat template runs: Jinja's sandbox, in which every operation is paid for.

Jinja makes Python of a template. Before it does, a step is put at the beginning of whatever runs more than once, and
a price around each operand of what Python does by itself: comparing, joining, cutting. All else passes through this
environment: operators, calls, filters, tests, and what is written.
"""

from __future__ import annotations

import json
from datetime import datetime
from types import BuiltinMethodType, MethodType
from typing import Any

from jinja2 import TemplateError, nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.runtime import BlockReference, Context, LoopContext, Macro, Undefined
from jinja2.sandbox import MAX_RANGE, ImmutableSandboxedEnvironment
from jinja2.utils import Cycler, Joiner, Namespace

from nexus_chain.versions.template_budget import TemplateTooCostlyError, charge, charge_copy, current_budget, spend
from nexus_chain.versions.template_filters import offered_filters, offered_tests
from nexus_chain.versions.template_operations import CALL, METHODS, apply_operator, pay_for_method
from nexus_chain.versions.template_prices import PRICES, PriceTags

_MOST_FORM = 200  # characters of ``%d %b %Y``
_LOOPS = (LoopContext, Cycler, Joiner)


class _Namespace(Namespace):
    """A namespace that is never written out: it may hold itself."""

    def __repr__(self) -> str:
        return "<Namespace>"


class _Generation(Extension):
    """``{% generation %}`` marks for training what an assistant wrote; here it says nothing."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: Any) -> list[nodes.Node]:
        next(parser.stream)
        found: list[nodes.Node] = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return found


class BoundedSandbox(ImmutableSandboxedEnvironment):
    """Jinja as chat templates expect it; renders under ``template_budget.spending``."""

    intercepted_binops = frozenset(("+", "-", "*", "/", "//", "**", "%"))

    def __init__(self) -> None:
        # Without the optimizer, which would calculate constants before anybody counts.
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            optimized=False,
            finalize=_written,
            extensions=[_Generation, loopcontrols],
        )
        self.filters: dict[str, Any] = {**offered_filters(_to_json), **PRICES}
        self.tests: dict[str, Any] = offered_tests()
        self.globals = {
            "range": _range, "dict": dict, "namespace": _Namespace, "cycler": Cycler, "joiner": Joiner,
            "raise_exception": _refuse, "strftime_now": _today,
        }  # fmt: skip
        self._functions = tuple(self.globals.values())

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        found = super()._parse(source, name, filename)
        PriceTags().visit(found)
        return found

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        return apply_operator(operator, left, right)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(argument, tuple):  # it is hashed, with all that it holds
            charge(argument)
        return super().getitem(obj, argument)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        spend(CALL + len(args) + len(kwargs))
        if isinstance(__obj, Macro | LoopContext | BlockReference):
            with current_budget().call():
                found = super().call(__context, __obj, *args, **kwargs)
        else:
            __self._pay_for_call(__obj, args, kwargs)
            found = super().call(__context, __obj, *args, **kwargs)
        return charge(found) if isinstance(found, str) else found

    def _pay_for_call(self, function: Any, args: tuple[Any, ...], named: dict[str, Any]) -> None:
        """Raise SecurityError where ``function`` is nothing that templates are offered."""
        method = getattr(function, "__wrapped__", function)  # the sandbox wraps str.format
        if _is_offered(method):
            own = (value for name, value in named.items() if not name.startswith("_"))  # Jinja adds _loop_vars
            pay_for_method(method.__self__, method.__name__, (*args, *own))
        elif function is _Namespace:
            charge_copy(args[0] if args else None)
        elif function in self._functions or isinstance(getattr(function, "__self__", function), _LOOPS):
            charge(args)
        elif not isinstance(function, Undefined):  # which says by itself what is undefined
            name = getattr(function, "__name__", type(function).__name__)
            raise SecurityError(f"it calls {name!r}, which is not offered to templates")


@pass_context
def _written(context: Context, value: Any) -> Any:
    """What stands between braces, before it is written."""
    return charge(value)


def _is_offered(method: Any) -> bool:
    if not isinstance(method, BuiltinMethodType | MethodType):
        return False
    return any(isinstance(method.__self__, owner) and method.__name__ in names for owner, names in METHODS.items())


def _refuse(message: str) -> None:
    raise TemplateError(message)


def _range(*bounds: int) -> range:
    found = range(*bounds)
    if found[MAX_RANGE:]:
        raise TemplateTooCostlyError(f"it counts to more than {MAX_RANGE}")
    return found


def _today(form: str) -> str:
    if len(form) > _MOST_FORM:
        raise TemplateTooCostlyError(f"it writes the day in a form of over {_MOST_FORM} characters")
    return datetime.now().strftime(form)  # the user's own day


def _to_json(value: Any, **shape: Any) -> str:
    return json.dumps(value, **{"ensure_ascii": False, **shape})
