"""The process that the solvers run in: it reads obligations, one JSON line each, and answers in one line each.

It is a process of its own because a solver may exhaust memory, overflow its stack or never return: its parent kills it.

    python -m nexus_chain.distillation.judge.solver_worker MEMORY_BYTES
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import cvc5
import z3

from nexus_chain.distillation.judge.line_worker import answer_lines


def main() -> None:
    """Answer until standard input ends."""
    answer_lines(_answer)


def _answer(question: dict[str, Any]) -> dict[str, Any]:
    try:
        first, model = _ask_z3(question["text"], question["z3_rlimit"])
        second, other_model = _ask_cvc5(question["text"], question["cvc5_rlimit"])
    except (z3.Z3Exception, RuntimeError, MemoryError) as error:
        return {"error": str(error)[:500] or type(error).__name__}
    return {"z3": first, "cvc5": second, "model": model or other_model}


def _ask_z3(text: str, rlimit: int) -> tuple[str, dict[str, str]]:
    """A context of its own for every text: an answer must not depend on those before it."""
    solver = z3.Solver(ctx=z3.Context())
    solver.set("rlimit", rlimit)
    solver.from_string(text)
    answer = str(solver.check())
    if answer != "sat":
        return answer, {}
    model = solver.model()
    return answer, {str(name): _z3_value(model[name]) for name in model.decls() if _is_constant(name, model[name])}


def _is_constant(name: Any, value: Any) -> bool:
    """A model repeats what the text defines, as terms: written out they can be exponentially long."""
    is_scalar = name.arity() == 0 and value.sort().kind() in (z3.Z3_INT_SORT, z3.Z3_REAL_SORT, z3.Z3_BOOL_SORT)
    return name.arity() == 0 and not (is_scalar and value.num_args() > 0)


def _z3_value(value: Any) -> str:
    return str(value.as_fraction()) if z3.is_rational_value(value) else str(value)


def _ask_cvc5(text: str, rlimit: int) -> tuple[str, dict[str, str]]:
    solver = cvc5.Solver(cvc5.TermManager())
    solver.setOption("rlimit", str(rlimit))
    solver.setOption("produce-models", "true")
    parser = cvc5.InputParser(solver)
    parser.setStringInput(cvc5.InputLanguage.SMT_LIB_2_6, text, "artefact")
    symbols, said = parser.getSymbolManager(), ""
    while not (command := parser.nextCommand()).isNull():
        said = command.invoke(solver, symbols).strip() or said
    answer = said.split()[0] if said else "unknown"
    if answer not in ("sat", "unsat", "unknown"):
        raise RuntimeError(said)
    if answer != "sat":
        return answer, {}
    constants = [term for term in symbols.getDeclaredTerms() if not term.getSort().isFunction()]
    return answer, {str(term): _cvc5_value(solver.getValue(term)) for term in constants}


def _cvc5_value(value: Any) -> str:
    if value.isIntegerValue():
        return str(value.getIntegerValue())
    return str(Fraction(value.getRealValue())) if value.isRealValue() else str(value)


if __name__ == "__main__":
    main()
