"""Gas of each call on the contracts, and the settled gas per inference in a session of 1 000 inferences.

    python -m scripts.bench.market            # needs the contracts compiled (forge build)

Starts its own Anvil on a free loopback port, deploys, and plays. Two nodes join. A user opens a session and signs one
cumulative voucher for each inference. The last voucher is posted, the lines are settled, and everybody withdraws. Every
balance starts at zero, which is the dearest case for the EVM. Writes
build/bench/market.json: ``gas`` (by call), ``gas_per_inference_1000``, ``inferences``, ``bar``.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.deployer import ArtefactCreator, deploy
from nexus_chain.chain.inference_market import AgreedShare
from nexus_chain.chain.local import DEVELOPMENT_KEYS, LocalChain, anvil
from nexus_chain.chain.model_registry import ModelVersion, SemVer
from nexus_chain.chain.transactions import Mined
from nexus_chain.chain.wallet import Wallet
from nexus_chain.market.documents import Line, Voucher
from scripts.bench.record import write_record

ROOT = Path(__file__).resolve().parents[2]
REPORT = ROOT / "build" / "bench" / "market.json"
INFERENCES = 1_000
BAR = 500
LAYERS = 22
GWEI = 10**9
#: What one inference pays each node: 128 tokens.
PAY = 128 * GWEI
STAKE = 10**18
#: Basis points that the publisher gets beside what nodes earn.
SHARE = 500
#: All that a session costs on chain, whoever pays it: two nodes, so two settlements and three withdrawals.
SETTLEMENT = {"open": 1, "post": 1, "close": 1, "settle": 2, "withdraw": 3}


@dataclass
class GasBook:
    """Gas by call, in the order of the calls."""

    entries: dict[str, list[int]] = field(default_factory=dict)

    def note(self, call: str, mined: Mined) -> None:
        self.entries.setdefault(call, []).append(mined.gas)

    def dearest(self) -> dict[str, int]:
        return {call: max(gas) for call, gas in self.entries.items()}

    def total(self, counts: dict[str, int]) -> int:
        """Sum over the first ``counts[call]`` transactions of each call."""
        for call, count in counts.items():
            if len(self.entries[call]) < count:
                raise ValueError(f"{call} was measured {len(self.entries[call])} times, {count} are needed")
        return sum(sum(self.entries[call][:count]) for call, count in counts.items())


@dataclass(frozen=True)
class Stage:
    """A deployment and who plays on it."""

    chain: LocalChain
    owner: Contracts  # publishes, and spends from the vault
    user: Contracts
    nodes: tuple[Contracts, Contracts]
    operators: tuple[str, str]  # the nodes' addresses
    session_key: Wallet

    def caps(self, wei: int) -> list[Line]:
        return [Line(node, wei) for node in self.operators]

    def expiry(self) -> int:
        return self.user.market.now() + self.user.market.longest_session() - 60

    def pass_window(self) -> None:
        self.chain.advance(self.user.market.challenge_window() + 2)


@contextmanager
def stage() -> Iterator[Stage]:
    """A fresh chain with the contracts on it, empty."""
    owner, user, first, second = (Wallet.from_hex(key) for key in DEVELOPMENT_KEYS[:4])
    with anvil() as chain, tempfile.TemporaryDirectory() as folder:
        creator = ArtefactCreator(chain.connection, owner)
        deployment, _ = deploy(creator, owner.address, preset="local", path=Path(folder) / "deployment.json")
        contracts = Contracts.at(chain.connection, deployment, owner)
        nodes = (contracts.with_wallet(first), contracts.with_wallet(second))
        yield Stage(
            chain, contracts, contracts.with_wallet(user), nodes, (first.address, second.address), Wallet.ephemeral()
        )


def join(at: Stage, book: GasBook) -> None:
    """Publish a version, register two nodes for half of its layers each."""
    digest = bytes(range(32))
    version = ModelVersion(digest, digest, digest, GWEI, LAYERS, SemVer(1, 0, 0), "b" * 59)
    model_version, mined = at.owner.models.publish(version)
    book.note("publish", mined)
    book.note("setShare", at.owner.models.set_share(model_version, SHARE))
    book.note("anchor", at.owner.certificates.anchor(model_version, "b" * 59, digest))
    half = LAYERS // 2
    for index, node in enumerate(at.nodes):
        endpoint, key = f"127.0.0.1:{50_051 + index}", Wallet.ephemeral().address
        book.note("register", node.nodes.register(endpoint, digest, key, stake=STAKE))
        book.note("announce", node.nodes.announce(model_version, index * half, (index + 1) * half, GWEI))
    book.note("addStake", at.nodes[0].nodes.add_stake(STAKE))


def play_session(at: Stage, book: GasBook) -> None:
    """One session of ``INFERENCES`` inferences, from ``open`` to the last withdrawal."""
    market = at.user.market
    session, mined = market.open(at.session_key.address, at.expiry(), at.caps(2 * INFERENCES * PAY), bytes(32))
    book.note("open", mined)
    for served in range(1, INFERENCES + 1):
        voucher = Voucher(session, tuple(Line(node, served * PAY) for node in at.operators))
        signature = at.session_key.sign(voucher, at.user.domain)
    book.note("post", at.nodes[0].market.post(voucher, signature))
    book.note("commitReceipts", at.nodes[0].market.commit_receipts(bytes(32), INFERENCES))
    book.note("close", market.close(session))
    at.pass_window()
    for node in at.operators:
        book.note("settle", at.nodes[0].market.settle(session, node))
    for player in (*at.nodes, at.user):
        book.note("withdraw", player.market.withdraw())
    book.note("collect", at.owner.vault.collect(at.owner.market))
    book.note("spend", at.owner.vault.spend(at.owner.vault.beneficiary(), at.owner.vault.held()))


def play_other_moves(at: Stage, book: GasBook) -> None:
    """The calls that the long session does not need."""
    market, first, second = at.user.market, *at.operators
    signer = at.session_key.address
    session, mined = market.pay_per_inference(signer, at.expiry(), [Line(first, PAY)], b"\1" * 32, bytes(32))
    book.note("payPerInference", mined)
    book.note("allot", market.allot(session, second, PAY))
    voucher = Voucher(session, (Line(first, PAY), Line(second, PAY)))
    market.post(voucher, at.session_key.sign(voucher, at.user.domain))
    book.note("closeLine", at.nodes[0].market.close_line(session))
    market.close(session)
    at.pass_window()
    book.note("settleMany", market.settle_many(session, at.operators))
    play_share(at, book)
    leaving = at.nodes[0].nodes
    book.note("requestUnbond", leaving.request_unbond())
    at.chain.advance(leaving.unbonding_delay() + 2)
    book.note("completeUnbond", leaving.complete_unbond())


def play_share(at: Stage, book: GasBook) -> None:
    """A session whose version's publisher gets a share: what it costs more than one without."""
    market, first = at.user.market, at.operators[0]
    (version,) = at.owner.models.versions()
    share = AgreedShare(version, SHARE)
    session, mined = market.open(at.session_key.address, at.expiry(), at.caps(PAY), b"\2" * 32, share=share)
    book.note("openFor", mined)
    voucher = Voucher(session, (Line(first, PAY),))
    market.post(voucher, at.session_key.sign(voucher, at.user.domain))
    market.close(session)
    at.pass_window()
    book.note("settle, with a share", market.settle(session, first))
    market.settle(session, at.operators[1])


def main() -> int:
    book = GasBook()
    with stage() as at:
        join(at, book)
        play_session(at, book)
        play_other_moves(at, book)
    per_inference = book.total(SETTLEMENT) / INFERENCES
    report = {
        "gas": book.dearest(),
        "gas_per_inference_1000": per_inference,
        "inferences": INFERENCES,
        "counted": SETTLEMENT,
        "bar": BAR,
    }
    print(json.dumps(write_record(REPORT, report), indent=2))
    if per_inference > BAR:
        print(f"bench-market: {per_inference:.1f} gas per inference is over the bar of {BAR}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
