"""Python's statements and functions as one symbolic outcome."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from nexus_chain.distillation.judge.python.calls import MOST_ROUNDS, Calls
from nexus_chain.distillation.judge.python.errors import OutsideSubsetError
from nexus_chain.distillation.judge.python.state import State
from nexus_chain.distillation.judge.python.terms import Term, TermBank
from nexus_chain.distillation.judge.python.values import Heap, TypeTag, Value

RAISED = frozenset(
    [
        "ValueError", "TypeError", "IndexError", "KeyError", "LookupError", "ZeroDivisionError", "ArithmeticError",
        "OverflowError", "RuntimeError", "NotImplementedError", "AssertionError", "Exception",
    ]
)  # fmt: skip
_RESULT = "result of the function"  # no Python name, so it cannot meet one


@dataclass(frozen=True)
class SymbolicOutcome:
    """What a function does for every input at once.

    ``returns``: when it returns, then ``value`` in ``heap``. ``raises``: for each exception, when. ``unfinished``: when
    a loop goes on beyond the rounds that were unrolled. Exactly one of these holds for an input.
    """

    returns: Term
    value: Value
    heap: Heap
    raises: Mapping[str, Term]
    unfinished: Term


@dataclass
class _Loop:
    breaks: list[State] = field(default_factory=list)
    continues: list[State] = field(default_factory=list)


class FunctionReader(Calls):
    """Executes one function's body from ``state``, which holds its arguments."""

    def __init__(self, bank: TermBank, state: State) -> None:
        super().__init__(bank, state)
        self._returns: list[State] = []
        self._loops: list[_Loop] = []
        self._item: Callable[[], Value] = self.algebra.none

    def outcome(self, function: ast.FunctionDef) -> SymbolicOutcome:
        """Raises OutsideSubsetError for what is not translated."""
        self.own_name = function.name
        for name in _assigned(function):
            self.state.names.setdefault(name, self.algebra.unbound())
        self._block(function.body)
        self._return(self.algebra.none())
        end = self.join(self._returns)
        value = end.names.get(_RESULT, self.algebra.none())
        return SymbolicOutcome(end.live, value, end.heap, self.raises, self.unfinished)

    def _return(self, value: Value) -> None:
        self.state.names[_RESULT] = value
        self._leave(self._returns)

    def _leave(self, states: list[State]) -> None:
        """Execution goes on elsewhere, from where it is now."""
        states.append(self.state.branch(self.state.live))
        self.state.live = self.bank.false

    def _block(self, statements: list[ast.stmt]) -> None:
        for statement in statements:
            if self.is_dead():
                return
            self._statement(statement)

    def _statement(self, node: ast.stmt) -> None:
        match node:
            case ast.Return():
                self._return(self.algebra.none() if node.value is None else self.evaluate(node.value))
            case ast.Assign():
                self._assign(node)
            case ast.AnnAssign(target=ast.Name()):
                if node.value is not None:
                    self._store(node.target, self.evaluate(node.value))
            case ast.AugAssign():
                self._augment(node)
            case ast.If():
                self._if(node)
            case ast.For(orelse=[]) | ast.While(orelse=[]):
                self._loop(node)
            case ast.Break():
                self._leave(self._loops[-1].breaks)
            case ast.Continue():
                self._leave(self._loops[-1].continues)
            case ast.Assert():
                if node.msg is not None and not isinstance(node.msg, ast.Constant):
                    raise OutsideSubsetError("an assertion whose message is computed", node.lineno)
                self.raise_if("AssertionError", self.bank.negate(self.truth(self.evaluate(node.test))))
            case ast.Raise():
                self.raise_if(self._exception(node), self.bank.true)
            case ast.Expr(value=ast.Call(func=ast.Attribute(attr="append"))):
                self._append(node.value)
            case ast.Expr(value=ast.Constant()) | ast.Pass():
                pass
            case _:
                raise OutsideSubsetError(f"the statement {type(node).__name__}", node.lineno)

    # --- assignments ---

    def _assign(self, node: ast.Assign) -> None:
        if any(isinstance(target, ast.Tuple) for target in node.targets):
            if len(node.targets) != 1 or not isinstance(node.value, ast.Tuple):
                raise OutsideSubsetError("an assignment to several names that is not written out", node.lineno)
            self._assign_several(node.targets[0], node.value)
            return
        value = self.evaluate(node.value)
        for target in node.targets:
            self._store(target, value)

    def _assign_several(self, targets: ast.expr, values: ast.Tuple) -> None:
        if not isinstance(targets, ast.Tuple) or len(targets.elts) != len(values.elts):
            raise OutsideSubsetError("an assignment of other values than names", values.lineno)
        evaluated = [self.evaluate(value) for value in values.elts]
        for target, value in zip(targets.elts, evaluated, strict=True):
            self._store(target, value)

    def _store(self, target: ast.expr, value: Value) -> None:
        if isinstance(target, ast.Name):
            self.state.names[target.id] = value
        elif isinstance(target, ast.Subscript) and not isinstance(target.slice, ast.Slice):
            holder = self.one_list(self.evaluate(target.value), target.lineno)
            self._store_item(holder, self.evaluate(target.slice), value, target.lineno)
        else:
            raise OutsideSubsetError(f"an assignment to {type(target).__name__}", target.lineno)

    def _store_item(self, holder: TypeTag, index: Value, value: Value, line: int) -> None:
        if any(tag.name == "list" for tag in value):
            raise OutsideSubsetError("a list of lists", line)
        content = self.content(holder)
        place = self.position(content, index, line)
        items = [
            self.algebra.choose(self.bank.equal(place, self.bank.integer(at)), value, item)
            for at, item in enumerate(content.items)
        ]
        self.state.heap[holder.reference] = type(content)(content.length, tuple(items))

    def _augment(self, node: ast.AugAssign) -> None:
        target = node.target
        if isinstance(target, ast.Name):
            old = self.evaluate(ast.copy_location(ast.Name(target.id, ast.Load()), target))
            self._refuse_lists(old, node.lineno)
            self._store(target, self.binary(node.op, old, self.evaluate(node.value), node.lineno))
        elif isinstance(target, ast.Subscript) and not isinstance(target.slice, ast.Slice):
            holder = self.one_list(self.evaluate(target.value), node.lineno)
            index = self.evaluate(target.slice)
            content = self.content(holder)
            old = self._select(content, self.position(content, index, node.lineno))
            new = self.binary(node.op, old, self.evaluate(node.value), node.lineno)
            self._store_item(holder, index, new, node.lineno)
        else:
            raise OutsideSubsetError(f"an assignment to {type(target).__name__}", node.lineno)

    def _refuse_lists(self, value: Value, line: int) -> None:
        """``xs += ys`` changes the list that other names may mean too."""
        if any(tag.name == "list" for tag in value):
            raise OutsideSubsetError("an augmented assignment to a list", line)

    def _append(self, node: ast.expr) -> None:
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            raise OutsideSubsetError("a call", node.lineno)
        if len(node.args) != 1 or node.keywords or isinstance(node.args[0], ast.Starred):
            raise OutsideSubsetError("an unusual call of append", node.lineno)
        holder = self.one_list(self.evaluate(node.func.value), node.lineno)
        value = self.evaluate(node.args[0])
        self.state.heap[holder.reference] = self.appended(self.content(holder), value, node.lineno)

    def _exception(self, node: ast.Raise) -> str:
        """The name of the exception, which nobody took; its arguments are constants, so they raise nothing."""
        raised = node.exc
        if isinstance(raised, ast.Call) and not raised.keywords:
            if not all(isinstance(argument, ast.Constant) for argument in raised.args):
                raise OutsideSubsetError("an exception whose arguments are computed", node.lineno)
            raised = raised.func
        if not isinstance(raised, ast.Name) or raised.id not in RAISED or node.cause is not None:
            raise OutsideSubsetError("an exception that is not a plain builtin one", node.lineno)
        if raised.id in self.state.names or raised.id == self.own_name:
            raise OutsideSubsetError(f"the name {raised.id}, which hides an exception", node.lineno)
        return raised.id

    # --- branches and loops ---

    def _if(self, node: ast.If) -> None:
        condition = self.truth(self.evaluate(node.test))
        start = self.state
        ends = []
        for holds, block in ((condition, node.body), (self.bank.negate(condition), node.orelse)):
            self.state = start.branch(self.bank.all_of(start.live, holds))
            self._block(block)
            ends.append(self.state)
        self.state = self.join(ends)

    def _loop(self, node: ast.For | ast.While) -> None:
        """Each round starts only where the condition holds; the ways out, one after each round, join behind it."""
        loop, ends = _Loop(), list[State]()
        self._loops.append(loop)
        for goes_on in self._rounds_of(node):
            ends.append(self.state.branch(self.bank.all_of(self.state.live, self.bank.negate(goes_on))))
            self.state.live = self.bank.all_of(self.state.live, goes_on)
            if self.is_dead():
                break
            if isinstance(node, ast.For):
                self._store(node.target, self._item())
            self._block(node.body)
            self.state = self.join([self.state, *loop.continues])
            loop.continues.clear()
            if self.is_dead():
                break
        self._loops.pop()
        self.state = self.join([*ends, self.state, *loop.breaks])

    def _rounds_of(self, node: ast.For | ast.While) -> Iterator[Term]:
        if isinstance(node, ast.For):
            if not isinstance(node.target, ast.Name):
                raise OutsideSubsetError("a loop over several names", node.lineno)
            for inside, item in self.rounds(node.iter):
                self._item = item
                yield inside
            return
        for _ in range(MOST_ROUNDS):
            yield self.truth(self.evaluate(node.test))
        self.give_up_if(self.truth(self.evaluate(node.test)))


def _assigned(function: ast.FunctionDef) -> list[str]:
    """The names that the function's own scope assigns; a comprehension's name is none of them."""
    names, waiting = [], list[ast.AST](function.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.append(node.id)
        if isinstance(node, ast.comprehension):
            waiting += [node.iter, *node.ifs]
        elif not isinstance(node, ast.FunctionDef | ast.Lambda | ast.ClassDef):
            waiting += ast.iter_child_nodes(node)
    return names
