"""Python's expressions as symbolic values, with the exceptions that their evaluation raises."""

from __future__ import annotations

import ast
from collections.abc import Callable

from nexus_chain.distillation.judge.python.errors import OutsideSubsetError
from nexus_chain.distillation.judge.python.state import Execution, without
from nexus_chain.distillation.judge.python.terms import Term
from nexus_chain.distillation.judge.python.values import BOOL, NONE, Alternative, ListContent, TypeTag, Value

LARGEST_LITERAL = 10**30
LARGEST_PYTHON_EXPONENT = 6
MOST_EVALUATIONS = 30_000
"""Expressions that are evaluated, each as often as its loops are unrolled."""


class Expressions(Execution):
    """Evaluates in ``state``.

    ``own_name``: the function that is read, whose call would be recursion. ``comprehensions``: how many are around.
    """

    own_name = ""
    comprehensions = 0
    steps = 0

    def evaluate(self, node: ast.expr) -> Value:
        """The value of ``node``; conditions of exceptions are collected, and taken away from ``state.live``."""
        self.steps += 1
        if self.steps > MOST_EVALUATIONS:
            raise OutsideSubsetError(f"the unrolled code takes more than {MOST_EVALUATIONS} steps", node.lineno)
        method: Callable[[ast.expr], Value] | None = getattr(self, f"_{type(node).__name__.lower()}", None)
        if method is None:
            raise OutsideSubsetError(f"the expression {type(node).__name__}", node.lineno)
        return method(node)

    def number(self, value: Value, line: int) -> Term:
        """The value as an int; TypeError where it is none."""
        number = self.bank.integer(0)
        for tag, alternative in value.items():
            term = self.algebra.number(tag, alternative)
            if term is not None:
                number = self.bank.choose(alternative.guard, term, number) if len(value) > 1 else term
            elif tag.name == "list":
                raise OutsideSubsetError("arithmetic with a list", line)
            else:
                self.raise_if("TypeError", alternative.guard)
        return number

    def truth(self, value: Value) -> Term:
        return self.algebra.truth(value, self.state.heap)

    def equal(self, left: Value, right: Value) -> Term:
        return self.algebra.equal(left, right, self.state.heap, self.state.heap)

    # --- atoms ---

    def _constant(self, node: ast.Constant) -> Value:
        if isinstance(node.value, bool):
            return self.algebra.boolean(self.bank.boolean(node.value))
        if isinstance(node.value, int):
            if node.value > LARGEST_LITERAL:
                raise OutsideSubsetError(f"a literal above {LARGEST_LITERAL:.0e}", node.lineno)
            return self.algebra.integer(node.value)
        if node.value is None:
            return self.algebra.none()
        raise OutsideSubsetError(f"a literal of type {type(node.value).__name__}", node.lineno)

    def _name(self, node: ast.Name) -> Value:
        value = self.state.names.get(node.id)
        if value is None:
            raise OutsideSubsetError(f"the global name {node.id!a}", node.lineno)
        for tag, alternative in value.items():
            if tag.name == "unbound":
                if self.comprehensions:  # a NameError or an UnboundLocalError, as the version of Python has it
                    raise OutsideSubsetError("a name that may have no value, in a comprehension", node.lineno)
                self.raise_if("UnboundLocalError", alternative.guard)
        return without(value, "unbound") or self.algebra.integer(0)

    def _list(self, node: ast.List) -> Value:
        items = tuple(self.evaluate(item) for item in node.elts)
        return self.new_list(ListContent(self.bank.integer(len(items)), items), node.lineno)

    # --- arithmetic ---

    def _unaryop(self, node: ast.UnaryOp) -> Value:
        operand = self.evaluate(node.operand)
        if isinstance(node.op, ast.Not):
            return self.algebra.boolean(self.bank.negate(self.truth(operand)))
        number = self.number(operand, node.lineno)
        if isinstance(node.op, ast.UAdd):
            return self.algebra.integer(number)
        negative = self.bank.negative(number)
        is_invert = isinstance(node.op, ast.Invert)  # ~x is -x - 1
        return self.algebra.integer(self.bank.subtract(negative, self.bank.integer(1)) if is_invert else negative)

    def _binop(self, node: ast.BinOp) -> Value:
        return self.binary(node.op, self.evaluate(node.left), self.evaluate(node.right), node.lineno)

    def binary(self, operator: ast.operator, left: Value, right: Value, line: int) -> Value:
        """``left operator right`` of values that are evaluated."""
        if isinstance(operator, ast.Add) and all(tag.name == "list" for tag in (*left, *right)):
            return self._concatenation(left, right, line)
        if isinstance(operator, ast.BitAnd | ast.BitOr | ast.BitXor) and set(left) == set(right) == {BOOL}:
            return self._bits(operator, left[BOOL], right[BOOL])
        one, other = self.number(left, line), self.number(right, line)
        bank = self.bank
        match operator:
            case ast.Add():
                return self.algebra.integer(bank.add(one, other))
            case ast.Sub():
                return self.algebra.integer(bank.subtract(one, other))
            case ast.Mult():
                return self.algebra.integer(bank.multiply(one, other))
            case ast.FloorDiv() | ast.Mod():
                self.raise_if("ZeroDivisionError", bank.equal(other, bank.integer(0)))
                divide = bank.floor_divide if isinstance(operator, ast.FloorDiv) else bank.floor_remainder
                return self.algebra.integer(divide(one, other))
            case ast.Pow():
                return self._power(one, other, line)
        raise OutsideSubsetError(f"the operator {type(operator).__name__}", line)

    def _power(self, base: Term, exponent: Term, line: int) -> Value:
        if exponent.value is None or not 0 <= exponent.value <= LARGEST_PYTHON_EXPONENT:
            raise OutsideSubsetError(
                f"a power whose exponent is not a number from 0 to {LARGEST_PYTHON_EXPONENT}", line
            )
        power = self.bank.integer(1)
        for _ in range(exponent.value):
            power = self.bank.multiply(power, base)
        return self.algebra.integer(power)

    def _bits(self, operator: ast.operator, left: Alternative, right: Alternative) -> Value:
        assert left.term is not None and right.term is not None  # noqa: S101, PT018
        if isinstance(operator, ast.BitXor):
            return self.algebra.boolean(self.bank.negate(self.bank.equal(left.term, right.term)))
        connective = self.bank.all_of if isinstance(operator, ast.BitAnd) else self.bank.any_of
        return self.algebra.boolean(connective(left.term, right.term))

    def _concatenation(self, left: Value, right: Value, line: int) -> Value:
        one, other = (self.content(self.one_list(value, line)) for value in (left, right))
        items = list(one.items)
        for index in range(len(one.items) + len(other.items)):
            inside = self.bank.less(self.bank.integer(index), one.length)
            offset = self.bank.subtract(self.bank.integer(index), one.length)
            item = self._select(other, offset)
            if index >= len(items):
                items.append(item)
            else:
                items[index] = self.algebra.choose(inside, items[index], item)
        return self.new_list(ListContent(self.bank.add(one.length, other.length), tuple(items)), line)

    # --- conditions ---

    def _boolop(self, node: ast.BoolOp) -> Value:
        value = self.evaluate(node.values[0])
        for operand in node.values[1:]:
            truth = self.truth(value)
            goes_on = truth if isinstance(node.op, ast.And) else self.bank.negate(truth)
            if goes_on is self.bank.false:
                break
            with self.only_if(goes_on):
                other = self.evaluate(operand)
            value = self.algebra.choose(goes_on, other, value)
        return value

    def _ifexp(self, node: ast.IfExp) -> Value:
        condition = self.truth(self.evaluate(node.test))
        if condition.value is not None:
            return self.evaluate(node.body if condition.value else node.orelse)
        with self.only_if(condition):
            one = self.evaluate(node.body)
        with self.only_if(self.bank.negate(condition)):
            other = self.evaluate(node.orelse)
        return self.algebra.choose(condition, one, other)

    def _compare(self, node: ast.Compare) -> Value:
        """A chain evaluates each operand once, and stops at the first comparison that fails."""
        left, holds = self.evaluate(node.left), self.bank.true
        for operator, operand in zip(node.ops, node.comparators, strict=True):
            with self.only_if(holds):
                right = self.evaluate(operand)
                this = self._comparison(operator, left, right, operand)
            holds, left = self.bank.all_of(holds, this), right
        return self.algebra.boolean(holds)

    def _comparison(self, operator: ast.cmpop, left: Value, right: Value, operand: ast.expr) -> Term:
        line, bank = operand.lineno, self.bank
        if isinstance(operator, ast.Eq | ast.NotEq):
            same = self.equal(left, right)
            return same if isinstance(operator, ast.Eq) else bank.negate(same)
        if isinstance(operator, ast.Is | ast.IsNot):
            if not isinstance(operand, ast.Constant) or operand.value is not None:
                raise OutsideSubsetError("identity (is) with something else than None", line)
            same = left[NONE].guard if NONE in left else bank.false
            return same if isinstance(operator, ast.Is) else bank.negate(same)
        if isinstance(operator, ast.In | ast.NotIn):
            content = self.content(self.one_list(right, line))
            cases = [
                bank.all_of(self._has(content, at), self.equal(left, item)) for at, item in enumerate(content.items)
            ]
            found = bank.any_of(*cases)
            return found if isinstance(operator, ast.In) else bank.negate(found)
        one, other = self.number(left, line), self.number(right, line)
        match operator:
            case ast.Lt():
                return bank.less(one, other)
            case ast.LtE():
                return bank.at_most(one, other)
            case ast.Gt():
                return bank.less(other, one)
        return bank.at_most(other, one)

    # --- lists ---

    def one_list(self, value: Value, line: int) -> TypeTag:
        """The list that ``value`` is: one, and nothing else."""
        tags = list(value)
        if len(tags) != 1 or tags[0].name != "list":
            raise OutsideSubsetError("a value that may or may not be one certain list", line)
        return tags[0]

    def _has(self, content: ListContent, index: int) -> Term:
        return self.bank.less(self.bank.integer(index), content.length)

    def _select(self, content: ListContent, index: Term) -> Value:
        """The item at ``index``, from the front; any value beyond the end."""
        if not content.items:
            return self.algebra.integer(0)
        value = content.items[-1]
        for at, item in reversed(list(enumerate(content.items[:-1]))):
            value = self.algebra.choose(self.bank.equal(index, self.bank.integer(at)), item, value)
        return value

    def position(self, content: ListContent, index: Value, line: int) -> Term:
        """``index`` from the front; IndexError where the list has no such item."""
        bank, number = self.bank, self.number(index, line)
        is_negative = bank.less(number, bank.integer(0))
        place = bank.choose(is_negative, bank.add(number, content.length), number)
        outside = bank.any_of(bank.less(place, bank.integer(0)), bank.at_most(content.length, place))
        self.raise_if("IndexError", outside)
        return place

    def _subscript(self, node: ast.Subscript) -> Value:
        value = self.evaluate(node.value)
        if isinstance(node.slice, ast.Slice):
            if node.slice.lower or node.slice.upper or node.slice.step:
                raise OutsideSubsetError("a slice", node.lineno)
            return self.new_list(self.content(self.one_list(value, node.lineno)), node.lineno)
        index = self.evaluate(node.slice)
        content = self.content(self.one_list(value, node.lineno))
        return self._select(content, self.position(content, index, node.lineno))
