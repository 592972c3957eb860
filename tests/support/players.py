"""Both sides of a step game: those that follow the protocol, and those that try whatever comes to mind.

Every ``move`` makes at most one move that the contract accepts and returns whether it did.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from nexus_chain.chain.dispute_game import GameState
from nexus_chain.disputes import challenger, defender
from nexus_chain.disputes.errors import DisputeError
from nexus_chain.disputes.stored_trace import StoredTrace
from nexus_chain.disputes.trace import trace_root
from nexus_chain.disputes.witness_abi import ScorePart
from nexus_chain.disputes.witnesses import WitnessBuilder
from nexus_chain.program.dtypes import DTYPE_BYTES
from tests.support.game_stage import FRIEND, Case, Stage


@dataclass
class Board:
    """One game, and what was published in it."""

    stage: Stage
    case: Case
    game: int
    scores: tuple[bytes, bytes] = (b"", b"")

    @property
    def trace_root(self) -> bytes:
        return trace_root(self.case.roots)

    @property
    def builder(self) -> WitnessBuilder:
        return WitnessBuilder(self.stage.model, self.case.posted, self.case.roots)


@dataclass
class Node:
    """Answers from its trace. ``lies_in_scores``: falsifies the score row it posts."""

    board: Board
    lies_in_scores: random.Random | None = None

    def move(self, state: GameState, view: dict[str, int]) -> bool:
        board, trace, number = self.board, self.board.case.posted, self.board.game
        attempt = board.stage.attempt
        match state:
            case GameState.TRACE:
                boundary = tuple(part.values() for part in board.stage.model.boundary(trace.layout))
                signature = board.stage.sign_trace(board.case, trace_root(board.case.roots))
                return attempt("postTrace", number, board.case.roots, boundary, signature)
            case GameState.ROWS:
                answer = defender.rows(trace, board.case.roots, view["tensor"])
                producer = board.builder.descriptor(view["tensor"]).values()
                return attempt("postRows", number, answer.siblings, producer, answer.hashes)
            case GameState.BYTES:
                answer = defender.leaf(trace, view["tensor"], view["leaf"])
                return attempt("postBytes", number, answer.siblings, answer.data)
            case GameState.SCORES:
                return self._scores(view)
            case _:
                raise AssertionError(state)

    def _scores(self, view: dict[str, int]) -> bool:
        board, place = self.board, (view["tensor"], view["leaf"], view["element"])
        row = board.builder.score_row(*place)
        posted = row.record_bytes, row.score_bytes
        if self.lies_in_scores is not None and self.lies_in_scores.random() < 0.7:
            which, changed = self.lies_in_scores.randrange(2), [bytearray(part) for part in posted]
            changed[which][self.lies_in_scores.randrange(len(changed[which]))] ^= 1
            posted = bytes(changed[0]), bytes(changed[1])
        board.scores = posted
        signature = board.stage.sign_scores(board.case, view, board.builder.score_root(*place, posted))
        producer = board.builder.descriptor(view["tensor"]).values()
        return board.stage.attempt("postScores", board.game, producer, *posted, signature)


@dataclass
class SilentNode:
    """Answers ``turns`` times, then never again; tries garbage first where ``source`` says so."""

    node: Node
    turns: int
    source: random.Random

    def move(self, state: GameState, view: dict[str, int]) -> bool:
        if self.source.random() < 0.5:
            garbage = [self.source.randbytes(32) for _ in range(self.source.randrange(4))]
            board = self.node.board
            assert not board.stage.attempt("postRows", board.game, garbage, (0, 0, [], []), garbage)
            assert not board.stage.attempt("postBytes", board.game, garbage, b"".join(garbage))
        self.turns -= 1
        return self.turns >= 0 and self.node.move(state, view)


@dataclass
class Challenger:
    """Compares with its own trace and picks the first difference."""

    board: Board
    own: StoredTrace

    def move(self, state: GameState, view: dict[str, int]) -> bool:
        board, posted, own, number = self.board, self.board.case.posted, self.own, self.board.game
        attempt = board.stage.attempt
        tensor, leaf = view["tensor"], view["leaf"]
        match state:
            case GameState.PICK_TENSOR:
                wrong_tensor = challenger.pick_tensor(board.case.roots, own.roots())
                return attempt("pickTensor", number, wrong_tensor, board.trace_root)
            case GameState.PICK_LEAF:
                hashes = defender.rows(posted, board.case.roots, tensor).hashes
                return attempt("pickLeaf", number, challenger.pick_leaf(hashes, own, tensor), board.trace_root)
            case GameState.CONVICT:
                data = defender.leaf(posted, tensor, leaf).data
                element = challenger.pick_element(data, own, tensor, leaf)
                op = own.layout.tensor(tensor).op
                if op is not None and op.kind == "attention":
                    return attempt("pickElement", number, element, board.trace_root)
                witness = self._builder().witness(tensor, leaf, data, element)
                return attempt("convict", number, witness.encoded())
            case GameState.CONVICT_SCORES:
                element, data = view["element"], defender.leaf(posted, tensor, leaf).data
                wrong = challenger.wrong_statement(board.scores, self._builder().score_row(tensor, leaf, element))
                witness = self._builder().score_witness((tensor, leaf, data, element), board.scores, wrong)
                return attempt("convict", number, witness.encoded())
            case _:
                raise AssertionError(state)

    def _builder(self) -> WitnessBuilder:
        return WitnessBuilder(self.board.stage.model, self.own, self.board.case.roots)


@dataclass
class RandomChallenger:
    """Picks anything, steps right elements with whole and broken witnesses, and gives up at some point."""

    board: Board
    source: random.Random
    patience: int = field(default=12)

    def move(self, state: GameState, view: dict[str, int]) -> bool:
        self.patience -= 1
        if self.patience < 0:
            return False
        board, number, source = self.board, self.board.game, self.source
        assert not board.stage.attempt("pickTensor", number, source.randrange(2**32), board.trace_root, caller=FRIEND)
        layout, count = board.case.posted.layout, 2**32
        match state:
            case GameState.PICK_TENSOR:
                count = len(layout.tensors) + 2
                return board.stage.attempt("pickTensor", number, source.randrange(count), board.trace_root)
            case GameState.PICK_LEAF:
                leaves = len(board.case.posted.tree(view["tensor"]))
                return board.stage.attempt("pickLeaf", number, source.randrange(leaves + 1), board.trace_root)
            case GameState.CONVICT:
                return self._step(view)
            case GameState.CONVICT_SCORES:
                return self._step_scores(view)
            case _:
                raise AssertionError(state)

    def _step(self, view: dict[str, int]) -> bool:
        board, (tensor, leaf) = self.board, (view["tensor"], view["leaf"])
        spec = board.case.posted.layout.tensor(tensor)
        data = defender.leaf(board.case.posted, tensor, leaf).data
        element = self.source.randrange(len(data) // DTYPE_BYTES[spec.dtype])
        if spec.op is not None and spec.op.kind == "attention" and self.source.random() < 0.7:
            return board.stage.attempt("pickElement", board.game, element, board.trace_root)
        try:
            witness = board.builder.witness(tensor, leaf, data, element).encoded()
        except (DisputeError, KeyError):  # the input and attention have no step of this kind
            witness = self.source.randbytes(320)
        return board.stage.attempt("convict", board.game, self._broken(witness))

    def _step_scores(self, view: dict[str, int]) -> bool:
        board, place = self.board, (view["tensor"], view["leaf"], view["element"])
        row = board.builder.score_row(*place)
        part = self.source.choice(list(ScorePart))
        at = self.source.randrange(len(row.scores) if part == ScorePart.SCORE else len(row.records))
        data = defender.leaf(board.case.posted, *place[:2]).data
        claimed = (place[0], place[1], data, place[2])
        witness = board.builder.score_witness(claimed, board.scores, (part, at)).encoded()
        return board.stage.attempt("convict", board.game, self._broken(witness))

    def _broken(self, witness: bytes) -> bytes:
        """The witness as it is, with one byte changed, or cut short."""
        choice = self.source.randrange(3)
        at = self.source.randrange(len(witness))
        if choice == 0:
            return witness
        if choice == 1:
            return witness[:at] + bytes([witness[at] ^ (1 << self.source.randrange(8))]) + witness[at + 1 :]
        return witness[:at]


@dataclass(frozen=True)
class Ending:
    """How a game ended, after how many seconds and accepted moves, and whether by somebody's clock."""

    state: GameState
    seconds: int
    moves: int
    by_clock: bool


def play(board: Board, node: Node | SilentNode, other: Challenger | RandomChallenger, source: random.Random) -> Ending:
    """Run a game to its end, with pauses up to the last second of a turn."""
    stage, moves, by_clock = board.stage, 0, False
    began = stage.now
    while True:
        state, view = stage.state(board.game)
        if state.final:
            return Ending(state, stage.now - began, moves, by_clock)
        left = view["deadline"] - stage.now
        stage.pass_time(source.choice([0, 1, min(left, 5), left]))
        player = node if view["nodesTurn"] else other
        if player.move(state, view):
            moves += 1
        elif player is node or isinstance(other, Challenger) or other.patience < 0:
            by_clock = True
            stage.pass_time(view["deadline"] + 1 - stage.now)
            assert stage.attempt("timeout", board.game, caller=FRIEND)
