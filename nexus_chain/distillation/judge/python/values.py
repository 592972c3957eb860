"""Symbolic values: for each type that a Python value may have, the condition under which it has it, and the term.

A list is a reference into a heap, as in Python: two names may mean one list. Its length is a term, its items are
values; items at and beyond the length mean nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nexus_chain.distillation.judge.python.terms import Term, TermBank


@dataclass(frozen=True)
class TypeTag:
    """``name``: "int", "bool", "none", "list" or "unbound" (no value yet). ``reference``: which list."""

    name: str
    reference: int = 0


INT, BOOL, NONE, UNBOUND = TypeTag("int"), TypeTag("bool"), TypeTag("none"), TypeTag("unbound")


@dataclass(frozen=True)
class Alternative:
    """Under ``guard`` the value is of this type, and ``term`` (for int and bool) is its value."""

    guard: Term
    term: Term | None = None


Value = Mapping[TypeTag, Alternative]
"""The guards exclude each other, and one of them holds wherever the value is looked at."""


@dataclass(frozen=True)
class ListContent:
    """``length``: at most ``len(items)``."""

    length: Term
    items: tuple[Value, ...]


Heap = Mapping[int, ListContent]


class ValueAlgebra:
    """What Python does with values, as terms of ``bank``."""

    def __init__(self, bank: TermBank) -> None:
        self.bank = bank

    def integer(self, term: Term | int) -> Value:
        return {INT: Alternative(self.bank.true, self.bank.integer(term) if isinstance(term, int) else term)}

    def boolean(self, term: Term) -> Value:
        return {BOOL: Alternative(self.bank.true, term)}

    def none(self) -> Value:
        return {NONE: Alternative(self.bank.true)}

    def unbound(self) -> Value:
        return {UNBOUND: Alternative(self.bank.true)}

    def list_at(self, reference: int) -> Value:
        return {TypeTag("list", reference): Alternative(self.bank.true)}

    def choose(self, condition: Term, left: Value, right: Value) -> Value:
        """``left`` where ``condition`` holds, else ``right``."""
        if condition.value is not None:
            return left if condition.value else right
        if left is right:
            return left
        bank, nothing = self.bank, Alternative(self.bank.false)
        chosen = {}
        for tag in dict.fromkeys((*left, *right)):
            one, other = left.get(tag, nothing), right.get(tag, nothing)
            guard = bank.choose(condition, one.guard, other.guard)
            if one.term is not None and other.term is not None:
                term: Term | None = bank.choose(condition, one.term, other.term)
            else:
                term = one.term if one.term is not None else other.term
            if guard is not bank.false:
                chosen[tag] = Alternative(guard, term)
        return chosen

    def choose_content(self, condition: Term, left: ListContent, right: ListContent) -> ListContent:
        if left is right:
            return left
        size = max(len(left.items), len(right.items))
        items = []
        for index in range(size):
            pair = [content.items[index : index + 1] for content in (left, right)]
            both = [item for part in pair for item in part]
            items.append(self.choose(condition, *both) if len(both) == 2 else both[0])
        return ListContent(self.bank.choose(condition, left.length, right.length), tuple(items))

    def number(self, tag: TypeTag, alternative: Alternative) -> Term | None:
        """An int, or a bool as the int that it is in Python; None for other types."""
        if alternative.term is None:
            return None
        if tag == BOOL:
            return self.bank.choose(alternative.term, self.bank.integer(1), self.bank.integer(0))
        return alternative.term

    def truth(self, value: Value, heap: Heap) -> Term:
        bank, zero = self.bank, self.bank.integer(0)
        cases = []
        for tag, alternative in value.items():
            if tag.name == "list":
                holds = bank.less(zero, heap[tag.reference].length)
            elif alternative.term is None:
                continue
            else:
                term = alternative.term
                holds = term if tag == BOOL else bank.negate(bank.equal(term, zero))
            cases.append(bank.all_of(alternative.guard, holds))
        return bank.any_of(*cases)

    def equal(self, left: Value, right: Value, left_heap: Heap, right_heap: Heap, *, same_type: bool = False) -> Term:
        """Python's ``==``, where True is 1; with ``same_type`` True and 1 differ."""
        cases = []
        for tag, one in left.items():
            for other_tag, other in right.items():
                holds = self._equal(tag, one, other_tag, other, left_heap, right_heap, same_type)
                cases.append(self.bank.all_of(one.guard, other.guard, holds))
        return self.bank.any_of(*cases)

    def _equal(
        self,
        tag: TypeTag,
        one: Alternative,
        other_tag: TypeTag,
        other: Alternative,
        left_heap: Heap,
        right_heap: Heap,
        same_type: bool,
    ) -> Term:
        if (tag.name != other_tag.name and same_type) or "unbound" in (tag.name, other_tag.name):
            return self.bank.false
        first, second = self.number(tag, one), self.number(other_tag, other)
        if first is not None and second is not None:
            return self.bank.equal(first, second)
        if tag.name != other_tag.name:
            return self.bank.false
        if tag.name == "list":
            contents = left_heap[tag.reference], right_heap[other_tag.reference]
            return self.equal_lists(*contents, left_heap, right_heap, same_type=same_type)
        return self.bank.true

    def equal_lists(
        self, left: ListContent, right: ListContent, left_heap: Heap, right_heap: Heap, *, same_type: bool
    ) -> Term:
        if left is right:
            return self.bank.true
        conditions = [self.bank.equal(left.length, right.length)]
        for index, (one, other) in enumerate(zip(left.items, right.items, strict=False)):
            beyond = self.bank.at_most(left.length, self.bank.integer(index))
            same = self.equal(one, other, left_heap, right_heap, same_type=same_type)
            conditions.append(self.bank.any_of(beyond, same))
        return self.bank.all_of(*conditions)
