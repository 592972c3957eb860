"""The typed classes against the real contracts on a real chain."""

from __future__ import annotations

import secrets
import time
from dataclasses import replace

import pytest

from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.earnings import get_node_earnings, get_vault_revenue, sum_settlements
from nexus_chain.chain.errors import ContractMissingError, ContractRevertedError, UnfundedWalletError, WalletError
from nexus_chain.chain.inference_market import Refusal
from nexus_chain.chain.model_registry import SemVer
from nexus_chain.chain.node_registry import Announcement
from nexus_chain.chain.wallet import Wallet
from nexus_chain.market.documents import Line, Order
from nexus_chain.market.settlement import split_settlement
from nexus_chain.routing.errors import NoNodeForLayersError
from nexus_chain.routing.registry_view import Measurement, discover_nodes
from nexus_chain.routing.route import find_route
from tests.support.chain_world import CAP, STAKE, STATED, World


def test_session_pays_ninety_ten_and_returns_the_rest(world: World) -> None:
    first, second = world.nodes
    session = world.open()
    record = world.user.market.session_of(session)
    assert (record.user, record.signer, record.line_count) == (world.address(world.user), world.key.address, 2)
    world.owner.market.post(*world.voucher(session, 1009, 2000))
    world.user.market.close(session)
    with pytest.raises(ContractRevertedError, match="InferenceMarket_TooEarly") as raised:
        world.owner.market.settle(session, first)
    assert "advance its clock" in raised.value.advice
    world.chain.advance(61)
    world.owner.market.settle_many(session, [first, second])
    assert world.user.market.balance_of(first) == split_settlement(1009)[0] == 909
    assert world.user.market.balance_of(second) == 1800
    assert world.user.market.balance_of(world.address(world.user)) == 2 * CAP - 3009
    assert world.user.market.line_of(session, first).settled
    # What the chain recorded, read back from its events.
    assert get_node_earnings(world.user, first) == 909
    assert get_vault_revenue(world.user) == 300
    total = sum_settlements(world.user, session=session)
    assert (total.lines, total.to_nodes, total.to_vault, total.to_users) == (2, 2709, 300, 2 * CAP - 3009)
    # Everybody fetches; nothing stays behind.
    for contracts in (*world.operators, world.user):
        contracts.market.withdraw()
    world.owner.vault.collect(world.owner.market)
    assert world.owner.vault.held() == 300
    assert world.chain.connection.balance(world.owner.market.address) == 0
    world.owner.vault.spend(first, 300)
    assert world.owner.vault.held() == 0
    with pytest.raises(ContractRevertedError, match="PullPayments_NothingOwed"):
        world.user.market.withdraw()


def test_lower_and_replayed_vouchers_change_nothing(world: World) -> None:
    session, node = world.open(), world.nodes[0]
    world.owner.market.post(*world.voucher(session, 50))
    for amount in (50, 10):
        world.owner.market.post(*world.voucher(session, amount))
        assert world.user.market.line_of(session, node).cumulative == 50
    world.owner.market.post(*world.voucher(session, 51))
    assert world.user.market.line_of(session, node).cumulative == 51
    posted = world.user.market.events("VoucherPosted", where={"session": session})
    assert [event.arguments["cumulative"] for event in posted] == [50, 51]


def test_voucher_over_a_cap_is_refused_until_the_cap_is_raised(world: World) -> None:
    session, node = world.open(), world.nodes[0]
    over = world.voucher(session, CAP + 1)
    with pytest.raises(ContractRevertedError, match="InferenceMarket_VoucherRefused") as raised:
        world.owner.market.post(*over)
    assert "allot" in raised.value.advice
    world.user.market.allot(session, node, CAP + 1)
    world.owner.market.post(*over)
    assert world.user.market.line_of(session, node).cumulative == CAP + 1
    with pytest.raises(ContractRevertedError, match="InferenceMarket_CapMustRise"):
        world.user.market.allot(session, node, CAP)


def test_one_refused_line_does_not_stop_the_other(world: World) -> None:
    session = world.open()
    mined = world.owner.market.post(*world.voucher(session, CAP + 1, 7))
    refused = world.owner.market.events_in(mined.receipt, "LineRefused")
    assert [(event.arguments["node"], Refusal(event.arguments["refusal"])) for event in refused] == [
        (world.nodes[0], Refusal.OVER_CAP)
    ]
    assert [world.user.market.line_of(session, node).cumulative for node in world.nodes] == [0, 7]


def test_voucher_of_another_key_session_or_chain_is_refused(world: World) -> None:
    session, other = world.open(), world.open()
    forged = world.voucher(session, 5, key=Wallet.ephemeral())
    voucher, signature = world.voucher(session, 5)
    elsewhere = replace(voucher, session=other)
    foreign = world.key.sign(voucher, replace(world.user.domain, chain_id=1))
    for attempt in (forged, (elsewhere, signature), (voucher, foreign)):
        with pytest.raises(ContractRevertedError, match="InferenceMarket_BadSignature") as raised:
            world.owner.market.post(*attempt)
        assert "session key" in raised.value.advice


def test_expired_session_takes_no_caps_and_anyone_closes_it(world: World) -> None:
    session = world.open()
    with pytest.raises(ContractRevertedError, match="InferenceMarket_NotAllowed"):
        world.owner.market.close(session)
    world.chain.advance(601)
    with pytest.raises(ContractRevertedError, match="InferenceMarket_SessionExpired"):
        world.user.market.allot(session, world.nodes[0], 2 * CAP)
    world.owner.market.post(*world.voucher(session, 5))
    world.owner.market.close(session)
    world.chain.advance(61)
    with pytest.raises(ContractRevertedError, match="InferenceMarket_VoucherRefused"):
        world.owner.market.post(*world.voucher(session, 6))


def test_expiry_in_the_past_is_refused(world: World) -> None:
    with pytest.raises(ContractRevertedError, match="InferenceMarket_BadExpiry"):
        world.user.market.open(world.key.address, int(time.time()) - 10**6, world.caps(), bytes(32))


def test_a_node_closes_its_own_line_only(world: World) -> None:
    session, (first, second) = world.open(), world.nodes
    world.operators[0].market.close_line(session)
    assert world.user.market.line_of(session, first).closed_by_node
    assert not world.user.market.line_of(session, second).closed_by_node
    with pytest.raises(ContractRevertedError, match="InferenceMarket_LineClosed"):
        world.user.market.allot(session, first, 2 * CAP)


def test_pay_per_inference_names_its_order(world: World) -> None:
    market, nonce = world.user.market, secrets.token_bytes(32)
    session = market.session_id(world.address(world.user), nonce)
    order = Order(session, bytes(32), world.version, bytes(32), 4, bytes(32), 0, 100, (), 2**33)
    digest = order.digest(world.user.domain)
    opened, mined = market.pay_per_inference(world.key.address, market.now() + 60, world.caps(9), nonce, digest)
    assert opened == session
    paid = market.events_in(mined.receipt, "OrderPaid")[0].arguments
    assert (paid["session"], paid["orderDigest"], paid["amount"]) == (session, digest, 18)


def test_receipt_log_only_grows(world: World) -> None:
    node = world.operators[0]
    node.market.commit_receipts(b"\x09" * 32, 3)
    log = world.user.market.receipt_log_of(world.nodes[0])
    assert (log.root, log.count) == (b"\x09" * 32, 3)
    with pytest.raises(ContractRevertedError, match="InferenceMarket_LogMustGrow"):
        node.market.commit_receipts(b"\x0a" * 32, 2)


def test_registry_shows_nodes_and_their_offers(world: World) -> None:
    registry, (first, second) = world.user.nodes, world.nodes
    assert list(registry.nodes()) == [first, second]
    assert (registry._read("nodeCount"), registry.is_convicted(first)) == (2, False)
    assert registry.node(first).endpoint == "127.0.0.1:5000"
    assert list(registry.announcements(world.version)) == [Announcement(first, 0, 2, 5), Announcement(second, 2, 4, 5)]
    assert registry.announcement_of(first, world.version) == Announcement(first, 0, 2, 5)
    world.operators[0].nodes.update_endpoint("127.0.0.1:9", b"\x07" * 32)
    assert registry.node(first).tls_key_hash == b"\x07" * 32
    assert registry.receipt_key_of(world.address(world.user)) == "0x" + "00" * 20


def test_stake_leaves_after_the_delay_only(world: World) -> None:
    node, address = world.operators[0].nodes, world.nodes[0]
    node.add_stake(5)
    assert node.node(address).stake == STAKE + 5
    node.request_unbond()
    assert not node.node(address).active
    with pytest.raises(ContractRevertedError, match="NodeRegistry_TooEarly"):
        node.complete_unbond()
    world.chain.advance(node.unbonding_delay() + 1)
    node.complete_unbond()
    assert node.balance_of(address) == STAKE + 5
    before = world.chain.connection.balance(address)
    mined = node.withdraw()
    assert world.chain.connection.balance(address) == before + STAKE + 5 - mined.fee


def test_discovery_and_route_follow_the_chain(world: World) -> None:
    found = discover_nodes(world.user, world.version, {world.nodes[0]: Measurement(12.5, 1)})
    assert [(node.node_id, node.layer_start, node.layer_end, node.shards) for node in found] == [
        (world.nodes[0], 0, 2, (0,)),
        (world.nodes[1], 2, 4, (1,)),
    ]
    assert (found[0].latency_ms, found[0].peer_id) == (12.5, "0x" + "01" * 32)
    assert [node.node_id for node in find_route(found, 4).nodes] == world.nodes
    world.operators[1].nodes.request_unbond()
    with pytest.raises(NoNodeForLayersError, match="layers 2-4 of 4"):
        find_route(discover_nodes(world.user, world.version), 4)


def test_versions_are_immutable_and_read_back(world: World) -> None:
    models = world.owner.models
    assert models.version(world.version) == STATED
    assert models.id_of(world.address(world.owner), STATED) == world.version
    assert list(models.versions()) == [world.version]
    assert (models.version(world.version).layers, models._read("versionCount")) == (4, 1)
    assert models.publisher_of(world.version) == world.address(world.owner)
    assert models.publisher_of(bytes(32)) is None
    with pytest.raises(ContractRevertedError, match="ModelRegistry_AlreadyPublished"):
        models.publish(STATED)
    child = replace(STATED, parent=world.version, semver=SemVer(1, 1, 0))
    assert models.version(models.publish(child)[0]) == child
    with pytest.raises(ContractRevertedError, match="ModelRegistry_SemVerMustRise"):
        models.publish(replace(child, semver=SemVer(0, 9, 0)))


def test_certificate_is_anchored_once(world: World) -> None:
    registry = world.owner.certificates
    assert registry.certificate(world.version) is None
    registry.anchor(world.version, "bafkrei", b"\x05" * 32)
    anchored = registry.certificate(world.version)
    assert anchored is not None
    assert (anchored.cid, anchored.content_hash) == ("bafkrei", b"\x05" * 32)
    with pytest.raises(ContractRevertedError, match="CertificateRegistry_AlreadyAnchored"):
        registry.anchor(world.version, "bafkrei2", b"\x06" * 32)
    with pytest.raises(ContractRevertedError, match="CertificateRegistry_NotPublisher"):
        world.user.certificates.anchor(world.version, "bafkrei", b"\x05" * 32)


def test_unfunded_wallet_is_told_what_it_lacks(world: World) -> None:
    poor = Wallet.ephemeral()
    contracts = world.user.with_wallet(poor)
    with pytest.raises(UnfundedWalletError) as raised:
        contracts.market.open(world.key.address, contracts.market.now() + 60, world.caps(), bytes(32))
    assert raised.value.needed > 2 * CAP
    assert poor.address in str(raised.value)
    assert f"Send at least {raised.value.needed} wei" in raised.value.advice
    # Enough for the value, not for the gas.
    world.chain.set_balance(poor.address, 2 * CAP)
    with pytest.raises(UnfundedWalletError):
        contracts.market.open(world.key.address, contracts.market.now() + 60, world.caps(), bytes(32))


def test_reading_needs_no_wallet_and_sending_says_so(world: World) -> None:
    reader = Contracts.at(world.chain.connection, world.user.deployment)
    assert reader.market.challenge_window() == 60
    assert reader.market.longest_session() == reader.nodes.timing().longest_session == 3600
    assert (reader.market.vault(), reader.nodes.vault()) == (reader.vault.address, reader.vault.address)
    with pytest.raises(WalletError, match="needs a wallet"):
        reader.market.close(bytes(32))


def test_unknown_ids_are_named(world: World) -> None:
    with pytest.raises(ContractRevertedError, match="InferenceMarket_SessionUnknown") as raised:
        world.user.market.session_of(b"\x01" * 32)
    assert raised.value.arguments == {"session": b"\x01" * 32}
    with pytest.raises(ContractRevertedError, match="NodeRegistry_Unknown"):
        world.user.nodes.node(world.key.address)
    with pytest.raises(ContractRevertedError, match="ModelRegistry_Unknown"):
        world.user.models.version(bytes(32))


def test_a_deployment_that_is_not_there_is_refused(world: World) -> None:
    gone = replace(world.user.deployment, genesis_vault=world.key.address)
    with pytest.raises(ContractMissingError, match="no GenesisVault"):
        Contracts.at(world.chain.connection, gone)
    swapped = replace(world.user.deployment, inference_market=world.user.deployment.node_registry)
    with pytest.raises((ContractMissingError, ContractRevertedError)):
        Contracts.at(world.chain.connection, swapped)


def test_two_processes_of_one_wallet_do_not_lose_transactions(world: World) -> None:
    """Two senders take turns with the same nonce source; each transaction is mined once."""
    session = world.open()
    twins = [world.user, world.user.with_wallet(world.user.sender.wallet)]  # type: ignore[union-attr]
    for step in range(4):
        twins[step % 2].market.allot(session, world.nodes[0], CAP + 1 + step)
    assert world.user.market.line_of(session, world.nodes[0]).cap == CAP + 4
    assert [event.arguments["cap"] for event in world.user.market.events("Allotted", where={"session": session})] == [
        CAP + 1 + step for step in range(4)
    ]


def test_caps_are_lines(world: World) -> None:
    session, _ = world.user.market.open(
        world.key.address, world.user.market.now() + 60, [Line(world.nodes[0].lower(), 3)], secrets.token_bytes(32)
    )
    assert world.user.market.line_of(session, world.nodes[0].lower()).cap == 3
