"""Games through the typed class, on a real chain with the local preset's clocks."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace

import pytest
import torch

from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.dispute_game import GameOpening, GameState, commitment_of
from nexus_chain.chain.errors import ContractRevertedError
from nexus_chain.commitments.tensor import commit, tensor_tree
from nexus_chain.market.documents import Ask, Order, Receipt, TraceDocument
from tests.support.chain_world import STAKE, World

PROMPT = torch.tensor([5, 6, 7], dtype=torch.int32)
SALT = bytes(range(32))


@dataclass
class Case:
    """One order over two segments, and the receipts that its nodes signed for the prompt."""

    world: World
    order: Order
    receipts: list[Receipt]

    @classmethod
    def make(cls, world: World) -> Case:
        asks = (Ask(0, 2, 5), Ask(2, 4, 5))
        head = (world.open(), SALT, world.version, commit(PROMPT, SALT), 8, bytes(32), 0, 10**15, asks)
        order = Order(*head, deadline=world.user.market.now() + 600)
        digest, rows = order.digest(world.user.domain), [order.prompt_root, b"\x0a" * 32, b"\x0b" * 32]
        receipts = [
            Receipt(digest, node, segment, 0, len(PROMPT), rows[segment], rows[segment + 1], (), 15)
            for segment, node in enumerate(world.nodes)
        ]
        return cls(world, order, receipts)

    def signature(self, receipt: Receipt) -> bytes:
        operator = self.world.operators[self.world.nodes.index(receipt.node)]
        assert operator.sender is not None
        return operator.sender.wallet.sign(receipt, operator.domain)

    def open(self, challenger: Contracts, receipt: Receipt, *, only_covered: bool = False) -> int:
        salt, bond = secrets.token_bytes(32), challenger.disputes.bond_now()
        digest = receipt.digest(challenger.domain)
        challenger.disputes.commit(commitment_of(digest, self.world.address(challenger), salt))
        self.world.chain.advance(2)
        order_signature = self.world.key.sign(self.order, challenger.domain)
        opening = GameOpening(
            *(self.order, order_signature, receipt, self.signature(receipt)),
            *(len(PROMPT), tensor_tree(PROMPT).root(), salt, only_covered),
        )
        return challenger.disputes.open_step(opening, bond=2 * bond)[0]  # the base fee may rise until then


def test_silent_node_is_convicted_when_its_clock_is_over(world: World) -> None:
    case, challenger = Case.make(world), world.owner
    game = case.open(challenger, case.receipts[0])
    found = challenger.disputes.game_of(game)
    assert found is not None
    assert (found.state, found.node, found.nodes_turn) == (GameState.TRACE, world.nodes[0], True)
    with pytest.raises(ContractRevertedError, match="DisputeGame_TooEarly"):
        challenger.disputes.timeout(game)
    world.chain.advance(world.owner.nodes.timing().clock + 1)
    ended = challenger.disputes.timeout(game)
    assert world.owner.nodes.is_convicted(world.nodes[0])
    (verdict,) = challenger.disputes.events_in(ended.receipt, "NodeConvicted")
    assert verdict.arguments["bounty"] == challenger.disputes.bounty() == world.owner.deployment.parameters["bounty"]
    assert verdict.arguments["refund"] > found.refund + ended.gas
    earned = verdict.arguments["refund"] + verdict.arguments["bounty"]
    assert challenger.disputes.balance_of(world.address(challenger)) == found.bond + earned
    vault = world.owner.vault.address
    assert world.owner.nodes.balance_of(vault) == STAKE - STAKE // 2
    assert world.owner.disputes._read("setAsideFor", world.nodes[0]) == STAKE // 2 - earned
    assert world.owner.disputes.balance_of(vault) == 0
    over = challenger.disputes.game_of(game)
    assert over is not None
    assert (over.state, over.bond, over.deadline) == (GameState.CONVICTED, 0, 0)
    challenger.disputes.withdraw()
    left = world.chain.connection.balance(challenger.disputes.address)
    assert left == challenger.disputes._read("setAsideFor", world.nodes[0])


def test_answered_trace_is_picked_by_its_root(world: World) -> None:
    case, mine = Case.make(world), world.owner.disputes
    game = case.open(world.owner, case.receipts[0])
    about = mine.disputed(case.receipts[0].digest(world.user.domain))
    assert (about.node, about.in_root, about.out_root) == (
        world.nodes[0],
        case.order.prompt_root,
        case.receipts[0].out_root,
    )
    assert (about.trace_root, about.tensor_count) == (bytes(32), 0)
    with pytest.raises(ContractRevertedError, match="DisputeGame_WrongState"):
        mine.pick_tensor(game, 0, bytes(32))
    assert mine.top_up(game) == 0
    assert mine.covered_now(world.nodes[0])
    assert mine._read("dueFor", case.receipts[0].digest(world.user.domain)) == 0


def test_nine_games_of_which_eight_are_covered(world: World) -> None:
    case, mine = Case.make(world), world.owner.disputes
    games = [case.open(world.owner, replace(case.receipts[0], price=price)) for price in range(8)]
    assert not mine.covered_now(world.nodes[0])
    with pytest.raises(ContractRevertedError, match="DisputeGame_NotCovered"):
        case.open(world.owner, replace(case.receipts[0], price=8), only_covered=True)
    games.append(case.open(world.owner, replace(case.receipts[0], price=8)))
    found = [record for game in games if (record := mine.game_of(game)) is not None]
    assert [record.covered for record in found] == [True] * 8 + [False]
    assert all(record.refund > 0 for record in found[:8])
    assert mine._read("claimsOn", world.nodes[0]) == sum(record.refund for record in found)
    assert found[8].refund == 0


def test_two_traces_of_one_receipt_convict_at_once(world: World) -> None:
    case, finder, salt = Case.make(world), world.owner, secrets.token_bytes(32)
    receipt = case.receipts[0].digest(finder.domain)
    documents = [TraceDocument(receipt, root) for root in (b"\x01" * 32, b"\x02" * 32)]
    wallet = world.operators[0].sender
    assert wallet is not None
    first, second = ((document.root, wallet.wallet.sign(document, finder.domain)) for document in documents)
    commitment = commitment_of(documents[0].digest(finder.domain), world.address(finder), salt)
    with pytest.raises(ContractRevertedError, match="DisputeGame_NotCommitted"):
        finder.disputes.contradict(world.nodes[0], receipt, first, second, salt)
    finder.disputes.commit(commitment)
    world.chain.advance(2)
    finder.disputes.contradict(world.nodes[0], receipt, first, second, salt)
    assert world.owner.nodes.is_convicted(world.nodes[0])


def test_two_outputs_for_one_question_convict_at_once(world: World) -> None:
    case, challenger, salt = Case.make(world), world.owner, secrets.token_bytes(32)
    other = replace(case.receipts[0], out_root=b"\x0c" * 32)
    digest = other.digest(challenger.domain)
    challenger.disputes.commit(commitment_of(digest, world.address(challenger), salt))
    assert challenger.disputes.committed_at(
        world.address(challenger), commitment_of(digest, world.address(challenger), salt)
    )
    world.chain.advance(2)
    pair = (other, case.signature(other), case.receipts[0], case.signature(case.receipts[0]))
    shown = challenger.disputes.equivocate(*pair, salt)
    assert world.owner.nodes.is_convicted(world.nodes[0])
    (found,) = challenger.disputes.events_in(shown.receipt, "Equivocated")
    assert found.arguments["reward"] > challenger.disputes.bounty()
    assert challenger.disputes.balance_of(world.address(challenger)) == found.arguments["reward"]


def test_unknown_game_is_none(world: World) -> None:
    assert world.owner.disputes.game_of(1) is None
    assert world.owner.disputes._read("gameCount") == 0
