"""The subset of SMT-LIB 2.6 that artefacts use, and the check that a text keeps to it.

An artefact declares, defines, asserts, and asks once, at its end. Other commands could make a solver print an
answer of the writer's choice, read files, or answer another question than the one that is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from nexus_chain.distillation.judge.errors import ArtefactError

LARGEST_ARTEFACT = 1 << 20
"""Bytes of a text."""
DEEPEST_NESTING = 1_000
"""Parentheses that are open at once: solvers parse recursively."""

_COMMANDS = frozenset({"set-logic", "declare-const", "declare-fun", "declare-datatypes", "define-fun", "assert"})
_TOKEN = re.compile(r';[^\n]*|"(?:[^"]|"")*"|\|[^|\\]*\||[()]|[^\s();"|]+|\s+')


def require_artefact(text: str) -> None:
    """ArtefactError, naming what is wrong, unless ``text`` is an obligation."""
    if len(text.encode()) > LARGEST_ARTEFACT:
        raise _refusal(f"it is larger than {LARGEST_ARTEFACT} bytes")
    commands = list(_commands(text))
    if not commands or commands[-1] != ["check-sat"]:
        raise _refusal("it does not end with (check-sat)")
    for command in commands[:-1]:
        if not command or command[0] not in _COMMANDS:
            raise _refusal(f"the command {command[0] if command else '()'} is not allowed")


def _commands(text: str) -> Iterator[list[str]]:
    """The tokens of each top-level command, without its outer parentheses."""
    depth, command, end = 0, list[str](), 0
    for match in _TOKEN.finditer(text):
        token = match.group()
        if match.start() != end:
            raise _refusal(f"the character {text[end]!r} opens what nothing closes")
        end = match.end()
        if token[0].isspace() or token[0] == ";":
            continue
        if token == ")":
            depth -= 1
            if depth < 0:
                raise _refusal("a parenthesis closes what none opens")
            if depth == 0:
                yield command
                command = []
                continue
        if depth == 0 and token != "(":
            raise _refusal(f"{token!r} stands outside of every command")
        if depth > 0:
            command.append(token)
        if token == "(":
            depth += 1
            if depth > DEEPEST_NESTING:
                raise _refusal(f"it nests deeper than {DEEPEST_NESTING} parentheses")
    if end != len(text) or depth:
        raise _refusal("it ends in the middle of a command")


def _refusal(problem: str) -> ArtefactError:
    return ArtefactError(f"the text is no obligation: {problem}", advice="Take the artefact as the judge wrote it.")
