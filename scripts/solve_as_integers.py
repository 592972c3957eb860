"""Answer one query of halmos: by bits for a few seconds (yices), then as a question about integers (cvc5).

Bits tell nothing about products of two wide unknowns. As integers they are ordinary algebra; that translation is only
trusted with `unsat`, hence the answer `unknown` for everything else. Runs in build/symbolic-venv (scripts/symbolic.sh).
"""

import subprocess
import sys
from pathlib import Path

import cvc5

SECONDS_BY_BITS = 3
SECONDS_AS_INTEGERS = 60


def by_bits(query: str) -> str | None:
    yices = Path(sys.executable).with_name("yices-smt2")
    command = [str(yices), "--smt2-model-format", "--bvconst-in-decimal", query]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_BY_BITS, check=True).stdout
    except subprocess.TimeoutExpired:
        return None


def as_integers(query: str) -> str:
    solver = cvc5.Solver()
    solver.setOption("solve-bv-as-int", "sum")
    solver.setOption("tlimit-per", str(SECONDS_AS_INTEGERS * 1000))
    parser = cvc5.InputParser(solver)
    parser.setFileInput(cvc5.InputLanguage.SMT_LIB_2_6, query)
    symbols = parser.getSymbolManager()
    while not (command := parser.nextCommand()).isNull():
        if command.getCommandName() == "check-sat":
            return "unsat" if solver.checkSat().isUnsat() else "unknown"
        command.invoke(solver, symbols)
    return "unknown"


if __name__ == "__main__":
    print(by_bits(sys.argv[1]) or as_integers(sys.argv[1]))
