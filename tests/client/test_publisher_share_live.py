"""A version whose publisher gets a share, from real nodes on a real chain: who serves whom, and where each wei goes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nexus_chain.chain.earnings import Settled, sum_settlements
from nexus_chain.client import client as client_module
from nexus_chain.client.client import Client
from nexus_chain.client.errors import NoSpareError
from nexus_chain.client.opening import WantedLock
from nexus_chain.client.order import AskOptions
from nexus_chain.client.session import Session
from nexus_chain.market.errors import PriceError
from nexus_chain.market.publisher_share import locked_with_share, publisher_share
from node.daemon.share_rule import MINING_SECONDS
from tests.support.live_network import PRICE, LiveNetwork, live_network

PROMPT, TOKENS, RATE = "def fib(n):", 12, 777


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveNetwork]:
    with live_network(tmp_path_factory.mktemp("live"), copies=1) as made:
        made.net.user.models.set_share(made.version, RATE)
        yield made


@pytest.fixture
def client(live: LiveNetwork) -> Client:
    return live.client()


def settled(live: LiveNetwork, client: Client, session: Session) -> Settled:
    """What the session paid to whom; its window is over then."""
    live.net.chain.advance(61)
    session.settle()
    return sum_settlements(client.contracts, session=session.id)


def test_an_answer_pays_its_publisher_beside_its_nodes(live: LiveNetwork, client: Client) -> None:
    told: list[WantedLock] = []
    session, _ = client.open_session(live.version, live.files, tokens=100, allow=told.append)
    lines = client.store.lines(session.id)
    caps = [line.cap for line in lines.values()]
    locked = locked_with_share(caps, RATE)
    assert (told[0].caps, told[0].share, told[0].wei) == (sum(caps), RATE, locked)
    assert (client.store.share(session.id), client.store.locked(session.id)) == (RATE, locked)
    assert live.net.user.market.share_of(session.id).model_version == live.version

    asking = session.start(PROMPT, AskOptions(max_tokens=TOKENS, audit_rate=0))
    assert "".join(asking) == live.files.codec.decode(live.expected(PROMPT, TOKENS))
    answer = asking.answer
    billed = [sum(r.price for r, _ in answer.proof.receipts if r.node == node) for node in lines]
    assert answer.share_wei == sum(-(-wei * RATE // 10_000) for wei in billed) > 0
    assert answer.to_dict()["share_wei"] == str(answer.share_wei)
    # A cap that rises takes its share along, by whatever way it rises.
    session.allot(next(iter(lines)), 500 * PRICE)
    more = locked_with_share((line.cap for line in client.store.lines(session.id).values()), RATE)

    before = client.contracts.market.balance_of(live.user.address)
    publisher = live.net.user.models.share_of(live.version).publisher
    earlier = client.contracts.market.balance_of(publisher)
    session.close()
    paid = settled(live, client, session)
    promised = [line.promised for line in client.store.lines(session.id).values()]
    assert sum(promised) >= sum(billed)
    earned = [client.contracts.market.line_of(session.id, node).cumulative for node in lines]
    assert (paid.to_nodes, paid.to_vault) == (sum(w - w // 10 for w in earned), sum(w // 10 for w in earned))
    assert paid.to_publishers == sum(publisher_share(wei, RATE) for wei in earned)
    assert paid.to_nodes + paid.to_vault + paid.to_publishers + paid.to_users == more
    assert client.contracts.market.balance_of(live.user.address) - before == paid.to_users
    assert client.contracts.market.balance_of(publisher) - earlier == paid.to_publishers


def test_an_answer_alone_pays_it_too(live: LiveNetwork, client: Client) -> None:
    asking = client.start_direct(live.version, live.files, PROMPT, AskOptions(max_tokens=TOKENS, audit_rate=0))
    assert "".join(asking) == live.files.codec.decode(live.expected(PROMPT, TOKENS))
    answer = asking.answer
    assert live.net.user.market.share_of(answer.session).basis_points == RATE
    assert answer.share_wei > 0
    client.close_direct(answer)


def test_the_users_limit_counts_it(live: LiveNetwork, client: Client) -> None:
    session, _ = client.open_session(live.version, live.files, tokens=100)
    offer = 2 * PRICE * (len(live.files.codec.encode(PROMPT)) + TOKENS - 1)
    most = offer + publisher_share(offer, RATE)
    with pytest.raises(PriceError, match=f"may cost {most} wei"):
        session.start(PROMPT, AskOptions(max_tokens=TOKENS, max_wei=most - 1))
    with pytest.raises(PriceError):
        client.start_direct(live.version, live.files, PROMPT, AskOptions(max_tokens=TOKENS, max_wei=most - 1))
    session.start(PROMPT, AskOptions(max_tokens=TOKENS, max_wei=most))


def test_a_client_that_leaves_it_out_is_refused_by_nodes(
    live: LiveNetwork, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An opening of the first minutes of a share was perhaps on its way before.
    live.net.chain.advance(MINING_SECONDS + 1)
    monkeypatch.setattr(client_module, "share_now", lambda user, version: None)
    session, _ = client.open_session(live.version, live.files, tokens=100, seconds=600)
    with pytest.raises(NoSpareError, match=r"refuses: the publisher of version .* was not opened for that version"):
        list(session.start(PROMPT, AskOptions(max_tokens=TOKENS)))
    # Nothing was earned, and all of it comes back.
    session.close()
    live.net.chain.advance(61)
    session.settle()
    paid = sum_settlements(client.contracts, session=session.id)
    assert (paid.to_nodes, paid.to_publishers) == (0, 0)
    assert paid.to_users == client.store.locked(session.id)
