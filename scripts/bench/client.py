"""What asking costs before the first message leaves: a client that knows its nodes against one that finds them.

A local chain, the published model, two ``nexus-node`` processes, and two clients in this process that ask in turns.
``fresh`` reads the chain, asks every node how it is and dials for each answer, as ``nexus ask`` does. ``warm`` takes
nodes, lines and connections from a directory that is refreshed in the background, and its session from a pool.
Figures are medians over rounds: seconds from asking until the first order is sent, and until the first piece of text;
requests to the chain and connections that the asking thread waited for, per answer.
Writes ``build/bench/client.json``: ``{fresh,warm}_{first_message,first_piece}_seconds``,
``{fresh,warm}_{chain_requests,dials}``, ``ratio``.

    python -m scripts.bench.client [--rounds 31] [--tokens 8]
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.deployment import Deployment
from nexus_chain.chain.local import anvil
from nexus_chain.chain.wallet import Wallet
from nexus_chain.client.client import Client
from nexus_chain.client.directory import NodeDirectory
from nexus_chain.client.home import ClientHome
from nexus_chain.client.network_facts import ContractFacts
from nexus_chain.client.order import AskOptions
from nexus_chain.client.pool import SessionPool
from nexus_chain.errors import NexusError
from nexus_chain.versions.model_files import ModelFiles
from nexus_chain.wire.peer import NodeContact, ShardPeer
from nexus_chain.wire.tls_peer import TlsPeer
from scripts.bench.record import write_record
from scripts.bench.serving import FOLDER, PASSWORD, PROMPT, publish, start
from scripts.runs.demo_network import ROOT, DemoError, running

REPORT = ROOT / "build" / "bench" / "client.json"
SIDES = ("fresh", "warm")


@dataclass
class Tally:
    """What one answer did, as far as whoever asked waited for it."""

    orders: list[float] = field(default_factory=list)
    dials: int = 0
    chain_requests: int = 0


TALLY = Tally()


class TimedPeer(TlsPeer):
    """Notes when an order leaves."""

    def open_order(self, *words: Any, **more: Any) -> int:
        TALLY.orders.append(time.perf_counter())
        return super().open_order(*words, **more)


def is_asking() -> bool:
    """Whether this thread is the one that asks."""
    return threading.current_thread() is threading.main_thread()


def dial_and_count(contact: NodeContact) -> ShardPeer:
    """Connect for a client that waits for each of its connections, whichever thread makes them."""
    TALLY.dials += 1
    return TimedPeer(contact)


def dial_aside(contact: NodeContact) -> ShardPeer:
    """Connect for a client that does so in the background, unless it does not."""
    TALLY.dials += is_asking()
    return TimedPeer(contact)


def count_requests(contracts: Contracts) -> None:
    """Count what the asking thread asks of the chain's RPC server."""
    provider: Any = contracts.connection.provider
    post = provider._post

    def count(*words: Any, **more: Any) -> Any:
        TALLY.chain_requests += is_asking()
        return post(*words, **more)

    provider._post = count


def time_answer(ask: Callable[[], Iterable[str]]) -> dict[str, float]:
    """One answer, read to its end."""
    TALLY.orders, TALLY.dials, TALLY.chain_requests = [], 0, 0
    began = time.perf_counter()
    pieces = iter(ask())
    next(pieces)
    first = time.perf_counter()
    found = {
        "first_message_seconds": TALLY.orders[0] - began,
        "first_piece_seconds": first - began,
        "chain_requests": TALLY.chain_requests,
        "dials": TALLY.dials,
    }
    for _ in pieces:
        pass
    return found


@contextmanager
def two_sides(
    contracts: Contracts, version: bytes, files: ModelFiles, options: AskOptions, positions: int
) -> Iterator[dict[str, Callable[[], Iterable[str]]]]:
    """How each side asks. ``positions``: what all of a side's answers take."""
    homes = {side: ClientHome(FOLDER / side).prepare() for side in SIDES}
    with (
        Client(contracts, homes["fresh"], dial_and_count) as fresh,
        Client(contracts, homes["warm"], dial_aside) as warm,
    ):
        session, _ = fresh.open_session(version, files, tokens=positions)
        with NodeDirectory(ContractFacts(contracts, homes["warm"]), warm.store, dial_aside) as directory:
            warm.use_nodes(directory)
            with SessionPool(warm, version, files) as pool:
                pool.prepare()
                yield {
                    "fresh": lambda: session.start(PROMPT, options),
                    "warm": lambda: pool.ask(PROMPT, options),
                }


def measure(contracts: Contracts, version: bytes, tokens: int, rounds: int) -> dict[str, list[dict[str, float]]]:
    """Figures of each side's answers; the first round warms up and is not counted."""
    files = ModelFiles(FOLDER / "user" / "models" / version.hex()[:16])
    options = AskOptions(max_tokens=tokens, audit_rate=0.0)
    positions = (rounds + 1) * (len(files.prompt_of(PROMPT, tokens)) + tokens + 32)
    found: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    with two_sides(contracts, version, files, options, positions) as asks:
        for number in range(rounds + 1):
            for side, ask in asks.items():
                figures = time_answer(ask)
                found[side] += [figures] if number else []
    return found


def run(tokens: int, rounds: int) -> dict[str, list[dict[str, float]]]:
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    with anvil() as chain:
        version, deployment, blocks = publish(chain)
        nodes = start(chain, deployment, version, blocks)
        with running(nodes):
            for node in nodes:
                node.wait_until_serving()
            wallet = Wallet.load(FOLDER / "user" / "wallet.json", PASSWORD)
            contracts = Contracts.connect(chain.rpc_url, Deployment.load(deployment), wallet)
            count_requests(contracts)
            return measure(contracts, version, tokens, rounds)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--tokens", type=int, default=8)
    options = parser.parse_args()
    torch.set_num_threads(1)
    try:
        found = run(options.tokens, options.rounds)
    except (DemoError, NexusError) as error:
        print(f"bench-client: {error}", file=sys.stderr)
        return 1
    report: dict[str, Any] = {
        f"{side}_{name}": statistics.median(figures[name] for figures in found[side])
        for side in SIDES
        for name in ("first_message_seconds", "first_piece_seconds", "chain_requests", "dials")
    }
    report["ratio"] = report["fresh_first_message_seconds"] / report["warm_first_message_seconds"]
    report |= {"rounds": options.rounds, "tokens": options.tokens}
    print(json.dumps(write_record(REPORT, report), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
