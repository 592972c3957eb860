"""What a chat template may spend while it writes one conversation: steps that are counted, not seconds.

The same template and the same messages cost the same on every machine, so all of them refuse the same template. A
step is about what a template's smallest operation takes: one turn of an empty loop, or ``TEXT`` characters copied.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from jinja2.exceptions import SecurityError

TEXT = 64  # characters that are copied in one step
COPIED = 8  # elements of a list that are copied in one step
BASE_STEPS = 100_000
#: For every message: templates look back and forth from each of a long conversation's.
MESSAGE_STEPS = 10_000
#: For every character of the messages: templates split, strip and search what was said.
CHARACTER_STEPS = 2
MOST_CALLS = 50  # macros and recursive loops that stand inside each other
MOST_NESTED = 100  # lists and mappings that stand inside each other
#: What holds other values. Anything else is written and compared without a look inside.
_LISTS: tuple[type[Collection[Any]], ...] = (
    list,
    tuple,
    dict,
    set,
    frozenset,
    type({}.keys()),
    type({}.values()),
    type({}.items()),
)


class TemplateTooCostlyError(SecurityError):
    """A template that asks for more than any conversation needs."""


class RenderBudget:
    """The steps that are left to one rendering."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self._left = steps
        self._calls = 0

    @classmethod
    def for_messages(cls, messages: Sequence[Mapping[str, Any]]) -> RenderBudget:
        """What a template may spend on ``messages``."""
        said = sum(len(message["content"]) for message in messages)
        return cls(BASE_STEPS + MESSAGE_STEPS * len(messages) + CHARACTER_STEPS * said)

    def spend(self, steps: int) -> None:
        """Take ``steps``, or raise TemplateTooCostlyError."""
        self._left -= steps
        if self._left < 0:
            raise TemplateTooCostlyError(f"it takes more than {self.steps} steps for this conversation")

    @contextmanager
    def call(self) -> Iterator[None]:
        """Enter a macro, a block or a recursive loop. Raises TemplateTooCostlyError where too many are entered."""
        if self._calls >= MOST_CALLS:
            raise TemplateTooCostlyError(f"more than {MOST_CALLS} macros stand inside each other")
        self._calls += 1
        try:
            yield
        finally:
            self._calls -= 1


_CURRENT: ContextVar[RenderBudget] = ContextVar("render budget")


@contextmanager
def spending(budget: RenderBudget) -> Iterator[None]:
    """Whatever is spent inside is taken from ``budget``."""
    token = _CURRENT.set(budget)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def current_budget() -> RenderBudget:
    """The budget of the rendering that runs."""
    return _CURRENT.get()


def spend(steps: int) -> None:
    """Take steps of the rendering that runs. Raises TemplateTooCostlyError."""
    _CURRENT.get().spend(steps)


def charge(value: Any) -> Any:
    """``value``; all of it is paid for, as whoever compares, writes or hashes it may walk through all of it.

    A list that holds one list many times costs each of these times: so it is walked. Raises TemplateTooCostlyError.
    """
    budget = _CURRENT.get()
    waiting: list[tuple[Any, int]] = [(value, 0)]
    while waiting:
        one, depth = waiting.pop()
        if isinstance(one, str | bytes):
            budget.spend(1 + len(one) // TEXT)
        elif isinstance(one, _LISTS):
            budget.spend(1 + len(one))  # before they are listed
            inside = [*one.keys(), *one.values()] if isinstance(one, dict) else one
            waiting += [(inner, depth + 1) for inner in inside]
        else:
            budget.spend(1 + (len(one) // COPIED if isinstance(one, range) else 0))
        if depth > MOST_NESTED:
            raise TemplateTooCostlyError(f"more than {MOST_NESTED} lists stand inside each other")
    return value


def charge_copy(value: Any) -> Any:
    """``value``; a copy of its elements is paid for, not what they hold. Raises TemplateTooCostlyError."""
    spend(1 + (len(value) // (TEXT if isinstance(value, str) else COPIED) if hasattr(value, "__len__") else 0))
    return value


def counted(items: Iterable[Any], steps: int = 1) -> Iterator[Any]:
    """``items``, each of which takes ``steps`` when it is asked for."""
    for item in items:
        spend(steps)
        yield item
