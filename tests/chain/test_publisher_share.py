"""The publisher's share against the real contracts: who is paid what, and what the chain says of it."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Any

import pytest

from nexus_chain.chain.bound import BoundContract
from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.dispute_game import commitment_of
from nexus_chain.chain.earnings import forfeited_lines, sum_settlements
from nexus_chain.chain.errors import ContractRevertedError
from nexus_chain.chain.exposure import unsettled_lines
from nexus_chain.chain.inference_market import NO_SHARE, AgreedShare, SessionShare
from nexus_chain.chain.model_registry import VersionShare
from nexus_chain.market.documents import TraceDocument
from tests.support.chain_world import CAP, World

RATE = 777


def opened(world: World, cap: int = CAP) -> bytes:
    market = world.user.market
    share = AgreedShare(world.version, RATE)
    session, _ = market.open(
        world.key.address, market.now() + 600, world.caps(cap), secrets.token_bytes(32), share=share
    )
    return session


def test_only_the_publisher_sets_it_and_not_above_the_most(world: World) -> None:
    publisher = world.address(world.owner)
    found = world.user.models.share_of(world.version)
    assert (found.publisher, found.basis_points, found.since) == (publisher, 0, 0)
    with pytest.raises(ContractRevertedError, match="ModelRegistry_NotPublisher") as raised:
        world.user.models.set_share(world.version, 1)
    assert "published the version" in raised.value.advice
    assert world.user.models.most_share() == 2_000
    with pytest.raises(ContractRevertedError, match="ModelRegistry_ShareTooHigh"):
        world.owner.models.set_share(world.version, 2_001)
    world.owner.models.set_share(world.version, RATE)
    found = world.user.models.share_of(world.version)
    assert (found.basis_points, found.since) == (RATE, world.user.market.now())
    with pytest.raises(ContractRevertedError, match="ModelRegistry_Unknown"):
        world.user.models.share_of(bytes(32))


def test_publisher_node_vault_and_user_get_their_parts_to_the_wei(world: World) -> None:
    first, second = world.nodes
    publisher, market = world.address(world.owner), world.user.market
    world.owner.models.set_share(world.version, RATE)
    session = opened(world)
    assert market.share_of(session) == SessionShare(world.version, publisher, RATE, market.now())
    market.allot(session, second, 2 * CAP + 1)
    beside = CAP * RATE // 10_000 + (2 * CAP + 1) * RATE // 10_000
    assert world.chain.connection.balance(market.address) == 3 * CAP + 1 + beside
    # A node's stake answers for its own line, and for nothing of what is beside it.
    assert unsettled_lines(world.user).by_node() == {first: CAP, second: 2 * CAP + 1}

    world.owner.market.post(*world.voucher(session, 1009, 2000))
    market.close(session)
    world.chain.advance(61)
    world.owner.market.settle_many(session, [first, second])
    share = 1009 * RATE // 10_000 + 2000 * RATE // 10_000
    assert (market.balance_of(first), market.balance_of(second)) == (909, 1800)
    assert market.balance_of(publisher) == share
    back = 3 * CAP + 1 + beside - 3009 - share
    assert market.balance_of(world.address(world.user)) == back
    total = sum_settlements(world.user, session=session)
    assert (total.lines, total.to_nodes, total.to_vault) == (2, 2709, 300)
    assert (total.to_publishers, total.to_users) == (share, back)
    assert unsettled_lines(world.user).by_node() == {}
    world.owner.market.withdraw()
    assert market.balance_of(publisher) == 0


def test_a_share_that_changed_on_the_way_stops_the_opening(world: World) -> None:
    world.owner.models.set_share(world.version, RATE + 1)
    with pytest.raises(ContractRevertedError, match="InferenceMarket_OtherShare") as raised:
        opened(world)
    assert raised.value.arguments["standing"] == RATE + 1
    assert "look at the price" in raised.value.advice


def test_a_session_keeps_the_share_that_it_was_opened_with(world: World) -> None:
    world.owner.models.set_share(world.version, RATE)
    session = opened(world)
    world.owner.models.set_share(world.version, 2_000)
    world.user.market.allot(session, world.nodes[0], 2 * CAP)
    assert world.user.market.share_of(session).basis_points == RATE


def test_one_order_can_be_paid_with_a_share(world: World) -> None:
    world.owner.models.set_share(world.version, RATE)
    market, share = world.user.market, AgreedShare(world.version, RATE)
    session, mined = market.pay_per_inference(
        world.key.address, market.now() + 60, world.caps(9_999), bytes(32), b"\x07" * 32, share=share
    )
    (paid,) = market.events_in(mined.receipt, "OrderPaid")
    assert paid.arguments["amount"] == 2 * (9_999 + 9_999 * RATE // 10_000)
    assert market.share_of(session).model_version == world.version


def test_of_a_convicted_nodes_line_all_comes_back(world: World) -> None:
    world.owner.models.set_share(world.version, RATE)
    session, (liar, other), market = opened(world), world.nodes, world.user.market
    market.post(*world.voucher(session, 1009, 2000))
    assert forfeited_lines(world.user, session, world.nodes) == frozenset()
    convict_at_once(world, world.operators[0])
    market.close(session)
    world.chain.advance(61)
    assert forfeited_lines(world.user, session, world.nodes) == frozenset()  # convicted, and not settled yet
    market.settle_many(session, [liar, other])
    assert forfeited_lines(world.user, session, world.nodes) == {liar}
    total, beside = sum_settlements(world.user, session=session), 2000 * RATE // 10_000
    assert (total.to_nodes, total.to_vault, total.to_publishers) == (1800, 200, beside)
    assert total.to_users == 2 * (CAP + CAP * RATE // 10_000) - 2000 - beside


def convict_at_once(world: World, operator: Contracts) -> None:
    """The node signs two traces of one receipt, and the owner finds them."""
    assert operator.sender is not None
    finder, wallet, receipt, salt = world.owner, operator.sender.wallet, b"\x05" * 32, b"\x06" * 32
    documents = [TraceDocument(receipt, root) for root in (b"\x01" * 32, b"\x02" * 32)]
    first, second = ((document.root, wallet.sign(document, finder.domain)) for document in documents)
    finder.disputes.commit(commitment_of(documents[0].digest(finder.domain), world.address(finder), salt))
    world.chain.advance(2)
    finder.disputes.contradict(wallet.address, receipt, first, second, salt)


def test_a_session_for_no_version_has_no_share(world: World) -> None:
    world.owner.models.set_share(world.version, RATE)
    session = world.open()
    assert world.user.market.share_of(session) == replace(NO_SHARE, opened_at=world.user.market.now())
    assert world.user.market.share_of(bytes(32)) == NO_SHARE  # there is no such session


def test_contracts_that_are_older_than_shares_have_none(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    session, read = world.open(), BoundContract._read

    def as_before(contract: BoundContract, name: str, *arguments: Any) -> Any:
        # A function that a contract does not have: what the chain answers is a revert without a word.
        if name in ("shareOf", "mostShare"):
            call = replace(contract.call(name, *arguments), data=b"\xde\xad\xbe\xef")
            return call.value(contract.connection.call(call.fields, "latest"))
        return read(contract, name, *arguments)

    monkeypatch.setattr(BoundContract, "_read", as_before)
    assert world.user.models.share_of(world.version) == VersionShare(world.address(world.owner), 0, 0)
    assert world.user.models.most_share() == 0
    with pytest.raises(ContractRevertedError):
        world.user.models.share_of(bytes(32))
    assert world.user.market.share_of(session) == NO_SHARE
    world.user.market.allot(session, world.nodes[0], 2 * CAP)
    assert world.user.market.line_of(session, world.nodes[0]).cap == 2 * CAP
