"""The settler against a chain that stalls, forgets blocks and refuses: a plain object, move by move."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import requests

from nexus_chain.chain.errors import ContractRevertedError, TransactionError
from nexus_chain.chain.rpc_answers import BlockHead
from nexus_chain.market.documents import Domain, Line, Voucher, address_of, sign
from node.daemon.chain_view import ChainView
from node.daemon.errors import SessionNotOpenError
from node.daemon.ledger.events import SessionObserved, VoucherReceived
from node.daemon.ledger.ledger import Ledger
from node.daemon.ledger.state import Terms
from node.daemon.ledger.write_ahead_log import WriteAheadLog
from node.daemon.upkeep.background_duty import BackgroundDuty
from node.daemon.upkeep.defence import Defence
from node.daemon.upkeep.settle import Settler
from node.daemon.upkeep.traces import TraceStore

DOMAIN = Domain(31337, "0x" + "11" * 20)
KEY = bytes([5]) * 32
NODE = address_of(bytes([6]) * 32)
SESSIONS = [bytes([n]) * 32 for n in (1, 2)]


@dataclass
class Chain:
    """Blocks by number, sessions, and what the node sent."""

    blocks: list[bytes] = field(default_factory=lambda: [b"genesis", b"one"])
    sessions: dict[bytes, SessionObserved] = field(default_factory=dict)
    posted: list[bytes] = field(default_factory=list)
    refused: set[bytes] = field(default_factory=set)
    time: int = 100
    down: bool = False
    looks: int = 0
    asked: list[str] = field(default_factory=list)

    # ---- as ChainView

    def head(self) -> BlockHead:
        self.looks += 1
        if self.down:
            raise requests.ConnectionError("the RPC server is away")
        return BlockHead(len(self.blocks) - 1, self.blocks[-1], self.time)

    def now(self) -> int:
        return self.time

    def session(self, session: bytes) -> SessionObserved:
        if session not in self.sessions:
            raise SessionNotOpenError("the chain knows no such session", advice="Open it.")
        return self.sessions[session]

    # ---- as Contracts, their connection and market

    @property
    def contracts(self) -> Any:
        return SimpleNamespace(connection=self, market=self)

    def find_block(self, number: int) -> BlockHead | None:
        return BlockHead(number, self.blocks[number], self.time) if number < len(self.blocks) else None

    def events(self, name: str, first: int, last: int, where: Any = None) -> Iterator[Any]:
        self.asked.append(name)
        return iter(())

    def balance_of(self, payee: str) -> int:
        self.asked.append("balance")
        return 0

    def post(self, voucher: Voucher, signature: bytes) -> None:
        if voucher.session in self.refused:
            raise TransactionError("not mined in time", advice="Look it up.")
        if voucher.session not in self.sessions:
            raise ContractRevertedError("InferenceMarket_SessionUnknown", {}, advice="Open it.")
        self.posted.append(voucher.session)
        cumulative = voucher.lines[0].cumulative
        self.sessions[voucher.session] = replace(self.sessions[voucher.session], posted=cumulative)


@pytest.fixture
def chain() -> Chain:
    facts = SessionObserved(b"", address_of(KEY), 1000, 1060, False, 300, 0, False, 1060)
    return Chain(sessions={session: replace(facts, session=session) for session in SESSIONS})


@pytest.fixture
def ledger(tmp_path: Path, chain: Chain) -> Iterator[Ledger]:
    made = Ledger(WriteAheadLog(tmp_path / "events.sqlite"), Terms(rows_kept=100))
    for session in SESSIONS:
        made.dispatch(chain.sessions[session])
        voucher = Voucher(session, (Line(NODE, 50),))
        made.dispatch(VoucherReceived(session, 50, voucher.to_json(), sign(voucher, KEY, DOMAIN), 100))
    yield made
    made.close()


@pytest.fixture
def settler(chain: Chain, ledger: Ledger) -> Settler:
    return Settler(chain.contracts, NODE, ledger, cast(ChainView, chain))


def test_an_rpc_server_that_is_away_does_not_end_the_rounds(chain: Chain, settler: Settler) -> None:
    chain.down = True
    rounds = BackgroundDuty("settle", 0.01, settler.round, "settling has to wait")
    rounds.start()
    try:
        while chain.looks < 3:
            assert rounds._thread.is_alive()
        chain.time, chain.down = 1000, False
        while len(chain.posted) < 2:
            assert rounds._thread.is_alive()
    finally:
        rounds.stop()


def test_one_voucher_that_cannot_be_posted_does_not_keep_the_others(chain: Chain, settler: Settler) -> None:
    chain.time, chain.refused = 1000, {SESSIONS[0]}
    settler.round()
    assert chain.posted == [SESSIONS[1]]


def test_a_session_that_a_reorganisation_took_away_is_served_no_more(
    chain: Chain, ledger: Ledger, settler: Settler
) -> None:
    settler.round()
    gone = chain.sessions.pop(SESSIONS[0])
    chain.blocks[-1] = b"another one"
    settler.round()
    assert [ledger.state.sessions[session].closing for session in SESSIONS] == [True, False]
    # The transaction is mined again, in a later block.
    chain.sessions[SESSIONS[0]] = gone
    chain.blocks.append(b"two")
    settler.round()
    assert not ledger.state.sessions[SESSIONS[0]].closing


def test_a_session_opened_again_with_another_key_is_served_no_more(
    chain: Chain, ledger: Ledger, settler: Settler
) -> None:
    settler.round()
    chain.sessions[SESSIONS[0]] = replace(chain.sessions[SESSIONS[0]], signer=NODE)
    chain.blocks = chain.blocks[:1]
    settler.round()
    assert ledger.state.sessions[SESSIONS[0]].closing


def test_a_look_at_a_quiet_chain_is_one_request_and_what_is_due_is_done(chain: Chain, settler: Settler) -> None:
    settler.round()
    settler.round()
    chain.asked.clear()
    looks = chain.looks
    settler.round()
    assert (chain.asked, chain.looks) == ([], looks + 1)
    # Time alone makes vouchers due.
    chain.time = 1000
    settler.round()
    assert chain.posted == SESSIONS
    chain.blocks.append(b"two")
    chain.asked.clear()
    settler.round()
    assert "balance" in chain.asked


def test_games_are_looked_for_some_times_up_to_the_same_head(chain: Chain, ledger: Ledger, tmp_path: Path) -> None:
    nodes = SimpleNamespace(node=lambda address: SimpleNamespace(open_games=0))
    contracts = SimpleNamespace(deployment=SimpleNamespace(block=0), nodes=nodes)
    identity = SimpleNamespace(address=NODE)
    block = SimpleNamespace(program=None, weights=None)
    traces = TraceStore(tmp_path / "traces", 0)
    defence = Defence(contracts, chain, identity, ledger, None, block, cast(ChainView, chain), traces)  # type: ignore[arg-type]
    for _ in range(6):
        defence.round()
    assert chain.asked == ["GameOpened"] * 3
    chain.blocks.append(b"two")
    defence.round()
    assert chain.asked == ["GameOpened"] * 4
