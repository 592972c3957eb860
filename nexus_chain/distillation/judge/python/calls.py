"""Calls of builtins, comprehensions, and what a loop goes through."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

from nexus_chain.distillation.judge.python.errors import OutsideSubsetError
from nexus_chain.distillation.judge.python.expressions import Expressions
from nexus_chain.distillation.judge.python.terms import Term
from nexus_chain.distillation.judge.python.values import ListContent, Value

MOST_ROUNDS = 40
"""Rounds of one loop that are unrolled."""
BUILTINS = ("abs", "min", "max", "sum", "len", "int", "bool", "list", "any", "all")


class Calls(Expressions):
    """Expressions with calls."""

    def _call(self, node: ast.Call) -> Value:
        if isinstance(node.func, ast.Attribute) and node.func.attr == "copy" and not node.args and not node.keywords:
            return self._call_of_one("list", self.evaluate(node.func.value), node.lineno)
        name = self._called(node)
        if node.keywords or any(isinstance(argument, ast.Starred) for argument in node.args):
            raise OutsideSubsetError(f"a call of {name} with keywords or stars", node.lineno)
        if len(node.args) == 1 and isinstance(node.args[0], ast.GeneratorExp):
            return self._call_over_generator(name, node.args[0])
        values = [self.evaluate(argument) for argument in node.args]
        if name in ("min", "max") and len(values) >= 2:
            return self._extreme(name, values, node.lineno)
        if len(values) != 1:
            raise OutsideSubsetError(f"a call of {name} with {len(values)} arguments", node.lineno)
        return self._call_of_one(name, values[0], node.lineno)

    def _called(self, node: ast.Call) -> str:
        """The builtin's name. Whatever else a call may run, it is not translated."""
        if not isinstance(node.func, ast.Name):
            raise OutsideSubsetError("a call of something else than a builtin", node.lineno)
        name = node.func.id
        if name == self.own_name:
            raise OutsideSubsetError("recursion", node.lineno)
        if name in self.state.names or name not in BUILTINS:
            raise OutsideSubsetError(f"a call of {name!a}", node.lineno)
        return name

    def _call_of_one(self, name: str, value: Value, line: int) -> Value:
        bank, algebra = self.bank, self.algebra
        if name == "bool":
            return algebra.boolean(self.truth(value))
        if name in ("int", "abs"):
            number = self.number(value, line)
            if name == "int":
                return algebra.integer(number)
            return algebra.integer(bank.choose(bank.less(number, bank.integer(0)), bank.negative(number), number))
        content = self.content(self.one_list(value, line))
        if name == "len":
            return algebra.integer(content.length)
        if name == "list":
            return self.new_list(content, line)
        if name in ("min", "max"):
            return self._extreme_of_list(name, content, line)
        total, truths = bank.integer(0), []
        for index, item in enumerate(content.items):
            inside = self._has(content, index)
            truths.append((inside, self.truth(item)))
            if name == "sum":
                with self.only_if(inside):
                    number = self.number(item, line)
                total = bank.add(total, bank.choose(inside, number, bank.integer(0)))
        if name == "sum":
            return algebra.integer(total)
        if name == "any":
            return algebra.boolean(bank.any_of(*(bank.all_of(inside, truth) for inside, truth in truths)))
        return algebra.boolean(bank.all_of(*(bank.any_of(bank.negate(inside), truth) for inside, truth in truths)))

    def _extreme(self, name: str, values: list[Value], line: int) -> Value:
        """The first of several equals, as Python has it: it matters for the type, as in ``min(True, 1)``."""
        best = values[0]
        for value in values[1:]:
            best = self._better(name, value, best, line)
        return best

    def _better(self, name: str, value: Value, best: Value, line: int) -> Value:
        one, other = self.number(value, line), self.number(best, line)
        wins = self.bank.less(one, other) if name == "min" else self.bank.less(other, one)
        return self.algebra.choose(wins, value, best)

    def _extreme_of_list(self, name: str, content: ListContent, line: int) -> Value:
        self.raise_if("ValueError", self.bank.equal(content.length, self.bank.integer(0)))
        if not content.items:
            return self.algebra.integer(0)
        best = content.items[0]
        for index, item in enumerate(content.items[1:], 1):
            inside = self._has(content, index)
            with self.only_if(inside):
                better = self._better(name, item, best, line)
            best = self.algebra.choose(inside, better, best)
        return best

    # --- iteration ---

    def rounds(self, node: ast.expr) -> Iterator[tuple[Term, Callable[[], Value]]]:
        """For each round of an iteration over ``node``: when there is one, and the item then, looked up when asked.

        After the last round that is unrolled, the condition under which there were more is given up.
        """
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range":
            yield from self._range(node)
            return
        tag = self.one_list(self.evaluate(node), node.lineno)
        for index in range(MOST_ROUNDS):
            content = self.content(tag)
            if index >= len(content.items):
                return
            yield self._has(content, index), lambda index=index: self.content(tag).items[index]  # type: ignore[misc]
        self.give_up_if(self._has(self.content(tag), MOST_ROUNDS))

    def _range(self, node: ast.Call) -> Iterator[tuple[Term, Callable[[], Value]]]:
        if node.keywords or not 1 <= len(node.args) <= 3 or "range" in self.state.names or self.own_name == "range":
            raise OutsideSubsetError("an unusual call of range", node.lineno)
        numbers = [self.number(self.evaluate(argument), node.lineno) for argument in node.args]
        bank = self.bank
        start, stop = (bank.integer(0), numbers[0]) if len(numbers) == 1 else numbers[:2]
        step = numbers[2] if len(numbers) == 3 else bank.integer(1)
        if not step.value:
            raise OutsideSubsetError("a range whose step is no number, or 0", node.lineno)
        place = start
        for index in range(MOST_ROUNDS + 1):
            inside = bank.less(place, stop) if step.value > 0 else bank.less(stop, place)
            if index == MOST_ROUNDS:
                self.give_up_if(inside)
                return
            yield inside, lambda place=place: self.algebra.integer(place)  # type: ignore[misc]
            place = bank.add(place, step)

    def _comprehension(self, node: ast.GeneratorExp | ast.ListComp, visit: Callable[[ast.expr], Term]) -> None:
        """``visit`` the element in each round, while it says so; ``state.live`` says there whether there is a round."""
        generator = node.generators[0]
        if len(node.generators) != 1 or generator.is_async or not isinstance(generator.target, ast.Name):
            raise OutsideSubsetError("a comprehension of several loops", node.lineno)
        name, goes_on = generator.target.id, self.bank.true
        before = self.state.names.get(name)
        for inside, item in self.rounds(generator.iter):
            if inside is self.bank.false:
                break
            self.comprehensions += 1
            with self.only_if(self.bank.all_of(inside, goes_on)):
                self.state.names[name] = item()
                taken = self.bank.true
                for condition in generator.ifs:
                    with self.only_if(taken):
                        truth = self.truth(self.evaluate(condition))
                    taken = self.bank.all_of(taken, truth)
                with self.only_if(taken):
                    stays = visit(node.elt)
            self.comprehensions -= 1
            goes_on = self.bank.all_of(goes_on, self.bank.any_of(stays, self.bank.negate(taken)))
            if before is None:
                del self.state.names[name]
            else:
                self.state.names[name] = before

    def _call_over_generator(self, name: str, node: ast.GeneratorExp) -> Value:
        if name not in ("any", "all", "sum", "list", "min", "max"):
            raise OutsideSubsetError(f"{name} of a generator", node.lineno)
        if name not in ("any", "all", "sum"):
            return self._call_of_one(name, self._listcomp(node), node.lineno)
        bank, found, total = self.bank, list[Term](), [self.bank.integer(0)]

        def visit(element: ast.expr) -> Term:
            here = self.state.live
            value = self.evaluate(element)
            if name == "sum":
                number = self.number(value, node.lineno)
                total[0] = bank.choose(here, bank.add(total[0], number), total[0])
                return bank.true
            truth = self.truth(value)
            ends = truth if name == "any" else bank.negate(truth)
            found.append(bank.all_of(self.state.live, ends))
            return bank.negate(ends)

        self._comprehension(node, visit)
        if name == "sum":
            return self.algebra.integer(total[0])
        result = bank.any_of(*found)
        return self.algebra.boolean(result if name == "any" else bank.negate(result))

    def _listcomp(self, node: ast.ListComp | ast.GeneratorExp) -> Value:
        made = self.new_list(ListContent(self.bank.integer(0), ()), node.lineno)

        def visit(element: ast.expr) -> Term:
            value = self.evaluate(element)
            content = self.content(self.one_list(made, node.lineno))
            longer = self.appended(content, value, node.lineno)
            chosen = self.algebra.choose_content(self.state.live, longer, content)
            self.state.heap[self.one_list(made, node.lineno).reference] = chosen
            return self.bank.true

        self._comprehension(node, visit)
        return made

    def appended(self, content: ListContent, value: Value, line: int) -> ListContent:
        """The list with ``value`` at its end. The room grows by one; so it does where the length stays below it."""
        if any(tag.name == "list" for tag in value):
            raise OutsideSubsetError("a list of lists", line)
        items = [
            self.algebra.choose(self.bank.equal(content.length, self.bank.integer(index)), value, item)
            for index, item in enumerate(content.items)
        ]
        if not (content.length.high is not None and content.length.high < len(items)):
            items.append(value)
        self.new_list(ListContent(content.length, tuple(items)), line)  # refuses what is too long
        return ListContent(self.bank.add(content.length, self.bank.integer(1)), tuple(items))
