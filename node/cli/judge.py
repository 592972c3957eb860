"""``nexus judge``: prove or refute a claim on this machine, or run one of a proof's artefacts again alone."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.cli.output import emit_json, note, result
from node.cli.settings import JsonFlag

if TYPE_CHECKING:
    from nexus_chain.distillation.judge.solvers import Solution
    from nexus_chain.distillation.judge.verdict import Artefact, Verdict

#: 1 and 2 are every command's errors and wrong usage.
EXIT_CODES = {"proved": 0, "refuted": 3, "unknown": 4}
AETHEL_ENDINGS = (".aethel", ".ae")


def judge(
    file: Annotated[
        Path,
        typer.Argument(help="An artefact (.smt2), a source (.aethel, .ae) or a claim (.json)."),
    ],
    artefacts: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the SMT-LIB texts that prove the claim into this folder.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Judge a claim with Z3 and cvc5; exit code 0: proved, 3: refuted, 4: unknown.

    An artefact is proved when both solvers say unsat. Errors have exit code 1, wrong usage 2, as everywhere.
    """
    text = _read(file)
    ending = file.suffix.lower()
    if ending == ".smt2":
        if artefacts is not None:
            raise typer.BadParameter("an artefact has no artefacts", param_hint="--artefacts")
        outcome = _rerun(text, json)
    else:
        outcome = _judge(_claim(text, ending), artefacts, json)
    if code := EXIT_CODES[outcome]:
        raise typer.Exit(code)


def _read(file: Path) -> str:
    from nexus_chain.distillation.judge.claim import LARGEST_CLAIM
    from nexus_chain.distillation.judge.errors import ClaimError

    with file.open("rb") as opened:
        content = opened.read(LARGEST_CLAIM + 1)
    if len(content) > LARGEST_CLAIM:
        raise ClaimError(f"{file} is larger than {LARGEST_CLAIM} bytes", advice="Judge it in parts.")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise ClaimError(f"{file} is no UTF-8 text", advice="Save it as UTF-8.") from error


def _claim(text: str, ending: str) -> dict[str, Any]:
    from nexus_chain.distillation.judge.claim import read_claim

    if ending in AETHEL_ENDINGS:
        return {"kind": "aethel", "source": text}
    if ending == ".json":
        return read_claim(text)
    raise typer.BadParameter("its name ends with none of .smt2, .aethel, .ae and .json", param_hint="FILE")


def _rerun(text: str, json: bool) -> str:
    """One artefact, alone; the outcome."""
    from nexus_chain.distillation.judge.solvers import SolverAnswer, Solvers
    from nexus_chain.distillation.judge.verdict import Artefact

    with Solvers() as solvers:
        solution = solvers.solve(text)
    outcomes = {SolverAnswer.UNSAT: "proved", SolverAnswer.SAT: "refuted", SolverAnswer.UNKNOWN: "unknown"}
    outcome = outcomes[solution.answer]
    digest = Artefact("", text).sha256
    if json:
        emit_json(_rerun_document(solution, digest, outcome))
        return outcome
    result(f"SHA-256  {digest}")
    result(f"Z3       {solution.z3}")
    result(f"cvc5     {solution.cvc5}")
    result(f"{outcome}{'' if outcome == 'proved' else ': proved needs unsat from both'}")
    if solution.reason:
        note(solution.reason)
    return outcome


def _rerun_document(solution: Solution, digest: str, outcome: str) -> dict[str, Any]:
    return {
        "sha256": digest, "z3": solution.z3, "cvc5": solution.cvc5, "outcome": outcome,
        "model": dict(solution.model), "reason": solution.reason,
    }  # fmt: skip


def _judge(claim: dict[str, Any], folder: Path | None, json: bool) -> str:
    """One claim; the outcome."""
    from nexus_chain.distillation.judge.judge import Judge

    with Judge() as judging:
        verdict = judging.judge(claim)
    paths = _write(verdict.artefacts, folder) if folder is not None else []
    if json:
        emit_json(_verdict_document(verdict, paths))
        return verdict.outcome
    result(f"{verdict.outcome}: {verdict.reason}")
    result(f"Checked: {verdict.checked}")
    for name, value in verdict.counterexample.items():
        result(f"  {name} = {value}")
    for one in verdict.artefacts:
        result(f"  {one.sha256}  {one.name}")
    for table in verdict.enumerations:
        result(f"  {table.sha256}  {table.points} points of {table.domain}")
    for path in paths:
        note(f"Wrote {path}")
    return verdict.outcome


def _verdict_document(verdict: Verdict, paths: list[Path]) -> dict[str, Any]:
    proofs = [{"name": one.name, "sha256": one.sha256} for one in verdict.artefacts]
    for proof, path in zip(proofs, paths, strict=False):
        proof["file"] = str(path)
    return {
        "kind": verdict.kind, "outcome": verdict.outcome, "checked": verdict.checked, "reason": verdict.reason,
        "counterexample": dict(verdict.counterexample), "vacuous": verdict.vacuous, "artefacts": proofs,
        "enumerations": [asdict(table) for table in verdict.enumerations],
    }  # fmt: skip


def _write(artefacts: tuple[Artefact, ...], folder: Path) -> list[Path]:
    """The files, in the order of the artefacts; all of them or none."""
    from nexus_chain.staging import staged

    if not artefacts:
        return []
    names = [
        f"{number:02}-{re.sub(r'[^A-Za-z0-9._-]', '_', one.name)[:150]}.smt2" for number, one in enumerate(artefacts, 1)
    ]
    with staged(folder) as part:
        for name, one in zip(names, artefacts, strict=True):
            (part / name).write_bytes(one.text.encode())
    return [folder / name for name in names]
