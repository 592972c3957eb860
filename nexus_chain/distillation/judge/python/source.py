"""Untrusted source text as a syntax tree that is small enough to walk, or the reason why not."""

from __future__ import annotations

import ast
import io
import re
import tokenize
import unicodedata
import warnings

from nexus_chain.distillation.judge.fences import UnclearResponseError, read_fences
from nexus_chain.distillation.judge.python.errors import OutsideSubsetError

LARGEST_PYTHON = 16_384
"""Characters of one source."""
DEEPEST_SYNTAX = 80
"""Levels of a syntax tree: whoever walks it does so recursively."""

_DEFINITION = re.compile(
    r"\bdef(?:\s|\\\n)+\w+(?:\s|\\\n)*[(\[]|^[ \t]*class\s+\w+\s*[(:]|=[ \t]*lambda\b", re.MULTILINE
)
_PYTHON = ("python", "python3", "py")
_ANNOTATIONS = frozenset(["int", "bool", "list", "None", "List", "Optional"])
_GENERIC = frozenset(["list", "List", "Optional"])
_HARMLESS_IMPORTS = {"typing": {"List", "Optional"}, "__future__": {"annotations"}}
_TRANSLATED = (
    *(ast.arguments, ast.arg, ast.Return, ast.Assign, ast.AugAssign, ast.AnnAssign, ast.For, ast.While, ast.If),
    *(ast.Expr, ast.Pass, ast.Break, ast.Continue, ast.Assert, ast.Raise, ast.BoolOp, ast.BinOp, ast.UnaryOp),
    *(ast.IfExp, ast.Compare, ast.Call, ast.Constant, ast.Name, ast.List, ast.Tuple, ast.Subscript, ast.Slice),
    *(ast.Attribute, ast.ListComp, ast.GeneratorExp, ast.comprehension, ast.operator, ast.unaryop, ast.boolop),
    *(ast.cmpop, ast.expr_context),
)
"""What a function that is translated may hold at all. Code that is never reached changes it too: a ``yield`` makes it a
generator, and what binds a name makes that name a local everywhere."""


def extract_code(response: str) -> str:
    """The one Python block of a teacher's response; the response itself where it has no fence.

    Raises OutsideSubsetError where it is not clear which text is meant: a definition stands in two places, or the one
    that is judged is not the one that a reader sees.
    """
    try:
        fenced = read_fences(response)
    except UnclearResponseError as error:
        raise OutsideSubsetError(str(error)) from error
    if not fenced.blocks and "```" not in response:
        return response
    code = [block for block in fenced.blocks if _is_python(block.tag) or _DEFINITION.search(block.text)]
    chosen = code or [block for block in fenced.blocks if not block.tag]
    if len(chosen) != 1:
        raise OutsideSubsetError(f"the response has {len(chosen)} blocks of Python instead of one")
    if _DEFINITION.search(fenced.outside):
        raise OutsideSubsetError("the response has a definition outside of its block")
    return chosen[0].text


def _is_python(tag: str) -> bool:
    return re.split(r"[^\w+-]", tag.lstrip("{. "), maxsplit=1)[0] in _PYTHON


def parse_source(code: str) -> ast.Module:
    """The syntax tree of code that also compiles: ``break`` outside of a loop parses, but nobody can run it.

    Raises OutsideSubsetError for what does not, what is too large or deep, and what hides letters.
    """
    if len(code) > LARGEST_PYTHON:
        raise OutsideSubsetError(f"the code has more than {LARGEST_PYTHON} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(code)
            _require_shallow(tree)
            compile(code, "code", "exec", dont_inherit=True)
    except SyntaxError as error:
        raise OutsideSubsetError(f"the code does not parse: {ascii(error.msg)[1:-1]}", error.lineno) from error
    except (ValueError, MemoryError, RecursionError) as error:
        raise OutsideSubsetError("the code does not parse: it is too deep, or no text") from error
    if not code.isascii():
        _require_plain_letters(code)
    return tree


def _require_shallow(tree: ast.AST) -> None:
    waiting = [(tree, 0)]
    while waiting:
        node, depth = waiting.pop()
        if depth > DEEPEST_SYNTAX:
            raise OutsideSubsetError(f"code that nests deeper than {DEEPEST_SYNTAX} levels")
        waiting += [(child, depth + 1) for child in ast.iter_child_nodes(node)]


def _require_plain_letters(code: str) -> None:
    """Other alphabets are fine in comments and texts. Names are ASCII: ``x`` may look like another letter."""
    if any(unicodedata.category(letter) == "Cf" for letter in code):
        raise OutsideSubsetError("an invisible character")
    try:
        for token in tokenize.generate_tokens(io.StringIO(code).readline):
            if token.type in (tokenize.NAME, tokenize.NUMBER, tokenize.OP) and not token.string.isascii():
                raise OutsideSubsetError(f"the name {token.string!a} with letters that are not ASCII", token.start[0])
    except (tokenize.TokenError, SyntaxError) as error:
        raise OutsideSubsetError("the code does not parse") from error


def find_function(module: ast.Module, name: str, parameters: tuple[str, ...]) -> ast.FunctionDef:
    """The one function of ``module``: plain, with ``parameters``. Raises OutsideSubsetError for anything beside it."""
    functions, imported = list[ast.FunctionDef](), set[str]()
    for statement in module.body:
        match statement:
            case ast.FunctionDef():
                functions.append(statement)
                _require_bound_annotations(statement, imported)
            case ast.Expr(value=ast.Constant()):
                pass
            case ast.ImportFrom() if is_harmless_import(statement):
                imported.update(alias.name for alias in statement.names)
            case _:
                raise OutsideSubsetError(f"{type(statement).__name__} beside the function", statement.lineno)
    if len(functions) != 1:
        raise OutsideSubsetError(f"{len(functions)} functions instead of one")
    require_plain_function(functions[0])
    if functions[0].name != name or parameters_of(functions[0]) != parameters:
        raise OutsideSubsetError(f"no function {name}({', '.join(parameters)})", functions[0].lineno)
    for node in ast.walk(functions[0]):
        if node is not functions[0] and not isinstance(node, _TRANSLATED):
            what = "statement" if isinstance(node, ast.stmt) else "expression"
            raise OutsideSubsetError(f"the {what} {type(node).__name__}", getattr(node, "lineno", None))
    return functions[0]


def parameters_of(function: ast.FunctionDef) -> tuple[str, ...]:
    """The names of its plain parameters, in order."""
    return tuple(argument.arg for argument in function.args.args)


def is_harmless_import(statement: ast.ImportFrom) -> bool:
    """Whether it brings nothing but names for annotations, under their own names."""
    harmless = _HARMLESS_IMPORTS.get(statement.module or "", set()) if statement.level == 0 else set()
    return all(alias.name in harmless and not alias.asname for alias in statement.names)


def require_plain_function(function: ast.FunctionDef) -> None:
    """Refuses what runs other code when the function is defined or called."""
    arguments, line = function.args, function.lineno
    if function.decorator_list:
        raise OutsideSubsetError("a decorator", line)
    if getattr(function, "type_params", None):  # Python 3.12: they are names that hide builtins
        raise OutsideSubsetError("type parameters", line)
    if arguments.vararg or arguments.kwarg or arguments.kwonlyargs or arguments.posonlyargs:
        raise OutsideSubsetError("parameters that are not plain", line)
    for default in arguments.defaults:
        if not isinstance(default, ast.Constant):
            raise OutsideSubsetError("a default value that is no constant", default.lineno)
    for annotation in _annotations(function):
        _require_plain_annotation(annotation)
    for node in ast.walk(function):
        if isinstance(node, ast.Name | ast.arg) and "__" in (node.id if isinstance(node, ast.Name) else node.arg):
            raise OutsideSubsetError("a name with two underscores", node.lineno)


def _annotations(function: ast.FunctionDef) -> list[ast.expr]:
    found = [function.returns, *(argument.annotation for argument in function.args.args)]
    return [annotation for annotation in found if annotation is not None]


def _require_plain_annotation(annotation: ast.expr) -> None:
    """Annotations run when the function is defined: ``int[int]`` raises then."""
    match annotation:
        case ast.Name(id=name) if name in _ANNOTATIONS:
            return
        case ast.Constant(value=None):
            return
        case ast.Subscript(value=ast.Name(id=name), slice=item) if name in _GENERIC:
            _require_plain_annotation(item)
            return
    raise OutsideSubsetError("an annotation that is not int, bool or list", annotation.lineno)


def _require_bound_annotations(function: ast.FunctionDef, imported: set[str]) -> None:
    """A name that nobody imported raises when the function is defined."""
    for annotation in _annotations(function) if "annotations" not in imported else ():
        for node in ast.walk(annotation):
            if isinstance(node, ast.Name) and node.id in _HARMLESS_IMPORTS["typing"] - imported:
                raise OutsideSubsetError(f"{node.id}, which is not imported", node.lineno)


def parse_expression(text: str) -> ast.expr:
    """One expression of a contract. Raises OutsideSubsetError."""
    module = parse_source(text.strip())
    match module.body:
        case [ast.Expr(value=expression)]:
            return expression
    raise OutsideSubsetError("it is not one expression")
