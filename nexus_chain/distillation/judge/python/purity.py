"""Which code gives the same answer to the same input, whenever it is asked: only there does a table prove.

The list is of what is allowed: plain functions over integers, booleans, lists, tuples and dicts, builtins without
state, methods of those containers. Nothing that is allowed can change a global, a builtin or another function, read a
clock, or see where an object lies in memory (as the order of a set can show, and the text of an object).
"""

from __future__ import annotations

import ast

from nexus_chain.distillation.judge.python.errors import OutsideSubsetError
from nexus_chain.distillation.judge.python.source import is_harmless_import, parameters_of, require_plain_function

_BUILTINS = frozenset(
    [
        "abs", "min", "max", "sum", "len", "range", "sorted", "reversed", "enumerate", "zip", "all", "any", "int",
        "bool", "list", "tuple", "divmod", "pow", "dict", "ValueError", "TypeError", "IndexError", "KeyError",
        "ZeroDivisionError", "Exception", "RuntimeError", "ArithmeticError", "AssertionError", "LookupError",
    ]
)  # fmt: skip
_METHODS = frozenset(
    [
        "append", "pop", "insert", "extend", "copy", "index", "count", "sort", "reverse", "remove", "clear", "get",
        "keys", "values", "items", "setdefault", "bit_length",
    ]
)  # fmt: skip
_STATEMENTS = (
    *(ast.FunctionDef, ast.Return, ast.Assign, ast.AugAssign, ast.AnnAssign, ast.For, ast.While, ast.If, ast.Expr),
    *(ast.Pass, ast.Break, ast.Continue, ast.Assert, ast.Raise),
)
_EXPRESSIONS = (
    *(
        ast.BoolOp,
        ast.BinOp,
        ast.UnaryOp,
        ast.IfExp,
        ast.Compare,
        ast.Call,
        ast.Constant,
        ast.Name,
        ast.List,
        ast.Tuple,
    ),
    *(ast.Subscript, ast.Slice, ast.ListComp, ast.GeneratorExp, ast.Dict, ast.DictComp),
    *(ast.Attribute, ast.Starred),
)
_PARTS = (ast.arguments, ast.arg, ast.comprehension, ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.expr_context)


def require_pure(module: ast.Module) -> None:
    """Raises OutsideSubsetError, naming the construct and its line, unless ``module`` holds pure functions only."""
    functions = [node for node in module.body if isinstance(node, ast.FunctionDef)]
    names = frozenset(function.name for function in functions)
    for statement in module.body:
        is_text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        is_import = isinstance(statement, ast.ImportFrom) and is_harmless_import(statement)
        if not (isinstance(statement, ast.FunctionDef) or is_text or is_import):
            raise OutsideSubsetError(f"{type(statement).__name__} beside the functions", statement.lineno)
    if len(names) != len(functions) or names & _BUILTINS:
        raise OutsideSubsetError("a function that replaces another")
    for function in functions:
        require_plain_function(function)
        for statement in function.body:
            _require_pure_nodes(statement, names | _local_names(function), names)


def require_parameters(module: ast.Module, name: str, parameters: tuple[str, ...]) -> None:
    """Raises OutsideSubsetError unless the last function ``name`` takes exactly ``parameters``, with no defaults.

    Other parameters would be called by their place, and what is proved names them.
    """
    functions = [node for node in module.body if isinstance(node, ast.FunctionDef) and node.name == name]
    if not functions or functions[-1].args.defaults or parameters_of(functions[-1]) != parameters:
        raise OutsideSubsetError(f"no function {name}({', '.join(parameters)})")


def require_pure_expression(expression: ast.expr, names: tuple[str, ...]) -> None:
    """As ``require_pure``, for a contract's expression over ``names``."""
    local = _stored(expression)
    _require_pure_nodes(expression, local | frozenset(names), frozenset())


def _local_names(function: ast.FunctionDef) -> frozenset[str]:
    return _stored(function) | {argument.arg for argument in function.args.args}


def _stored(root: ast.AST) -> frozenset[str]:
    names = (node for node in ast.walk(root) if isinstance(node, ast.Name))
    return frozenset(node.id for node in names if isinstance(node.ctx, ast.Store))


def _require_pure_nodes(root: ast.AST, known: frozenset[str], functions: frozenset[str]) -> None:
    messages = _messages(root)
    for node in ast.walk(root):
        line = getattr(node, "lineno", None)
        if not isinstance(node, _STATEMENTS + _EXPRESSIONS + _PARTS) or (
            isinstance(node, ast.FunctionDef) and node is not root
        ):
            raise OutsideSubsetError(type(node).__name__, line)
        if isinstance(node, ast.FunctionDef):
            raise OutsideSubsetError("a function in a function", line)
        if isinstance(node, ast.Name):
            _require_known(node, known, functions)
        if isinstance(node, ast.Attribute) and (node.attr not in _METHODS or not isinstance(node.ctx, ast.Load)):
            raise OutsideSubsetError(f"the attribute {node.attr}", line)
        if isinstance(node, ast.Compare) and any(isinstance(op, ast.Is | ast.IsNot) for op in node.ops):
            others = [other for other in node.comparators if not _is_singleton(other)]
            if others:
                raise OutsideSubsetError("identity (is) with something else than None", line)
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes) and node not in messages:
            raise OutsideSubsetError("a text", line)


def _require_known(node: ast.Name, known: frozenset[str], functions: frozenset[str]) -> None:
    if isinstance(node.ctx, ast.Store | ast.Del) and node.id in functions | _BUILTINS:
        raise OutsideSubsetError(f"an assignment to the name {node.id}", node.lineno)
    if node.id not in known and node.id not in _BUILTINS:
        raise OutsideSubsetError(f"the global name {node.id!a}", node.lineno)


def _is_singleton(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and (node.value is None or isinstance(node.value, bool))


def _messages(root: ast.AST) -> list[ast.AST]:
    """Texts that nobody sees: alone in a statement, and in exceptions."""
    found: list[ast.AST] = []
    for node in ast.walk(root):
        if isinstance(node, ast.Expr | ast.Assert):
            found += [node.value] if isinstance(node, ast.Expr) else [node.msg] if node.msg else []
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            found += node.exc.args
    return found
