"""What the explorer shows is what the contracts hold: read from their events, compared with their views."""

from __future__ import annotations

import secrets
from dataclasses import replace

import pytest

from nexus_chain.chain.inference_market import AgreedShare
from nexus_chain.chain.model_registry import SemVer
from nexus_chain.market.documents import Line
from nexus_chain.routing.registry_view import Measurement
from node.gateway.errors import InvalidRequestError
from node.gateway.explorer.context import Pace
from node.gateway.explorer.model_view import find_model, models_page
from node.gateway.explorer.node_view import find_node, nodes_page
from node.gateway.explorer.pages import PageRequest
from node.gateway.explorer.session_view import find_session, sessions_page, settlements_page
from node.gateway.explorer.summary_view import summary
from tests.gateway.explorer.conftest import Watched
from tests.support.chain_world import CAP, STAKE, STATED, World

PAGE = PageRequest()


def hexadecimal(value: bytes) -> str:
    return "0x" + value.hex()


def settle(world: World, session: bytes, *nodes: str) -> None:
    """Close it and settle the lines of ``nodes``."""
    world.user.market.close(session)
    world.chain.advance(61)
    for node in nodes:
        world.user.market.settle(session, node)


def test_a_settled_line_adds_up_to_the_last_wei(world: World, watched: Watched) -> None:
    first, second = world.nodes
    session = world.open()
    world.owner.market.post(*world.voucher(session, 501, 7))
    settle(world, session, first, second)
    watched.explorer.look()
    found = settlements_page(watched.context, PAGE)
    assert [item["node"] for item in found["items"]] == [second, first]
    for item in found["items"]:
        parts = [int(item[name]) for name in ("to_node_wei", "to_vault_wei", "to_user_wei", "returned_wei")]
        assert sum(parts) == int(item["cap_wei"]) == CAP
        assert parts[0] + parts[1] == int(item["promised_wei"])
    assert found["items"][1]["promised_wei"] == "501"
    assert found["sums"] == watched.archive.settled().document()
    sums = found["sums"]
    assert int(sums["to_node_wei"]) == sum(int(item["to_node_wei"]) for item in found["items"])
    assert int(sums["to_vault_wei"]) == world.user.market.balance_of(world.user.market.vault())
    assert int(sums["to_user_wei"]) == 2 * CAP - 508
    of_first = settlements_page(watched.context, PAGE, first)
    assert ([item["node"] for item in of_first["items"]], of_first["sums"]["lines"]) == ([first], 1)


@pytest.mark.parametrize("in_dispute", [False, True])
def test_a_publishers_share_adds_up_to_the_last_wei(world: World, watched: Watched, in_dispute: bool) -> None:
    node, rate = world.nodes[0], 777
    world.owner.models.set_share(world.version, rate)
    market, share = world.user.market, AgreedShare(world.version, rate)
    session, _ = market.open(
        world.key.address, market.now() + 600, [Line(node, CAP)], secrets.token_bytes(32), share=share
    )
    world.owner.market.post(*world.voucher(session, 501))
    watched.explorer.look()
    opened = find_session(watched.context, hexadecimal(session))
    assert opened is not None
    publisher = world.address(world.owner)
    assert opened["opened_for"] == {
        "version": hexadecimal(world.version), "publisher": publisher, "share_basis_points": rate,
    }  # fmt: skip
    if in_dispute:
        judge(world, "openGame", session, node)
    settle(world, session, node)
    if in_dispute:
        judge(world, "closeGame", session, node)
        market.settle(session, node)
    watched.explorer.look()
    (item,) = settlements_page(watched.context, PAGE)["items"]
    beside, paid = CAP * rate // 10_000, 501 * rate // 10_000
    assert item["share"] == {
        "publisher": publisher, "share_basis_points": rate, "to_publisher_wei": str(paid),
        "returned_wei": str(beside - paid),
    }  # fmt: skip
    parts = [int(item[name]) for name in ("to_node_wei", "to_vault_wei", "to_user_wei", "returned_wei")]
    assert (sum(parts), parts[:2]) == (CAP, [451, 50])
    sums = settlements_page(watched.context, PAGE, node)["sums"]
    assert sums == watched.archive.settled().document()
    assert (sums["to_publisher_wei"], sums["share_returned_wei"]) == (str(paid), str(beside - paid))
    found = find_session(watched.context, hexadecimal(session))
    assert found is not None
    (line,) = found["lines"]
    assert (line["to_publisher_wei"], line["share_returned_wei"]) == (str(paid), str(beside - paid))
    assert found["state"] == "settled"
    # What was read of replaced blocks is taken out again.
    watched.archive.cut(-1)
    assert watched.archive.settled().document()["to_publisher_wei"] == "0"


def judge(world: World, move: str, session: bytes, node: str) -> None:
    """What the dispute contract does to a line."""
    market, chain = world.user.market, world.chain.connection
    chain.web3.provider.make_request("anvil_impersonateAccount", [market.dispute()])  # type: ignore[arg-type]
    world.chain.set_balance(market.dispute(), 10**18)
    sent = chain.web3.eth.send_transaction(
        {"from": market.dispute(), "to": market.address, "data": market.encode(move, session, node)}  # type: ignore[typeddict-item]
    )
    assert chain.web3.eth.wait_for_transaction_receipt(sent)["status"] == 1


def test_a_session_without_a_share_says_so(world: World, watched: Watched) -> None:
    session = world.open()
    settle(world, session, world.nodes[0])
    watched.explorer.look()
    found = find_session(watched.context, hexadecimal(session))
    assert found is not None
    assert (found["opened_for"], settlements_page(watched.context, PAGE)["items"][0]["share"]) == (None, None)


def test_a_session_is_told_as_the_market_holds_it(world: World, watched: Watched) -> None:
    first, second = world.nodes
    session = world.open()
    world.user.market.allot(session, second, CAP + 11)
    world.owner.market.post(*world.voucher(session, 500))
    watched.explorer.look()
    found = find_session(watched.context, hexadecimal(session))
    assert found is not None
    record = world.user.market.session_of(session)
    assert (found["user"], found["signer"], found["expiry"], found["state"]) == (
        record.user, record.signer, record.expiry, "open",
    )  # fmt: skip
    for line in found["lines"]:
        held = world.user.market.line_of(session, line["node"])
        assert (line["cap_wei"], line["promised_wei"]) == (str(held.cap), str(held.cumulative))
    assert [event["name"] for event in found["events"]] == ["SessionOpened", "Allotted", "VoucherPosted"]
    world.user.market.close(session)
    watched.explorer.look()
    closing = find_session(watched.context, hexadecimal(session))
    assert closing is not None
    assert (closing["state"], closing["end"]) == ("closing", world.user.market.session_of(session).end)
    world.chain.advance(61)
    assert sessions_page(watched.context, PAGE)["items"][0]["state"] == "settling"
    world.user.market.settle_many(session, [first, second])
    watched.explorer.look()
    assert sessions_page(watched.context, PAGE)["items"][0]["state"] == "settled"
    assert find_session(watched.context, hexadecimal(bytes(32))) is None


def test_nodes_are_told_as_the_registry_holds_them(world: World, watched: Watched) -> None:
    first, second = world.nodes
    world.operators[0].nodes.add_stake(5)
    world.operators[0].nodes.update_endpoint("[::1]:7", b"\x09" * 32)
    world.operators[1].nodes.request_unbond()
    watched.measured[first] = Measurement(12.34, 3, 0.75)
    watched.explorer.look()
    found = {item["node"]: item for item in nodes_page(watched.context, PAGE)["items"]}
    for node in world.nodes:
        record = world.user.nodes.node(node)
        shown = found[node]
        assert (shown["stake_wei"], shown["endpoint"], shown["active"]) == (
            str(record.stake), record.endpoint, record.active,
        )  # fmt: skip
        assert (shown["unbondable_after"], shown["receipt_key"]) == (record.unbondable_after, record.receipt_key)
        assert shown["tls_key_hash"] == hexadecimal(record.tls_key_hash)
    assert found[first]["stake_wei"] == str(STAKE + 5)
    assert (found[first]["latency_ms"], found[first]["reputation"], found[first]["online"]) == (12.3, 0.75, True)
    assert (found[second]["latency_ms"], found[second]["online"]) == (None, None)
    assert found[first]["uptime"] == {"asked": 1, "answered": 1}
    assert found[first]["announcements"][0]["wei_per_token"] == "5"
    assert find_node(watched.context, "0x" + "77" * 20) is None


def test_versions_have_parents_layers_and_the_cheapest_route(world: World, watched: Watched) -> None:
    child, _ = world.owner.models.publish(replace(STATED, semver=SemVer(1, 1, 0), parent=world.version))
    first, second = world.nodes
    watched.measured[first], watched.measured[second] = Measurement(1.0), Measurement(1.0, online=False)
    watched.explorer.look()
    newest, oldest = models_page(watched.context, PAGE)["items"]
    assert (newest["version"], newest["parent"]) == (hexadecimal(child), hexadecimal(world.version))
    assert (oldest["parent"], oldest["record"]["semver"], oldest["record"]["layers"]) == (None, "1.0.0", 4)
    assert [(offer["layer_start"], offer["layer_end"], offer["node"]) for offer in oldest["offers"]] == [
        (0, 2, first), (2, 4, second),
    ]  # fmt: skip
    assert (oldest["wei_per_token"], oldest["answers"]) == ("10", False)
    assert (oldest["share_basis_points"], newest["share_basis_points"]) == (0, 0)
    assert (newest["offers"], newest["wei_per_token"], newest["certificate"]) == ([], None, None)
    watched.measured[second] = Measurement(1.0)
    detail = find_model(watched.context, hexadecimal(world.version))
    assert detail is not None
    assert (detail["answers"], detail["children"]) == (True, [hexadecimal(child)])
    assert [node["node"] for node in detail["nodes"]] == [first, second]
    world.operators[1].nodes.request_unbond()
    for rate in (100, 150):
        world.owner.models.set_share(world.version, rate)
    watched.explorer.look()
    without = find_model(watched.context, hexadecimal(world.version))
    assert without is not None
    assert without["share_basis_points"] == 150
    assert (without["wei_per_token"], without["offers"][1]["active"]) == (None, False)


def test_pages_are_newest_first_and_meet_without_a_gap(world: World, watched: Watched) -> None:
    first = world.nodes[0]
    opened = []
    for number in range(5):
        line = [Line(first, 7 + number)]
        session, _ = world.user.market.open(
            world.key.address, world.user.market.now() + 600, line, secrets.token_bytes(32)
        )
        opened.append(hexadecimal(session))
    watched.explorer.look()
    seen, before = [], None
    while True:
        found = sessions_page(watched.context, PageRequest.of(2, before))
        seen += [item["session"] for item in found["items"]]
        assert len(found["items"]) <= 2
        if (before := found["next"]) is None:
            break
    assert seen == opened[::-1]


@pytest.mark.parametrize(("limit", "before"), [(0, None), (101, None), (5, "x"), (5, "1-2-3"), (5, "-1-2"), (5, "")])
def test_other_pages_are_refused(limit: int, before: str | None) -> None:
    with pytest.raises(InvalidRequestError):
        PageRequest.of(limit, before)


def test_the_summary_counts(world: World, watched: Watched) -> None:
    world.open()
    watched.paces["tiny"] = Pace(1, 2, 3.0)
    watched.explorer.look()
    found = summary(watched.context)
    assert (found["models"], found["nodes"], found["sessions"], found["settlements"]) == (1, 2, 1, 0)
    assert found["terms"]["challenge_window"] == world.user.market.challenge_window()
    assert found["terms"]["contracts"]["inference_market"] == world.user.market.address
