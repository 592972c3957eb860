"""One request tells whether a session's lines still bind their nodes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from nexus_chain.chain.batch import read_together
from nexus_chain.chain.errors import ContractRevertedError, TransactionError
from nexus_chain.chain.line_facts import SessionFacts, read_session
from tests.support.chain_world import CAP, World


def facts_of(world: World, session: bytes) -> SessionFacts:
    return read_session(world.user, session, world.nodes)


def test_the_facts_are_the_contracts_own_in_one_request(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    session = world.open()
    market, registry = world.user.market, world.user.nodes
    expected = {node: (market.line_of(session, node), registry.node(node).stake) for node in world.nodes}
    stored, window = market.session_of(session), market.challenge_window()
    provider: Any = world.chain.connection.provider
    batches, real = [], provider.make_batch_request

    def noted(requests: Any) -> Any:
        batches.append(len(requests))
        return real(requests)

    def alone(*_: object) -> Any:
        raise AssertionError("a request of its own")

    monkeypatch.setattr(provider, "make_batch_request", noted)
    monkeypatch.setattr(provider, "make_request", alone)
    facts = facts_of(world, session)
    assert batches == [7]
    assert {node: (facts.lines[node], facts.nodes[node].stake) for node in world.nodes} == expected
    assert (facts.session.expiry, facts.session.end, facts.window) == (stored.expiry, 0, window)
    assert facts.lines[world.nodes[0]].cap == CAP
    assert facts.disputable_until == stored.expiry + window
    assert [facts.unfit(node) for node in world.nodes] == ["", ""]
    assert facts.ended == ""


def test_a_server_without_batches_is_asked_one_by_one(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    session = world.open()
    expected = facts_of(world, session)
    refusal = {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "no batches"}}
    monkeypatch.setattr(world.chain.connection.provider, "make_batch_request", lambda requests: refusal)
    found = facts_of(world, session)
    assert (found.session, found.lines, found.nodes) == (expected.session, expected.lines, expected.nodes)


@pytest.mark.parametrize(
    "answer", [{"result": "0x12"}, {"result": "0x"}, {"result": None}, {}, "text", {"error": {"message": "busy"}}]
)
def test_nonsense_is_said(world: World, monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    provider, block = world.chain.connection.provider, {"result": {"timestamp": "0x10"}}
    monkeypatch.setattr(provider, "make_batch_request", lambda requests: [block, answer])
    with pytest.raises(TransactionError, match="makes no sense"):
        read_together(world.chain.connection, [world.user.market.call("challengeWindow")])


def test_a_line_that_its_node_closed_is_unfit_and_the_others_are_not(world: World) -> None:
    session = world.open()
    world.operators[0].market.close_line(session)
    facts = facts_of(world, session)
    assert facts.unfit(world.nodes[0]) == "closed its line of this session"
    assert (facts.unfit(world.nodes[1]), facts.ended) == ("", "")
    world.chain.advance(61)
    world.user.market.settle(session, world.nodes[0])
    assert facts_of(world, session).unfit(world.nodes[0]) == "has its line of this session settled"


def test_a_stake_that_leaves_or_left_by_conviction_binds_nobody(world: World) -> None:
    session = world.open()
    world.operators[1].nodes.request_unbond()
    facts = facts_of(world, session)
    assert [facts.unfit(node) for node in world.nodes] == ["", "is taking its stake out"]
    node = world.nodes[0]
    convicted = replace(facts, nodes={**facts.nodes, node: replace(facts.nodes[node], convicted=True)})
    assert convicted.unfit(node) == "was convicted"


def test_a_session_ends_by_closing_and_by_time(world: World) -> None:
    session = world.open()
    facts = facts_of(world, session)
    assert replace(facts, now=facts.session.expiry + 3).ended == "expired 3 s ago"
    world.user.market.close(session)
    closed = facts_of(world, session)
    assert closed.ended == "was closed"
    assert closed.disputable_until == closed.session.end
    with pytest.raises(ContractRevertedError, match="SessionUnknown"):
        facts_of(world, bytes(32))
