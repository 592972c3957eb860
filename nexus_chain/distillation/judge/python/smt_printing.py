"""Terms as an obligation's text in SMT-LIB 2.6: what is shared gets a name, so the text is as large as the terms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from nexus_chain.distillation.judge.python.terms import Term

_DEEPEST = 40  # parentheses before a term gets a name of its own


def obligation_text(comment: str, variables: Iterable[Term], assertions: Iterable[Term]) -> str:
    """Declare ``variables`` in their intervals, assert all of ``assertions``, and ask. ``comment``: one line."""
    asserted = list(assertions)
    lines = [f"; {' '.join(comment.split())}", "(set-logic ALL)"]
    for variable in variables:
        lines.append(f"(declare-const {variable.name} {variable.sort})")
        if variable.low is not None:
            lines.append(f"(assert (<= {_number(variable.low)} {variable.name}))")
        if variable.high is not None:
            lines.append(f"(assert (<= {variable.name} {_number(variable.high)}))")
    order = _in_order(asserted)
    uses = Counter(argument for term in order for argument in term.arguments)
    texts: dict[Term, tuple[str, int]] = {}
    for term in order:
        text, depth = _text(term, texts)
        if term.arguments and (uses[term] > 1 or depth > _DEEPEST):
            name = f"t{len(lines)}"
            lines.append(f"(define-fun {name} () {term.sort} {text})")
            text, depth = name, 0
        texts[term] = text, depth
    lines += [f"(assert {texts[term][0]})" for term in asserted]
    return "\n".join([*lines, "(check-sat)\n"])


def _in_order(roots: list[Term]) -> list[Term]:
    """Every term below ``roots``, arguments first."""
    done: dict[Term, None] = {}
    waiting = list(reversed(roots))
    while waiting:
        term = waiting[-1]
        missing = [argument for argument in term.arguments if argument not in done]
        if missing:
            waiting += reversed(missing)
            continue
        waiting.pop()
        done.setdefault(term)
    return list(done)


def _text(term: Term, texts: dict[Term, tuple[str, int]]) -> tuple[str, int]:
    if term.operator == "variable":
        return term.name, 0
    if isinstance(term.value, bool):
        return str(term.value).lower(), 0
    if term.value is not None:
        return _number(term.value), 1
    parts = [texts[argument] for argument in term.arguments]
    return f"({term.operator} {' '.join(text for text, _ in parts)})", 1 + max(depth for _, depth in parts)


def _number(value: int) -> str:
    return str(value) if value >= 0 else f"(- {-value})"
