"""Whole step games between honest and dishonest players, on the real contracts in an in-process EVM.

``NEXUS_GAMES`` sets how many random games are played per pairing.
"""

from __future__ import annotations

import os
import random

import pytest

from nexus_chain.chain.dispute_game import GameState
from nexus_chain.disputes import defender
from nexus_chain.disputes.challenger import pick_element
from nexus_chain.disputes.stored_trace import StoredTrace
from nexus_chain.disputes.witnesses import PublishedModel
from nexus_chain.program import PRESETS, IntegerModel, random_model
from nexus_chain.program.dtypes import DTYPE_BYTES
from tests.disputes.test_step_verifier import SAMPLED, other_value
from tests.support.game_stage import BOND, BOUNTY, CHALLENGER, FRIEND, LONGEST_GAME, STAKE, Stage
from tests.support.lies import lie
from tests.support.players import Board, Challenger, Node, RandomChallenger, SilentNode, play
from tests.support.referee import honest_trace, size_of

GAMES = int(os.environ.get("NEXUS_GAMES", "25"))
CALLS = 10  # seconds by which a turn may be overrun before somebody calls `timeout`
SEGMENTS = ((0, 1), (1, 2), (0, 2))


@pytest.fixture(scope="module")
def model() -> IntegerModel:
    return random_model(PRESETS["tiny-bias"], seed=3)


@pytest.fixture(scope="module")
def stage(model: IntegerModel) -> Stage:
    return Stage(PublishedModel(model.program, model.weights))


@pytest.fixture(scope="module")
def honest(model: IntegerModel) -> list[StoredTrace]:
    return [honest_trace(model, layers, 4, 2, SAMPLED) for layers in SEGMENTS]


def random_lie(honest: StoredTrace, model: IntegerModel, source: random.Random) -> StoredTrace:
    """One altered element anywhere in the trace, the rest consistent with it or not."""
    number = source.choice([n for n in range(1, len(honest.layout.tensors)) if size_of(honest, n)])
    element = source.randrange(size_of(honest, number))
    value = other_value(honest, number, element, source)
    return lie(honest, model.weights, (number, element), value, consistent=source.random() < 0.5)


def pool(
    honest: list[StoredTrace], model: IntegerModel, source: random.Random
) -> list[tuple[StoredTrace, StoredTrace]]:
    """(posted, right) traces to play with; lies are dear to make and can be told more than once."""
    return [(random_lie(right, model, source), right) for right in honest for _ in range(8)]


def settled(stage: Stage) -> None:
    assert stage.total() == stage.money


def vault_money(stage: Stage) -> int:
    """Wei that registry and dispute contract owe the vault."""
    return sum(int(part.call("balanceOf", stage.vault.address)) for part in (stage.nodes, stage.game))


def test_a_liar_always_loses_to_an_honest_challenger(
    stage: Stage, honest: list[StoredTrace], model: IntegerModel
) -> None:
    source = random.Random(5)
    lies = pool(honest, model, source)
    for _ in range(GAMES):
        posted, right = source.choice(lies)
        case = stage.case(posted)
        board = Board(stage, case, stage.open(case))
        node: Node | SilentNode = Node(board, source)
        if source.random() < 0.3:
            node = SilentNode(node, source.randrange(4), source)
        before, stakes = stage.game.call("balanceOf", CHALLENGER), vault_money(stage)
        ending = play(board, node, Challenger(board, right), source)
        assert ending.state == GameState.CONVICTED
        assert ending.by_clock is False or isinstance(node, SilentNode)
        assert ending.moves <= 8  # nine transactions with the opening
        assert ending.seconds <= LONGEST_GAME + CALLS
        assert stage.nodes.call("isConvicted", case.node.address)
        assert stage.game.call("balanceOf", CHALLENGER) == before + BOND + BOUNTY  # gas is free here
        set_aside = stage.game.call("setAsideFor", case.node.address)  # for late moves, then the vault
        assert vault_money(stage) + set_aside == stakes + STAKE - BOUNTY
        settled(stage)


def test_an_honest_node_never_loses(stage: Stage, honest: list[StoredTrace]) -> None:
    source = random.Random(6)
    for _ in range(GAMES):
        case = stage.case(source.choice(honest))
        board = Board(stage, case, stage.open(case))
        ending = play(board, Node(board), RandomChallenger(board, source), source)
        assert ending.state == GameState.ACQUITTED
        assert ending.seconds <= LONGEST_GAME + CALLS
        assert stage.game.call("balanceOf", case.node.address) == 0  # its answers cost nothing here
        assert not stage.nodes.call("isConvicted", case.node.address)
        settled(stage)


def test_a_friend_of_a_liar_cannot_throw_the_game(stage: Stage, honest: list[StoredTrace], model: IntegerModel) -> None:
    """Right elements of the disputed leaf are stepped first: each reverts, and the honest step convicts."""
    source = random.Random(7)
    for posted, right in pool(honest, model, source)[:GAMES]:
        case = stage.case(posted)
        board = Board(stage, case, stage.open(case))
        node, challenger = Node(board), Challenger(board, right)
        while True:
            state, view = stage.state(board.game)
            if state.final:
                break
            if state == GameState.CONVICT:
                for witness in right_steps(board, right, view):
                    assert not stage.attempt("convict", board.game, witness, caller=FRIEND)
            assert (node if view["nodesTurn"] else challenger).move(state, view)
        assert state == GameState.CONVICTED


def right_steps(board: Board, right: StoredTrace, view: dict[str, int]) -> list[bytes]:
    """Witnesses of up to five elements of the published leaf that are as they should be."""
    tensor, leaf = view["tensor"], view["leaf"]
    spec = right.layout.tensor(tensor)
    if spec.op is not None and spec.op.kind == "attention":
        return []
    data = defender.leaf(board.case.posted, tensor, leaf).data
    wrong = pick_element(data, right, tensor, leaf)
    others = [at for at in range(len(data) // DTYPE_BYTES[spec.dtype]) if at != wrong]
    return [board.builder.witness(tensor, leaf, data, at).encoded() for at in others[:5]]


def test_random_players_keep_money_and_clocks(stage: Stage, honest: list[StoredTrace], model: IntegerModel) -> None:
    """Liars against challengers that do not know what they do: anything may be the verdict, nothing else may break."""
    source = random.Random(8)
    lies = pool(honest, model, source)
    for _ in range(GAMES):
        posted, _ = source.choice(lies)
        case = stage.case(posted)
        board = Board(stage, case, stage.open(case))
        node = SilentNode(Node(board, source), source.randrange(6), source)
        ending = play(board, node, RandomChallenger(board, source), source)
        assert ending.state in (GameState.CONVICTED, GameState.ACQUITTED)
        assert ending.seconds <= LONGEST_GAME + CALLS
        assert stage.nodes.call("isConvicted", case.node.address) == (ending.state == GameState.CONVICTED)
        settled(stage)
