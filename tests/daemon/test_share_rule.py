"""Which sessions a node serves a version with a share in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nexus_chain.chain.inference_market import SessionShare
from nexus_chain.chain.model_registry import VersionShare
from nexus_chain.chain.wallet import Wallet
from node.daemon.errors import ShareNotPaidError
from node.daemon.ledger.events import SessionObserved
from node.daemon.share_rule import MINING_SECONDS, REFRESH_SECONDS, ShareRule
from tests.support.workplace import PROMPT, SPLIT, VERSION, Answer, LocalNode, linked_nodes, make_order

OTHER = bytes([8]) * 32
SINCE = 1_000
LATE = SINCE + MINING_SECONDS + 1
"""When only sessions are opened that know of the share."""


@dataclass
class Chain:
    """What the contracts say; ``reads`` of them."""

    basis_points: int = 500
    sessions: dict[bytes, bytes] = field(default_factory=dict)
    opened_at: int = LATE
    time: float = 0.0
    reads: list[str] = field(default_factory=list)

    def rule(self) -> ShareRule:
        market = SimpleNamespace(share_of=self._session)
        contracts: Any = SimpleNamespace(market=market, models=SimpleNamespace(share_of=self._version))
        return ShareRule(contracts, lambda: self.time)

    def _version(self, version: bytes) -> VersionShare:
        self.reads.append("version")
        return VersionShare("0x" + "33" * 20, self.basis_points, SINCE)

    def _session(self, session: bytes) -> SessionShare:
        self.reads.append("session")
        return SessionShare(self.sessions.get(session, bytes(32)), "0x" + "33" * 20, 500, self.opened_at)


PLAIN, FOR_IT, FOR_ANOTHER = b"p" * 32, b"i" * 32, b"a" * 32


@pytest.fixture
def chain() -> Chain:
    return Chain(sessions={FOR_IT: VERSION, FOR_ANOTHER: OTHER})


@pytest.mark.parametrize("session", [PLAIN, FOR_ANOTHER])
def test_a_session_that_was_not_opened_for_the_version_is_refused(chain: Chain, session: bytes) -> None:
    with pytest.raises(ShareNotPaidError, match="gets 5 % of what nodes earn") as raised:
        chain.rule().require(session, VERSION)
    assert "nexus session open" in raised.value.advice


def test_one_that_was_opened_for_it_is_served_whatever_the_share_is_now(chain: Chain) -> None:
    rule = chain.rule()
    rule.require(FOR_IT, VERSION)
    chain.basis_points, chain.time = 2_000, 2 * REFRESH_SECONDS
    rule.require(FOR_IT, VERSION)


def test_a_session_that_was_opened_before_the_share_is_served_and_no_younger_one(chain: Chain) -> None:
    for chain.opened_at in (1, SINCE, SINCE + MINING_SECONDS):  # whose opening was on its way
        chain.rule().require(PLAIN, VERSION)
    chain.opened_at = LATE
    with pytest.raises(ShareNotPaidError):
        chain.rule().require(PLAIN, VERSION)


def test_what_a_server_did_not_know_yet_is_asked_for_again(chain: Chain) -> None:
    rule, known = chain.rule(), chain.sessions
    chain.sessions, chain.opened_at = {}, 0
    with pytest.raises(ShareNotPaidError):
        rule.require(FOR_IT, VERSION)
    chain.sessions, chain.opened_at = known, LATE
    rule.require(FOR_IT, VERSION)


def test_an_opening_in_a_block_that_was_replaced_is_read_again_before_a_refusal(chain: Chain) -> None:
    rule = chain.rule()
    with pytest.raises(ShareNotPaidError):
        rule.require(PLAIN, VERSION)
    chain.sessions[PLAIN] = VERSION
    rule.require(PLAIN, VERSION)


def test_a_version_without_a_share_is_served_in_any_session(chain: Chain) -> None:
    chain.basis_points = 0
    rule = chain.rule()
    for session in (PLAIN, FOR_IT, FOR_ANOTHER):
        rule.require(session, VERSION)
    assert chain.reads == ["version"]  # once for all of them


def test_nobody_is_refused_for_a_share_that_ended(chain: Chain) -> None:
    rule = chain.rule()
    rule.require(FOR_IT, VERSION)
    chain.basis_points = 0
    rule.require(PLAIN, VERSION)


def test_a_share_that_began_is_asked_for_within_a_minute(chain: Chain) -> None:
    chain.basis_points = 0
    rule = chain.rule()
    rule.require(PLAIN, VERSION)
    chain.basis_points, chain.time = 500, REFRESH_SECONDS + 1
    with pytest.raises(ShareNotPaidError):
        rule.require(PLAIN, VERSION)


def test_what_cannot_change_is_asked_for_once(chain: Chain) -> None:
    rule = chain.rule()
    for _ in range(3):
        rule.require(FOR_IT, VERSION)
    assert chain.reads == ["version", "session"]


@pytest.fixture
def nodes(tmp_path: Path, user: Wallet) -> Iterator[list[LocalNode]]:
    with linked_nodes(tmp_path, user, SPLIT) as made:
        yield made


def test_an_order_of_a_session_without_the_share_is_not_taken(
    nodes: list[LocalNode], user: Wallet, chain: Chain
) -> None:
    serving, rule = nodes[0].core.serving, chain.rule()
    answer = Answer(nodes, user, make_order(user), PROMPT)

    def require_share(session: SessionObserved, version: bytes) -> None:
        rule.require(session.session, version)

    nodes[0].facts.require_share = require_share  # type: ignore[method-assign]
    with pytest.raises(ShareNotPaidError):
        serving.open_order(answer.application(0), *answer.voucher(100))
    assert not nodes[0].core.ledger.state.orders
    chain.sessions[answer.order.session] = VERSION
    nodes[0].facts.require_share = lambda session, version: chain.rule().require(  # type: ignore[method-assign]
        session.session, version
    )
    serving.open_order(answer.application(0), *answer.voucher(100))
    assert len(nodes[0].core.ledger.state.orders) == 1
