"""The judge of Aethel: proved by both solvers, refuted by values that our own interpreter checks, or unknown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from nexus_chain.distillation.judge.aethel.growth import require_small_growth
from nexus_chain.distillation.judge.aethel.interpreter import AethelRun, RunEnding, run_sequence
from nexus_chain.distillation.judge.aethel.names import require_meaning
from nexus_chain.distillation.judge.aethel.obligations import (
    AethelObligation,
    AethelTranslation,
    parameter_values,
    translate_sequence,
)
from nexus_chain.distillation.judge.aethel.parser import parse_aethel
from nexus_chain.distillation.judge.aethel.search import FIRST_TRIES, MOST_TRIES, survey
from nexus_chain.distillation.judge.aethel.specification import solved_by
from nexus_chain.distillation.judge.aethel.syntax import MOST_OBLIGATIONS, IntentSequence
from nexus_chain.distillation.judge.errors import AethelError, ArtefactError
from nexus_chain.distillation.judge.solvers import Solution, SolverAnswer, Solvers
from nexus_chain.distillation.judge.verdict import Artefact, Kind, Outcome, Verdict

_NOTHING = "Nothing was checked."
_SELF_SPECIFIED = "the guards and solve of {} imply verify"
_SPECIFIED = "the specification's guards and the answer's solve of {} imply the specification's verify"
_ENOUGH_UNPROVED = 3
"""Obligations of a source that solvers did not decide before they are asked no more: each takes all their steps."""


def judge_aethel(source: str, solvers: Solvers, specification: str | None = None) -> Verdict:
    """The verdict on all intents of ``source``. A source that is no Aethel is unknown, with line and column.

    ``specification``: a source whose parameters, guards and verify blocks count instead; of ``source`` only the solve
    blocks do. Whoever answers a task must not choose what is proved.
    """
    try:
        sequences = parse_aethel(source)
        if specification is not None:
            sequences = solved_by(parse_aethel(specification), sequences)
        require_meaning(sequences)
        for sequence in sequences:
            _require_verify(sequence)
            require_small_growth(sequence)
        translations = [translate_sequence(sequence) for sequence in sequences]
        count = sum(len(one.obligations) for one in translations)
        if count > MOST_OBLIGATIONS:
            raise AethelError(f"the source has {count} obligations, more than {MOST_OBLIGATIONS}", advice="Split it.")
        return _judge(translations, solvers, _SPECIFIED if specification is not None else _SELF_SPECIFIED)
    except (AethelError, ArtefactError) as error:
        return Verdict(Kind.AETHEL, Outcome.UNKNOWN, _NOTHING, f"{error.message}. {error.advice}")


def _require_verify(sequence: IntentSequence) -> None:
    for intent in sequence.intents:
        if not intent.verify:
            raise AethelError(f"{intent.place}: {intent.name} verifies nothing", advice="Say what holds in verify.")


@dataclass(frozen=True)
class _Finding:
    """What was found of one sequence. ``undecided``: questions that the solvers did not decide."""

    outcome: Outcome
    reason: str
    counterexample: Mapping[str, str]
    vacuous: bool = False
    undecided: int = 0


def _judge(translations: Sequence[AethelTranslation], solvers: Solvers, claimed: str) -> Verdict:
    findings = list[_Finding]()
    for one in translations:
        findings.append(_find(one, solvers, _ENOUGH_UNPROVED - sum(finding.undecided for finding in findings)))
    checked = _checked(translations, claimed)
    for wanted in (Outcome.REFUTED, Outcome.UNKNOWN):
        # Of what is unknown, contradictory guards say most.
        for finding in sorted(findings, key=lambda one: not one.vacuous):
            if finding.outcome is wanted:
                return Verdict(
                    Kind.AETHEL, wanted, checked, finding.reason, finding.counterexample, vacuous=finding.vacuous
                )
    obligations = [one for translation in translations for one in translation.obligations]
    reason = f"Z3 and cvc5 both prove {_number(len(obligations), 'obligation')}."
    artefacts = tuple(Artefact(one.name, one.text) for one in obligations)
    return Verdict(
        Kind.AETHEL, Outcome.PROVED, _with_tautologies(checked, translations, solvers), reason, {}, artefacts
    )


def _find(translation: AethelTranslation, solvers: Solvers, patience: int) -> _Finding:
    """``patience``: how many questions the solvers may leave undecided; with none, only small values are tried."""
    sequence = translation.sequence
    first = survey(sequence, FIRST_TRIES)
    if first.violation:
        return _violation(*first.violation)
    if patience <= 0:
        return _Finding(Outcome.UNKNOWN, f"The solvers are not asked about {_name(sequence)}.", {})
    if not first.holds and (finding := _without_runs(translation, solvers)):
        return finding
    unproved = list[tuple[AethelObligation, Solution]]()
    for obligation in translation.obligations:
        solution = solvers.solve(obligation.text)
        if solution.answer is SolverAnswer.UNSAT:
            continue
        values = _values(sequence, solution.model)
        if values is not None and (run := run_sequence(sequence, values)).ending is RunEnding.VIOLATED:
            return _violation(values, run)
        unproved.append((obligation, solution))
        if len(unproved) == patience:
            break
    if not unproved:
        return _Finding(Outcome.PROVED, "", {})
    found = survey(sequence, MOST_TRIES).violation
    return _violation(*found) if found else replace(_unproved(*unproved[0]), undecided=len(unproved))


def _without_runs(translation: AethelTranslation, solvers: Solvers) -> _Finding | None:
    """A finding unless a solver knows values that pass all guards; none of the first small ones does."""
    sequence = translation.sequence
    solution = solvers.solve(translation.guards)
    if solution.answer is SolverAnswer.UNSAT:
        return _Finding(Outcome.UNKNOWN, f"The guards of {_name(sequence)} contradict each other.", {}, vacuous=True)
    values = _values(sequence, solution.model)
    run = AethelRun(RunEnding.BLOCKED) if values is None else run_sequence(sequence, values)
    if values is not None and run.ending is RunEnding.VIOLATED:
        return _violation(values, run)
    if run.ending is RunEnding.HOLDS:
        return None
    reason = f"No values are found that pass the guards of {_name(sequence)}, so they may contradict each other."
    return _Finding(Outcome.UNKNOWN, reason, {}, undecided=1)


def _violation(values: Mapping[str, int], run: AethelRun) -> _Finding:
    shown = {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in values.items()}
    return _Finding(Outcome.REFUTED, f"In {run.intent}, {run.problem} ({run.place}).", shown)


def _unproved(obligation: AethelObligation, solution: Solution) -> _Finding:
    if solution.answer is SolverAnswer.SAT:
        why = "a solver's counterexample does not violate it when it is run"
    else:
        why = solution.reason.rstrip(".") or "the solvers do not decide it"
    return _Finding(Outcome.UNKNOWN, f"Not proved that {obligation.meaning} ({obligation.name}): {why}.", {})


def _values(sequence: IntentSequence, model: Mapping[str, str]) -> dict[str, int] | None:
    """The parameters' values in a model; None where there is none, or one that Python does not read."""
    if not model and sequence.parameters:
        return None
    try:
        return dict(parameter_values(sequence, model))
    except ValueError:
        return None


def _name(sequence: IntentSequence) -> str:
    return sequence.name or sequence.intents[0].name


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _checked(translations: Sequence[AethelTranslation], claimed: str) -> str:
    intents = [intent.name for one in translations for intent in one.sequence.intents]
    divisors = sum(len(one.obligations) for one in translations) - len(intents)
    shown = ", ".join(intents[:4]) + (" …" if len(intents) > 4 else "")
    checked = f"For all integers and truth values, {claimed.format(shown)}"
    return checked + (
        f", and {_number(divisors, 'divisor')} {'is' if divisors == 1 else 'are'} never 0." if divisors else "."
    )


def _with_tautologies(checked: str, translations: Sequence[AethelTranslation], solvers: Solvers) -> str:
    """Says which verify blocks hold whatever their intents do: such a proof says nothing of solve."""
    empty = [
        name
        for one in translations
        for name, text in one.tautologies.items()
        if solvers.solve(text).answer is SolverAnswer.UNSAT
    ]
    if not empty:
        return checked
    return f"{checked.rstrip('.')}; verify of {', '.join(empty)} is a tautology, true whatever solve does."
