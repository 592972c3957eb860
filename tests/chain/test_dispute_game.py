"""Games through the typed class, on a real chain with the local preset's clocks."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace

import pytest
import torch
from chain_world import STAKE, World

from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.dispute_game import GameOpening, GameState, commitment_of
from nexus_chain.chain.errors import ContractRevertedError
from nexus_chain.commitments.tensor import commit, tensor_tree
from nexus_chain.market.documents import Ask, Order, Receipt, TokenFeed

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

    def open(self, challenger: Contracts, receipt: Receipt, *, link: bool) -> int:
        salt, bond = secrets.token_bytes(32), challenger.disputes.bond_now()
        digest = receipt.digest(challenger.domain)
        challenger.disputes.commit(commitment_of(digest, self.world.address(challenger), salt))
        self.world.chain.advance(2)
        order_signature = self.world.key.sign(self.order, challenger.domain)
        opening = GameOpening(
            *(self.order, order_signature, receipt, self.signature(receipt)),
            *(len(PROMPT), tensor_tree(PROMPT).root(), salt),
        )
        open_game = challenger.disputes.open_link if link else challenger.disputes.open_step
        return open_game(opening, bond=2 * bond)[0]  # the base fee may rise until then


def test_silent_node_is_convicted_when_its_clock_is_over(world: World) -> None:
    case, challenger = Case.make(world), world.owner
    game = case.open(challenger, case.receipts[0], link=False)
    found = challenger.disputes.game_of(game)
    assert found is not None
    assert (found.state, found.node, found.nodes_turn) == (GameState.TRACE, world.nodes[0], True)
    with pytest.raises(ContractRevertedError, match="DisputeGame_TooEarly"):
        challenger.disputes.timeout(game)
    world.chain.advance(world.owner.nodes.timing().clock + 1)
    challenger.disputes.timeout(game)
    assert world.owner.nodes.is_convicted(world.nodes[0])
    assert challenger.disputes.balance_of(world.address(challenger)) == found.bond + STAKE // 2
    assert world.owner.nodes.balance_of(world.owner.vault.address) == STAKE - STAKE // 2
    over = challenger.disputes.game_of(game)
    assert over is not None
    assert (over.state, over.bond, over.deadline) == (GameState.CONVICTED, 0, 0)
    challenger.disputes.withdraw()
    assert world.chain.web3.eth.get_balance(challenger.disputes.address) == 0


def test_predecessors_receipt_ends_a_link_game(world: World) -> None:
    case = Case.make(world)
    game = case.open(world.owner, case.receipts[1], link=True)
    forged = replace(case.receipts[0], out_root=b"\x0c" * 32)
    with pytest.raises(ContractRevertedError, match="DisputeGame_NotPredecessor"):
        world.operators[1].disputes.show_receipt(game, forged, case.signature(forged))
    shown = world.operators[1].disputes.show_receipt(game, case.receipts[0], case.signature(case.receipts[0]))
    (event,) = world.owner.disputes.events_in(shown.receipt, "ReceiptShown")
    assert event.arguments["signature"] == case.signature(case.receipts[0])
    found = world.owner.disputes.game_of(game)
    assert found is not None
    assert found.state is GameState.ACQUITTED
    assert world.owner.disputes.balance_of(world.nodes[1]) > 0


def test_token_feed_ends_a_link_game_about_the_first_segment(world: World) -> None:
    case = Case.make(world)
    fed = replace(case.receipts[0], to_position=5, in_root=b"\x0d" * 32)
    game = case.open(world.owner, fed, link=True)
    feed = TokenFeed(fed.order_digest, 5, fed.in_root)
    world.operators[0].disputes.show_feed(game, feed, world.key.sign(feed, world.user.domain))
    found = world.owner.disputes.game_of(game)
    assert found is not None
    assert found.state is GameState.ACQUITTED


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
    challenger.disputes.equivocate(*pair, salt)
    assert world.owner.nodes.is_convicted(world.nodes[0])
    assert world.owner.nodes.balance_of(world.address(challenger)) == STAKE // 2


def test_unknown_game_is_none(world: World) -> None:
    assert world.owner.disputes.game_of(1) is None
    assert world.owner.disputes.game_count() == 0
