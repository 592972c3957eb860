"""A task as Aethel: who sets it writes parameters, guards and verify, who answers it writes solve."""

from __future__ import annotations

from dataclasses import replace

from nexus_chain.distillation.judge.aethel.syntax import IntentSequence, SolveStatement
from nexus_chain.distillation.judge.errors import AethelError


def solved_by(
    specification: tuple[IntentSequence, ...], answer: tuple[IntentSequence, ...]
) -> tuple[IntentSequence, ...]:
    """``specification`` with the solve block of each intent of the same name in ``answer``; nothing else of it counts.

    Raises AethelError unless both have the same intents.
    """
    solves = dict[str, tuple[SolveStatement, ...]]()
    for intent in (intent for sequence in answer for intent in sequence.intents):
        if intent.name in solves:
            raise AethelError(f"{intent.place}: {intent.name} is answered twice", advice="Answer each intent once.")
        solves[intent.name] = intent.solve
    asked = {intent.name for sequence in specification for intent in sequence.intents}
    if different := sorted(asked ^ solves.keys()):
        raise AethelError(
            f"the answer and its specification do not have the same intents: {', '.join(different[:4])}",
            advice="Answer each intent under its name.",
        )
    return tuple(
        replace(sequence, intents=tuple(replace(one, solve=solves[one.name]) for one in sequence.intents))
        for sequence in specification
    )
