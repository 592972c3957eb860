"""The process that SymPy runs in: one question a line, one answer a line, both JSON.

    python -m nexus_chain.distillation.judge.mathematics.sympy_worker MEMORY_BYTES

It is a process of its own because SymPy may take all time and memory: its parent kills it.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import sympy
from sympy.solvers.diophantine import diophantine

from nexus_chain.distillation.judge.line_worker import answer_lines

_MOST_POINTS = 60


def main() -> None:
    """Answer until standard input ends."""
    answer_lines(_answer)


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    same, points = None, list[dict[str, str]]()
    try:
        sides = [(_expression(left), _expression(right)) for left, right in request["equations"]]
        if request["same"] and sides:
            same = bool(sympy.simplify(sides[-1][0] - sides[-1][1]) == 0)
        for left, right in sides:
            points += _whole_roots(left - right)
    except Exception:  # noqa: BLE001 - SymPy raises what it likes, and no answer is an answer
        return {"same": same, "points": points}
    return {"same": same, "points": points[:_MOST_POINTS]}


def _whole_roots(difference: Any) -> list[dict[str, str]]:
    """Points where ``difference`` is zero: rational ones of one variable, integer ones of several."""
    names = sorted(difference.free_symbols, key=str)
    if len(names) == 1:
        roots = sympy.roots(sympy.together(difference).as_numer_denom()[0], names[0])
        return [{str(names[0]): str(root)} for root in roots if root.is_Rational]
    if not 2 <= len(names) <= 4:
        return []
    found = []
    for solution in sorted(diophantine(difference, syms=names), key=str):
        parameters = sorted(set().union(*(one.free_symbols for one in solution)), key=str)
        for values in product((0, 1, -1, 2, 3), repeat=min(len(parameters), 3)):
            chosen = dict(zip(parameters, values, strict=False))
            point = [sympy.simplify(one.subs(chosen)) for one in solution]
            if all(one.is_Integer for one in point):
                # SymPy names one of several solutions that differ by signs: the judge keeps what is one.
                for signed in (point, [abs(one) for one in point]):
                    found.append({str(name): str(value) for name, value in zip(names, signed, strict=True)})
    return found


def _expression(term: Any) -> Any:
    if isinstance(term, str):
        return sympy.Rational(term)
    operator, arguments = term[0], term[1:]
    if operator == "name":
        return sympy.Symbol(arguments[0], integer=True)
    values = [_expression(one) for one in arguments]
    match operator:
        case "+":
            return sympy.Add(*values)
        case "*":
            return sympy.Mul(*values)
        case "neg":
            return -values[0]
        case "/":
            return values[0] / values[1]
        case "^":
            return values[0] ** values[1]
        case "abs":
            return sympy.Abs(values[0])
        case "sqrt":
            return sympy.sqrt(values[0])
        case _:
            raise ValueError(operator)


if __name__ == "__main__":
    main()
