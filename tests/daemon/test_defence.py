"""Disputes between real processes on a real chain: liars lose their stake, honest nodes keep theirs."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.dispute_game import DisputeGame, GameState, commitment_of
from nexus_chain.chain.earnings import sum_settlements
from nexus_chain.chain.wallet import Wallet
from nexus_chain.client.order import AskOptions
from nexus_chain.disputes.trace_layout import SEQUENCE
from nexus_chain.evidence.accusation import Accusation
from nexus_chain.evidence.proof import InferenceProof
from nexus_chain.evidence.verify import FULL, TRUST, AuditLevel
from node.watch.cases import STEP, CaseOpened
from node.watch.policy import Budget
from node.watch.watcher import Watcher, WatchSettings
from scripts.runs.lying_node import Lie, choose_lie, environment
from tests.support.live_network import SPLIT, STAKE, LiveNetwork, live_network
from tests.support.network import NodeProcess

ROOT = Path(__file__).resolve().parents[2]

PROMPT = "def fib(n):"
RICH = Budget(10**18, 10**18)
WAIT = 120.0
MOVES = (
    "GameOpened", "TracePosted", "TensorPicked", "RowsPosted", "LeafPicked", "BytesPosted", "ElementPicked",
    "ScoresPosted", "NodeConvicted",
)  # fmt: skip


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveNetwork]:
    with live_network(tmp_path_factory.mktemp("live")) as made:
        yield made


@dataclasses.dataclass
class Court:
    """A watcher's wallet and folder on the live network; every round is a new process's worth of memory."""

    live: LiveNetwork
    folder: Path
    level: AuditLevel = FULL
    wallet: Wallet = dataclasses.field(default_factory=Wallet.ephemeral)

    def __post_init__(self) -> None:
        self.live.net.chain.set_balance(self.wallet.address, 10**18)
        self.contracts = Contracts.at(self.live.net.chain.connection, self.live.net.deployment, self.wallet)

    @property
    def disputes(self) -> DisputeGame:
        return self.contracts.disputes

    def watcher(self, budget: Budget = RICH) -> Watcher:
        answers, models = (self.folder / "answers",), (self.live.folder / "model",)
        settings = WatchSettings(self.folder / "watch", answers, models, self.level, budget)
        return Watcher(settings, self.contracts, self.disputes, self.wallet.address)

    def round(self) -> Watcher:
        """One round of a watcher that was just restarted."""
        watcher = self.watcher()
        watcher.round()
        watcher.close()
        return watcher

    def until(self, holds: Callable[[Watcher], bool]) -> Watcher:
        deadline = time.monotonic() + WAIT
        while not holds(watcher := self.round()):
            assert time.monotonic() < deadline, watcher.report()
            time.sleep(0.3)
        return watcher

    def accuse(self, proof: InferenceProof, segment: int) -> Accusation:
        """What no honest watcher would do: open a case against a right receipt."""
        receipts = sorted((s for s in proof.receipts if s[0].segment == segment), key=lambda s: s[0].to_position)
        signed = receipts[0]
        evidence = Accusation(proof, signed, self.live.model)
        watcher = self.watcher()
        path = proof.save(self.folder / "watch" / "evidence" / "case.json")
        watcher.book.write(
            CaseOpened(
                evidence.digest,
                proof.order_digest,
                signed[0].node,
                proof.order.session,
                STEP,
                str(path),
                bytes([7]) * 32,
            )
        )
        watcher.close()
        return evidence


def tokens_of(live: LiveNetwork) -> torch.Tensor:
    return torch.tensor(live.files.codec.encode(PROMPT), dtype=torch.int32)


def become_liar(live: LiveNetwork, monkeypatch: pytest.MonkeyPatch, seed: int) -> Lie:
    """The first node of segment 0 lies from now on; its spare is away."""
    lie = choose_lie(live.model.program, live.model.weights, (0, 1), tokens_of(live), seed)
    start_lying(live, monkeypatch, live.nodes[0][0], lie)
    return lie


def start_lying(live: LiveNetwork, monkeypatch: pytest.MonkeyPatch, liar: NodeProcess, lie: Lie) -> None:
    """``liar`` tells ``lie`` from now on; all honest nodes with its layers are away."""
    for node in (node for group in live.nodes for node in group):
        if node.start_layer == liar.start_layer and node.process is not None:
            node.stop()
    monkeypatch.setitem(os.environ, "NEXUS_LIE", environment(lie)["NEXUS_LIE"])
    honest = liar.command

    def command(*words: str) -> list[str]:
        interpreter, _, _, *arguments = honest(*words)
        return [interpreter, str(ROOT / "scripts" / "runs" / "lying_node.py"), *arguments]

    monkeypatch.setattr(liar, "command", command)
    liar.start()


@contextlib.contextmanager
def lying_newcomer(
    live: LiveNetwork, monkeypatch: pytest.MonkeyPatch, folder: Path, segment: int, lie: Lie
) -> Iterator[NodeProcess]:
    """A node that joins, lies and leaves; the honest ones with its layers are back afterwards."""
    liar = NodeProcess(live.net, folder / "liar", *SPLIT[segment])
    assert liar.run("register", "--stake", STAKE).returncode == 0
    start_lying(live, monkeypatch, liar, lie)
    try:
        yield liar
    finally:
        liar.kill()
        live.start_all()


def convicted_game(live: LiveNetwork, folder: Path, liar: NodeProcess, tokens: int) -> list[str]:
    """The liar answers, the watcher convicts it and blames nobody else; the game's moves."""
    first = live.net.chain.connection.block_number()
    ask(live, folder, tokens)
    court = Court(live, folder)
    watcher = court.until(lambda watcher: watcher.idle and bool(watcher.report()["cases"]))
    (case,) = watcher.report()["cases"]
    assert (case["node"], case["outcome"]) == (liar.address, "convicted")
    assert live.net.user.nodes.node(liar.address).stake == 0
    assert [node for node, share in watcher.report()["reputation"].items() if share < 1.0] == [liar.address]
    return [name for name in MOVES for _ in court.disputes.events(name, first)]


def ask(live: LiveNetwork, folder: Path, tokens: int = 40) -> InferenceProof:
    client = live.client(name=f"home-{time.monotonic_ns()}")
    session, _ = client.open_session(live.version, live.files, tokens=200)
    asking = session.start(PROMPT, AskOptions(max_tokens=tokens))
    "".join(asking)
    asking.answer.proof.save(folder / "answers" / "answer.json")
    return asking.answer.proof


# ------------------------------------------------------------------- honest nodes stay


def test_an_honest_answer_is_left_alone(live: LiveNetwork, tmp_path: Path) -> None:
    ask(live, tmp_path)
    court = Court(live, tmp_path)
    watcher = court.round()
    assert watcher.report()["answers"] == {"right": 1}
    assert set(watcher.report()["reputation"].values()) == {1.0}
    assert watcher.idle


def test_a_false_step_game_is_answered_and_lost_by_clock(live: LiveNetwork, tmp_path: Path) -> None:
    """The challenger cannot convict, its watcher gives up, and its bond pays the node."""
    proof = ask(live, tmp_path)
    court = Court(live, tmp_path / "court", TRUST)
    evidence = court.accuse(proof, 1)
    node = evidence.receipt.node
    watcher = court.until(lambda watcher: watcher.idle)
    assert watcher.report()["cases"][0]["outcome"] == "given up: the node's trace is right"
    number = watcher.report()["cases"][0]["game"]
    game = court.disputes.game_of(number)
    assert game is not None
    assert game.state == GameState.PICK_TENSOR
    live.net.chain.advance(400)
    deadline = time.monotonic() + WAIT
    while court.disputes.game_of(number).state != GameState.ACQUITTED:  # type: ignore[union-attr]
        assert time.monotonic() < deadline
        time.sleep(0.3)
    (acquitted,) = list(court.disputes.events("NodeAcquitted", where={"game": number}))
    assert acquitted.arguments["toNode"] > 0
    assert not live.net.user.nodes.is_convicted(node)


def test_a_game_over_budget_is_not_opened(live: LiveNetwork, tmp_path: Path) -> None:
    proof = ask(live, tmp_path)
    court = Court(live, tmp_path / "court", TRUST)
    evidence = court.accuse(proof, 1)
    watcher = court.watcher(Budget(0, 0))
    said = watcher.round()
    watcher.close()
    assert any("the budget for fees is used up" in line for line in said)
    assert court.disputes.games_about(evidence.digest) == []
    assert (
        court.disputes.committed_at(
            court.wallet.address, commitment_of(evidence.digest, court.wallet.address, bytes([7]) * 32)
        )
        == 0
    )


def test_a_reorganised_game_is_opened_and_answered_again(live: LiveNetwork, tmp_path: Path) -> None:
    """The block with the opening disappears under watcher and node: both take up the game that comes after it."""
    proof = ask(live, tmp_path)
    court = Court(live, tmp_path / "court", TRUST)
    evidence = court.accuse(proof, 1)
    request = live.net.chain.connection.request
    before = request("evm_snapshot")
    court.until(lambda watcher: bool(watcher.report()["cases"][0]["game"]))
    request("evm_revert", before)
    assert court.disputes.games_about(evidence.digest) == []
    watcher = court.until(lambda watcher: watcher.idle)
    assert watcher.report()["cases"][0]["outcome"] == "given up: the node's trace is right"
    assert len(court.disputes.games_about(evidence.digest)) == 1


# ------------------------------------------------------------------------- liars lose


def test_an_attention_lie_takes_nine_transactions(
    live: LiveNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = live.model.weights
    lie = choose_lie(live.model.program, weights, (0, 1), tokens_of(live), seed=3, kind="attention")
    with lying_newcomer(live, monkeypatch, tmp_path, 0, lie) as liar:
        assert convicted_game(live, tmp_path, liar, tokens=4) == list(MOVES)


def test_a_token_that_was_not_sampled_is_convicted(
    live: LiveNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last segment hands out and signs another token than its own trace samples: no op made it."""
    lie = Lie(SEQUENCE, len(tokens_of(live)) + 1, 0, 1)
    with lying_newcomer(live, monkeypatch, tmp_path, 1, lie) as liar:
        moves = convicted_game(live, tmp_path, liar, tokens=6)
    assert moves == [move for move in MOVES if move not in ("ElementPicked", "ScoresPosted")]


def test_a_liar_is_found_convicted_and_slashed(
    live: LiveNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One altered element; the node defends its lie to the end; the watcher is restarted before every round."""
    lie = become_liar(live, monkeypatch, seed=5)
    liar, spare = live.nodes[0]
    proof = ask(live, tmp_path, tokens=8)
    court = Court(live, tmp_path)
    user = live.net.user.nodes
    stake = user.node(liar.address).stake
    assert stake == int(STAKE)

    watcher = court.until(lambda watcher: watcher.idle and bool(watcher.report()["cases"]))
    (case,) = watcher.report()["cases"]
    assert (case["node"], case["outcome"]) == (liar.address, "convicted"), lie
    assert watcher.report()["reputation"][liar.address] == 0.0
    assert court.disputes.balance_of(court.wallet.address) == 0, "bond and reward were fetched"
    assert user.is_convicted(liar.address)
    assert user.node(liar.address).stake == 0
    for honest in (spare, *live.nodes[1]):
        assert user.node(honest.address).stake == int(STAKE)
    (verdict,) = list(court.disputes.events("NodeConvicted", where={"node": liar.address}))
    bounty, refund = verdict.arguments["bounty"], verdict.arguments["refund"]
    assert bounty == court.disputes.bounty()
    assert 0 < refund <= stake // 2 - bounty

    live.net.chain.advance(4000)
    session = proof.order.session
    live.net.user.market.settle_many(session, [liar.address])  # nothing is left to do if another was faster
    cap = live.net.user.market.line_of(session, liar.address).cap
    assert sum_settlements(live.net.user, node=liar.address, session=session).to_users == cap


def test_a_liar_that_falls_silent_loses_by_clock(
    live: LiveNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the RPC server stalls for a while: nothing is lost by that."""
    liar = live.nodes[0][1]
    live.nodes[0].reverse()
    try:
        become_liar(live, monkeypatch, seed=9)
        ask(live, tmp_path, tokens=4)
        liar.kill()
        court = Court(live, tmp_path)
        court.until(lambda watcher: any(case["game"] for case in watcher.report()["cases"]))
        anvil = live.net.chain.process_id
        live.net.chain.advance(400)
        os.kill(anvil, signal.SIGSTOP)
        stalled = court.watcher()
        threading.Timer(2.0, os.kill, (anvil, signal.SIGCONT)).start()
        stalled.round()
        stalled.close()
        watcher = court.until(lambda watcher: watcher.idle)
    finally:
        live.nodes[0].reverse()
    assert watcher.report()["cases"][0]["outcome"] == "convicted"
    assert live.net.user.nodes.node(liar.address).stake == 0
