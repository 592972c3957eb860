"""One node, one receipt, one chain: the real watcher and defender play on Anvil, in this process.

What a process needs minutes for (long answers, wide tensors, re-organised verdicts) takes seconds here;
tests/daemon/test_defence.py has real processes around the same code.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.deployer import ArtefactCreator, deploy
from nexus_chain.chain.dispute_game import GameState
from nexus_chain.chain.local import DEVELOPMENT_KEYS, LocalChain, anvil
from nexus_chain.chain.model_registry import ModelVersion, SemVer
from nexus_chain.chain.wallet import Wallet
from nexus_chain.commitments.tensor import commit
from nexus_chain.commitments.weights import ModelCommitment
from nexus_chain.disputes.stored_trace import StoredTrace
from nexus_chain.disputes.trace import Trace, TracedSequence
from nexus_chain.evidence.accusation import Accusation
from nexus_chain.evidence.proof import InferenceProof
from nexus_chain.evidence.verify import FULL, AuditLevel
from nexus_chain.market.documents import Ask, Line, Order, Receipt
from nexus_chain.program import IntegerModel, Sampling
from nexus_chain.wire.peer import SignedReceipt
from node.daemon.chain_view import ChainView
from node.daemon.identity import Identity
from node.daemon.ledger.state import IssuedReceipt, OrderState
from node.daemon.upkeep.defence import Defence, Disputed
from node.daemon.upkeep.traces import TraceStore
from node.watch.cases import STEP, CaseOpened
from node.watch.policy import Budget
from node.watch.watcher import Watcher, WatchSettings
from tests.support.network import PRICE

ETHER = 10**18
SALT = bytes(range(32))
RICH = Budget(ETHER, ETHER)


class Cornered(Defence):
    """The node's defender; its trace of the only receipt is given, and ``runs`` counts how often that was run."""

    def __init__(
        self, contracts: Contracts, identity: Identity, posted: StoredTrace, about: Disputed, traces: Path
    ) -> None:
        layout, weights = posted.layout, about.known.weights  # type: ignore[attr-defined]
        block: Any = SimpleNamespace(
            program=layout.program, weights=weights, layer_start=layout.start, layer_end=layout.end
        )
        nothing: Any = None
        view = ChainView(contracts, identity.address)
        store = TraceStore(traces, 1 << 30)
        super().__init__(contracts, contracts.disputes, identity, nothing, nothing, block, view, store)
        self._posted, self._about, self.runs = posted, about, 0

    def _disputed(self, digest: bytes) -> Disputed:
        return self._about

    def _known_receipt(self, digest: bytes) -> tuple[OrderState, IssuedReceipt] | None:
        known: Any = (self._about.known, None)
        return known

    def _source(self, about: Disputed) -> Trace:
        return CountedTrace(self._posted, self)


class CountedTrace(StoredTrace):
    """Tells the defender whenever it is run."""

    def __init__(self, posted: StoredTrace, defence: Cornered) -> None:
        super().__init__(posted.layout, posted.tensors, posted.sequence)
        self._defence = defence

    def stream(self) -> Iterator[Tensor]:
        self._defence.runs += 1
        return super().stream()


@dataclass
class Courtroom:
    """A node with all layers and a stake, a user, a watcher's wallet."""

    chain: LocalChain
    user: Contracts
    node: Contracts
    finder: Contracts
    model: IntegerModel
    version: bytes
    folder: Path
    key: Wallet = field(default_factory=Wallet.ephemeral)
    signer: Wallet = field(default_factory=Wallet.ephemeral)

    def request(self, method: str, *parameters: object) -> Any:
        return self.chain.connection.request(method, *parameters)

    def right_trace(self, positions: int, prompt: int) -> StoredTrace:
        """The program's trace of random tokens."""
        generator = torch.Generator().manual_seed(4)
        tokens = torch.randint(0, self.model.program.shape.vocab, (positions,), generator=generator, dtype=torch.int32)
        sequence = TracedSequence(tokens, tokens[:prompt], Sampling(), SALT)
        return StoredTrace.of(Trace(self.model.program, self.model.weights, (0, self._layers), sequence))

    @property
    def owner(self) -> str:
        """The user's wallet."""
        return self.user.sender.wallet.address  # type: ignore[union-attr]

    @property
    def _layers(self) -> int:
        return self.model.program.shape.layers

    def order(self, posted: StoredTrace) -> tuple[Order, bytes]:
        """An order whose answer ``posted`` claims to be, in a session of its own; with its signature."""
        market, node = self.user.market, self.node.sender.wallet.address  # type: ignore[union-attr]
        session, _ = market.open(self.signer.address, market.now() + 1800, [Line(node, ETHER)], bytes(32))
        sequence, asks = posted.sequence, (Ask(0, self._layers, PRICE),)
        root = commit(sequence.prompt, SALT)
        order = Order(session, SALT, self.version, root, 500, bytes(32), 0, ETHER, asks, market.now() + 900)
        return order, self.signer.sign(order, self.user.domain)

    def receipt(self, order: Order, posted: StoredTrace) -> SignedReceipt:
        """The node's receipt over ``posted``."""
        roots, positions = posted.roots(), posted.layout.positions
        node = self.node.sender.wallet.address  # type: ignore[union-attr]
        place = order.digest(self.user.domain), node, 0, 0, positions
        receipt = Receipt(*place, roots[0], roots[-1], (), PRICE * positions)
        return receipt, self.key.sign(receipt, self.user.domain)

    def proof(self, order: tuple[Order, bytes], posted: StoredTrace, *receipts: SignedReceipt) -> InferenceProof:
        """The answer's file; of the sampled tokens only the last is not among the rows."""
        tokens = (*posted.sequence.rows.tolist(), int(posted.tensors[-1][-1]))
        prompt, keys = len(posted.sequence.prompt), {receipts[0][0].node: self.key.address}
        return InferenceProof(self.user.domain, *order, self.signer.address, prompt, tokens, receipts, (), keys)

    def defence(self, order: Order, receipt: Receipt, posted: StoredTrace, traces: str = "traces") -> Cornered:
        known: Any = SimpleNamespace(weights=self.model.weights)
        identity = Identity(self.node.sender.wallet.address, self.key)  # type: ignore[union-attr]
        return Cornered(self.node, identity, posted, Disputed(known, order, receipt), self.folder / traces)

    def watcher(self, level: AuditLevel = FULL, budget: Budget = RICH) -> Watcher:
        settings = WatchSettings(
            self.folder / "watch",
            (self.folder / "answers",),
            (),
            level,
            budget,
            self.folder / "reputation.json",
        )
        wallet = self.finder.sender.wallet.address  # type: ignore[union-attr]
        made = Watcher(settings, self.finder, self.finder.disputes, wallet)
        made._models[self.version] = self.model  # there are no model files with a tokenizer here
        return made

    def accuse(self, proof: InferenceProof, budget: Budget = RICH) -> tuple[Watcher, Accusation]:
        """A watcher that has decided on a step game about the file's receipt."""
        evidence, watcher = Accusation(proof, proof.receipts[0], self.model), self.watcher(budget=budget)
        path = proof.save(self.folder / "watch" / "evidence" / "case.json")
        place = evidence.digest, proof.order_digest, evidence.receipt.node, proof.order.session
        watcher.book.write(CaseOpened(*place, STEP, str(path), bytes([7]) * 32))
        return watcher, evidence

    def play(self, watcher: Watcher, defence: Defence, until: GameState | None = None) -> None:
        """Rounds of both until the case is over, or a game has come to the state ``until``."""
        for _ in range(40):
            watcher.round()
            if watcher.idle or self._stands_at(watcher, until):
                return
            defence.round()
            self.chain.advance(1)
        raise AssertionError(watcher.report())

    def _stands_at(self, watcher: Watcher, state: GameState | None) -> bool:
        (case,) = watcher.book.state.cases.values()
        game = self.finder.disputes.game_of(case.game) if case.game else None
        return game is not None and game.state == state


@contextmanager
def courtroom(folder: Path, model: IntegerModel) -> Iterator[Courtroom]:
    """Anvil, the contracts, the published model, a registered node."""
    with anvil() as chain:
        owner, node, finder = (Wallet.from_hex(key) for key in DEVELOPMENT_KEYS[:3])
        creator = ArtefactCreator(chain.connection, owner)
        deployment, _ = deploy(creator, owner.address, preset="local", path=folder / "deployment.json")
        user, mine, theirs = (Contracts.at(chain.connection, deployment, wallet) for wallet in (owner, node, finder))
        commitment, layers = ModelCommitment.of(model), model.program.shape.layers
        roots = commitment.weights_root, commitment.program_root
        version, _ = user.models.publish(ModelVersion(*roots, bytes(range(32)), PRICE, layers, SemVer(1, 0, 0), "baf"))
        made = Courtroom(chain, user, mine, theirs, model, version, folder)
        mine.nodes.register("127.0.0.1:1", bytes(range(32)), made.key.address, stake=ETHER)
        yield made
