"""A program before a node, and where the node serves it: is an honest answer safe?

One trial takes one random program through everything that a node checks. If the node would serve it, a
segment is run on hostile rows and weights, elements of its trace are shown to the step verifier, and for
some whole games are played against a challenger that tries anything.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from nexus_chain.chain.dispute_game import GameState
from nexus_chain.disputes.caps import check_caps
from nexus_chain.disputes.stored_trace import StoredTrace
from nexus_chain.disputes.trace import Trace, TracedSequence
from nexus_chain.disputes.witnesses import PublishedModel
from nexus_chain.errors import NexusError
from nexus_chain.program import IntegerModel, Program, Sampling
from nexus_chain.program.overflow import prove_no_overflow
from nexus_chain.program.reproduction import reproduce
from tests.support.game_stage import Stage
from tests.support.hostile_programs import hostile_program, real_program, rows_for, weights_for
from tests.support.players import Board, Node, RandomChallenger, play
from tests.support.referee import SALT, Referee, size_of

REAL_SHARE = 0.03  # of the programs are honest ones
ELEMENTS, GAMES, GAME_SHARE = 24, 2, 0.15


@dataclass(frozen=True)
class Outcome:
    """What became of one program. ``refused`` names the check; the rest is about those that were served."""

    refused: str = ""
    steps: int = 0
    games: int = 0
    convicted_honest: str = ""


class Court:
    """A step verifier on an in-process EVM that judges one trial after the other."""

    def __init__(self, *, whole: bool = True) -> None:
        """Without ``whole`` programs are checked op by op only, as they once were."""
        self.referee: Referee | None = None
        self.whole = whole

    def try_program(self, seed: int) -> Outcome:
        """The trial of the program that ``seed`` draws."""
        source = random.Random(seed)
        made = real_program(source) if source.random() < REAL_SHARE else hostile_program(source)
        if refused := self._refusal(made, source):
            return Outcome(refused)
        return self._served(made, source)

    def _refusal(self, made: Program, source: random.Random) -> str:
        try:
            program = Program.from_json(made.to_json())
            if self.whole:
                reproduce(program)
            prove_no_overflow(program)
            check_caps(program)
        except NexusError as error:
            return type(error).__name__
        return ""

    def _served(self, program: Program, source: random.Random) -> Outcome:
        model = PublishedModel(program, IntegerModel(program, weights_for(program, source)).weights)
        trace = StoredTrace.of(Trace(program, model.weights, *_segment(program, source)))
        if self.referee is None:
            self.referee = Referee(model)
        self.referee.model, self.referee._builder = model, None
        for step in range(ELEMENTS):
            number = source.choice([n for n in range(1, len(trace.layout.tensors)) if size_of(trace, n)])
            element = source.randrange(size_of(trace, number))
            if self.referee.judge(trace, number, element).convicted:
                return Outcome(steps=step + 1, convicted_honest=f"{trace.layout.tensor(number).name}[{element}]")
        games = GAMES if source.random() < GAME_SHARE else 0
        return Outcome("", ELEMENTS, games, _lost_game(Stage(model), trace, games, source) if games else "")


def _segment(program: Program, source: random.Random) -> tuple[tuple[int, int], TracedSequence]:
    """Layers of a node and what enters them: tokens, or rows that a client may have made up."""
    start = source.randrange(program.shape.layers)
    end = source.randint(start + 1, program.shape.layers)
    positions = source.randint(1, min(8, program.shape.context))
    shape = (positions, program.shape.width) if start else (positions,)
    rows, prompt = rows_for(shape, source), rows_for((source.randint(1, positions),), source)
    if not start:
        rows = rows.remainder(program.shape.vocab)
    sampling = Sampling(source.choice((0, source.randrange(2**31))), bytes([source.randrange(256)] * 32))
    prompt = prompt.remainder(program.shape.vocab) if start else rows[: len(prompt)]
    return (start, end), TracedSequence(rows, prompt, sampling, SALT)


def _lost_game(stage: Stage, trace: StoredTrace, games: int, source: random.Random) -> str:
    """How the honest node lost a game against somebody who tries anything, or an empty string."""
    for _ in range(games):
        case = stage.case(trace)
        board = Board(stage, case, stage.open(case))
        ending = play(board, Node(board), RandomChallenger(board, source), source)
        if ending.state != GameState.ACQUITTED or stage.nodes.call("isConvicted", case.node.address):
            return f"game ended {ending.state.name}, by clock: {ending.by_clock}"
    return ""
