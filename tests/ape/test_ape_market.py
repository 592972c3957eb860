"""The main job, contract by contract, as ape sees it: register, open, post, settle 90/10, withdraw."""

from __future__ import annotations

import time
from typing import Any

import ape
import pytest

from nexus_chain.chain.wallet import Wallet
from nexus_chain.market.documents import Domain, Line, Order, Voucher
from tests.ape.ape_world import LONGEST, STAKE, WINDOW, World

CAP = 10**15


@pytest.fixture
def session_key() -> Wallet:
    return Wallet(b"\x07" * 32)


def open_session(world: World, user: Any, signer: str, now: int) -> bytes:
    caps = [(operator, CAP) for operator in world.operators]
    done = world.market.open(signer, now + LONGEST // 2, caps, b"\x05" * 32, sender=user, value=2 * CAP)
    return bytes(done.events.filter(world.market.SessionOpened)[0].session)


def domain(world: World, chain: Any) -> Domain:
    return Domain(int(chain.chain_id), str(world.market.address))


def signed(world: World, chain: Any, key: Wallet, session: bytes, amounts: list[int]) -> tuple[Any, bytes]:
    lines = tuple(Line(str(o.address), wei) for o, wei in zip(world.operators, amounts, strict=True))
    voucher = Voucher(session, lines)
    return (session, [(line.node, line.cumulative) for line in lines]), key.sign(voucher, domain(world, chain))


def test_register_stakes_and_announces(world: World) -> None:
    first = world.operators[0]
    entry = world.nodes.node(first)
    assert (entry.stake, entry.endpoint, entry.receiptKey) == (STAKE, "127.0.0.1:5000", first.address)
    offers = world.nodes.announcements(world.version, 0, 10)
    assert [(o.node, o.layerStart, o.layerEnd, o.weiPerToken) for o in offers] == [
        (world.operators[0].address, 0, 2, 5),
        (world.operators[1].address, 2, 4, 5),
    ]


def test_python_signs_under_the_contracts_domain(world: World, chain: Any) -> None:
    assert world.market.domainSeparator() == domain(world, chain).separator


def test_session_settles_ninety_ten_and_pays_out(world: World, chain: Any, accounts: Any, session_key: Wallet) -> None:
    user, (first, second) = accounts[5], world.operators
    session = open_session(world, user, session_key.address, chain.pending_timestamp)
    assert world.market.balance == 2 * CAP
    voucher, signature = signed(world, chain, session_key, session, [1009, 2000])
    world.market.post(voucher, signature, sender=accounts[6])
    # A lower voucher afterwards takes nothing away.
    world.market.post(*signed(world, chain, session_key, session, [1, 1]), sender=accounts[6])
    world.market.close(session, sender=user)
    with ape.reverts():
        world.market.settle(session, first, sender=accounts[6])
    chain.mine(timestamp=chain.pending_timestamp + WINDOW + 1)
    world.market.settleMany(session, [first, second], sender=accounts[6])
    # 1009 splits 909 + 100, 2000 splits 1800 + 200, the rest goes back.
    assert world.market.balanceOf(first) == 909
    assert world.market.balanceOf(second) == 1800
    assert world.market.balanceOf(world.vault) == 300
    assert world.market.balanceOf(user) == 2 * CAP - 3009
    for payee in (first, second, user):
        world.market.withdraw(sender=payee)
    world.vault.collect(world.market, sender=accounts[6])
    assert world.vault.balance == 300
    assert world.market.balance == 0
    before = accounts[8].balance
    world.vault.spend(accounts[8], 300, sender=accounts[9])
    assert accounts[8].balance == before + 300


def test_pay_per_inference_is_a_session_of_one_order(
    world: World, chain: Any, accounts: Any, session_key: Wallet
) -> None:
    user, nonce = accounts[5], b"\x09" * 32
    session = bytes(world.market.sessionId(user, nonce))
    order = Order(session, bytes(32), world.version, bytes(32), 4, bytes(32), 0, 100, (), int(time.time()))
    digest = order.digest(domain(world, chain))
    expiry = chain.pending_timestamp + 600
    caps = [(world.operators[0], 50)]
    paid = world.market.payPerInference(session_key.address, expiry, caps, nonce, digest, sender=user, value=50)
    event = paid.events.filter(world.market.OrderPaid)[0]
    assert (bytes(event.session), bytes(event.orderDigest), event.amount) == (session, digest, 50)


def test_a_publishers_share_is_paid_beside_ninety_ten(
    world: World, chain: Any, accounts: Any, session_key: Wallet
) -> None:
    user, (first, second) = accounts[5], world.operators
    with ape.reverts(world.models.ModelRegistry_NotPublisher):
        world.models.setShare(world.version, 500, sender=user)
    world.models.setShare(world.version, 500, sender=world.publisher)
    caps, nonce, expiry = [(operator, CAP) for operator in (first, second)], b"\x06" * 32, chain.pending_timestamp + 600
    arguments = (session_key.address, expiry, caps, nonce)
    value = 2 * (CAP + CAP * 500 // 10_000)
    with ape.reverts(world.market.InferenceMarket_OtherShare):
        world.market.openFor(world.version, 499, *arguments, sender=user, value=value)
    done = world.market.openFor(world.version, 500, *arguments, sender=user, value=value)
    session = bytes(done.events.filter(world.market.OpenedFor)[0].session)
    world.market.post(*signed(world, chain, session_key, session, [1009, 2000]), sender=accounts[6])
    world.market.close(session, sender=user)
    chain.mine(timestamp=chain.pending_timestamp + WINDOW + 1)
    world.market.settleMany(session, [first, second], sender=accounts[6])
    assert [world.market.balanceOf(payee) for payee in (first, second, world.vault)] == [909, 1800, 300]
    assert world.market.balanceOf(world.publisher) == 50 + 100
    assert world.market.balanceOf(user) == value - 3009 - 150


def test_post_wrong_signer_reverts(world: World, chain: Any, accounts: Any, session_key: Wallet) -> None:
    session = open_session(world, accounts[5], session_key.address, chain.pending_timestamp)
    voucher, signature = signed(world, chain, Wallet(b"\x08" * 32), session, [1, 1])
    with ape.reverts(world.market.InferenceMarket_BadSignature):
        world.market.post(voucher, signature, sender=accounts[6])


def test_stake_leaves_only_after_the_delay(world: World, chain: Any) -> None:
    operator = world.operators[0]
    world.nodes.requestUnbond(sender=operator)
    with ape.reverts(world.nodes.NodeRegistry_TooEarly):
        world.nodes.completeUnbond(sender=operator)
    chain.mine(timestamp=chain.pending_timestamp + world.nodes.unbondingDelay() + 1)
    world.nodes.completeUnbond(sender=operator)
    before = operator.balance
    withdrawn = world.nodes.withdraw(sender=operator)
    assert operator.balance == before + STAKE - withdrawn.total_fees_paid


def test_certificate_is_anchored_once_by_the_publisher(world: World, accounts: Any) -> None:
    cid, content = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy", b"\x0a" * 32
    with ape.reverts(world.certificates.CertificateRegistry_NotPublisher):
        world.certificates.anchor(world.version, cid, content, sender=accounts[6])
    world.certificates.anchor(world.version, cid, content, sender=world.publisher)
    anchored = world.certificates.certificate(world.version)
    assert (anchored.cid, bytes(anchored.contentHash)) == (cid, content)
    with ape.reverts(world.certificates.CertificateRegistry_AlreadyAnchored):
        world.certificates.anchor(world.version, cid, content, sender=world.publisher)
