"""Where a symbolic execution stands, what it has met on its way, and how two ways join."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from nexus_chain.distillation.judge.python.errors import OutsideSubsetError
from nexus_chain.distillation.judge.python.terms import Term, TermBank
from nexus_chain.distillation.judge.python.values import ListContent, TypeTag, Value, ValueAlgebra

LONGEST_LIST = 32
"""Items that a list may have room for."""


@dataclass
class State:
    """``live``: the condition under which execution is here. ``names``: the locals. ``heap``: what each list holds."""

    live: Term
    names: dict[str, Value] = field(default_factory=dict)
    heap: dict[int, ListContent] = field(default_factory=dict)

    def branch(self, live: Term) -> State:
        """A copy that goes another way."""
        return State(live, dict(self.names), dict(self.heap))


class Execution:
    """The state, and what is collected beside it.

    ``raises``: for each exception's name, when it is raised. ``unfinished``: when a loop would go on after the last
    round that was unrolled.
    """

    def __init__(self, bank: TermBank, state: State) -> None:
        self.bank = bank
        self.algebra = ValueAlgebra(bank)
        self.state = state
        self.raises: dict[str, Term] = {}
        self.unfinished = bank.false
        self._references = max(state.heap, default=0)

    def is_dead(self) -> bool:
        return self.state.live is self.bank.false

    def raise_if(self, name: str, condition: Term) -> None:
        """Where ``condition`` holds, execution ends here with the exception ``name``."""
        now = self.bank.all_of(self.state.live, condition)
        if now is not self.bank.false:
            self.raises[name] = self.bank.any_of(self.raises.get(name, self.bank.false), now)
            self.state.live = self.bank.all_of(self.state.live, self.bank.negate(condition))

    def give_up_if(self, condition: Term) -> None:
        """Where ``condition`` holds, a loop has more rounds than are looked at."""
        now = self.bank.all_of(self.state.live, condition)
        self.unfinished = self.bank.any_of(self.unfinished, now)
        self.state.live = self.bank.all_of(self.state.live, self.bank.negate(condition))

    @contextmanager
    def only_if(self, condition: Term) -> Iterator[None]:
        """What is evaluated inside is evaluated only where ``condition`` holds, and can raise only there."""
        before = self.state.live
        inside = self.state.live = self.bank.all_of(before, condition)
        yield
        if self.state.live is inside:
            self.state.live = before
        else:
            other = self.bank.all_of(before, self.bank.negate(condition))
            self.state.live = self.bank.any_of(other, self.state.live)

    def new_list(self, content: ListContent, line: int) -> Value:
        if len(content.items) > LONGEST_LIST:
            raise OutsideSubsetError(f"a list of more than {LONGEST_LIST} items", line)
        if any(tag.name == "list" for item in content.items for tag in item):
            raise OutsideSubsetError("a list of lists", line)
        self._references += 1
        self.state.heap[self._references] = content
        return self.algebra.list_at(self._references)

    def content(self, tag: TypeTag) -> ListContent:
        return self.state.heap[tag.reference]

    def join(self, states: list[State]) -> State:
        """One state for all: their conditions exclude each other."""
        joined = self.state.branch(self.bank.false)
        for state in states:
            if state.live is not self.bank.false:
                joined = state if joined.live is self.bank.false else self._join_two(state, joined)
        return joined

    def _join_two(self, one: State, other: State) -> State:
        algebra, condition, unbound = self.algebra, one.live, self.algebra.unbound()
        names = {
            name: algebra.choose(condition, one.names.get(name, unbound), other.names.get(name, unbound))
            for name in dict.fromkeys((*other.names, *one.names))
        }
        heap = {**other.heap, **one.heap}
        for reference in one.heap.keys() & other.heap.keys():
            heap[reference] = algebra.choose_content(condition, one.heap[reference], other.heap[reference])
        return State(self.bank.any_of(one.live, other.live), names, heap)


def without(value: Value, name: str) -> Value:
    """``value`` where it is not of the type ``name``."""
    return {tag: replace(alternative) for tag, alternative in value.items() if tag.name != name}
