"""A whole dispute on Anvil, move by move, at the 1.1 B shape; used by ``bench_dispute.py``.

A node of the first half of the layers posts a trace in which one element is wrong; the challenger
compares with its own and the contract convicts. Every transaction's gas and calldata are noted.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import torch

from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.deployer import ArtefactCreator, deploy
from nexus_chain.chain.dispute_game import GameOpening, GameState, commitment_of
from nexus_chain.chain.local import DEVELOPMENT_KEYS, LocalChain
from nexus_chain.chain.model_registry import ModelVersion, SemVer
from nexus_chain.chain.transactions import Mined
from nexus_chain.chain.wallet import Wallet
from nexus_chain.commitments.tensor import commit, tensor_tree
from nexus_chain.disputes import challenger, defender
from nexus_chain.disputes.stored_trace import StoredTrace
from nexus_chain.disputes.trace import Trace, TracedSequence, trace_root
from nexus_chain.disputes.witnesses import PublishedModel, WitnessBuilder
from nexus_chain.market.documents import Ask, Line, Order, Receipt, Scores, TraceDocument
from nexus_chain.program import PRESETS, IntegerModel, Sampling, random_model

ETHER, GWEI = 10**18, 10**9
SALT = bytes(range(32))
POSITIONS, PROMPT = 256, 128


@dataclass
class Ledger:
    """Gas and calldata of the moves between opening and verdict."""

    moves: dict[str, int] = field(default_factory=dict)
    calldata: int = 0

    def note(self, at: Contracts, move: str, mined: Mined) -> None:
        self.moves[move] = mined.gas
        self.calldata += len(at.connection.request("eth_getTransactionByHash", mined.hash)["input"]) // 2 - 1

    def report(self, seconds: float) -> dict[str, object]:
        return {
            "gas": self.moves,
            "game_gas": sum(self.moves.values()),
            "transactions": len(self.moves),
            "calldata_bytes": self.calldata,
            "seconds": seconds,
        }


@dataclass(frozen=True)
class Dispute:
    """A node and a challenger on a fresh deployment, with the right trace of one segment."""

    node: Contracts
    challenger: Contracts
    key: Wallet
    signer: Wallet
    version: bytes
    model: PublishedModel
    right: StoredTrace
    layers: int

    def play(self, kind: str, which: int) -> dict[str, object]:
        """One game about a wrong element of the ``which``-th op of ``kind``."""
        number = [t.number for t in self.right.layout.tensors if t.op is not None and t.op.kind == kind][which]
        wrong = self.right.tensor(number).clone()
        wrong.view(-1)[-1] ^= 1
        posted = self.right.replaced({number: wrong})
        began, book = time.perf_counter(), Ledger()
        game, receipt = self._open(posted, book)
        self._narrow(game, receipt, posted, book)
        if self.node.disputes.game_of(game).state != GameState.CONVICTED:
            raise RuntimeError("the node was not convicted")
        return {"op": kind, "tensor": self.right.layout.tensor(number).name} | book.report(time.perf_counter() - began)

    def _open(self, posted: StoredTrace, book: Ledger) -> tuple[int, bytes]:
        at, roots, sequence = self.challenger, posted.roots(), posted.sequence
        node = self.node.sender.wallet.address
        price, cuts = GWEI, (0, posted.layout.end, self.layers)
        session, _ = at.market.open(self.signer.address, at.market.now() + 1800, [Line(node, ETHER)], bytes(32))
        asks = tuple(Ask(start, stop, price) for start, stop in pairwise(cuts))
        prompt_root = commit(sequence.prompt, SALT)
        order = Order(session, SALT, self.version, prompt_root, 64, bytes(32), 0, ETHER, asks, at.market.now() + 900)
        claim = order.digest(at.domain), node, 0, 0, POSITIONS, roots[0], roots[-1], (), price * POSITIONS
        receipt = Receipt(*claim)
        digest = receipt.digest(at.domain)
        at.disputes.commit(commitment_of(digest, at.sender.wallet.address, SALT))
        time.sleep(1.1)  # an opening in the commitment's own second does not count
        opening = GameOpening(
            order, self.signer.sign(order, at.domain), receipt, self.key.sign(receipt, at.domain),
            PROMPT, tensor_tree(sequence.prompt).root(), SALT,
        )  # fmt: skip
        game, mined = at.disputes.open_step(opening, bond=at.disputes.bond_now() * 2)
        book.note(at, "open", mined)
        return game, digest

    def _narrow(self, game: int, receipt: bytes, posted: StoredTrace, book: Ledger) -> None:
        mine, theirs, roots = self.challenger.disputes, self.node.disputes, posted.roots()
        liar = WitnessBuilder(self.model, posted, roots)
        signature = self.key.sign(TraceDocument(receipt, trace_root(roots)), self.node.domain)
        boundary, trace = tuple(part.values() for part in self.model.boundary(posted.layout)), trace_root(roots)
        book.note(self.node, "postTrace", theirs.post_trace(game, roots, boundary, signature))
        number = challenger.pick_tensor(roots, self.right.roots())
        book.note(self.node, "pickTensor", mine.pick_tensor(game, number, trace, mine.top_up(game)))
        rows = defender.rows(posted, roots, number)
        producer = liar.descriptor(number).values()
        book.note(self.node, "postRows", theirs.post_rows(game, rows.siblings, producer, rows.hashes))
        leaf = challenger.pick_leaf(rows.hashes, self.right, number)
        book.note(self.node, "pickLeaf", mine.pick_leaf(game, leaf, trace, mine.top_up(game)))
        answer = defender.leaf(posted, number, leaf)
        book.note(self.node, "postBytes", theirs.post_bytes(game, answer.siblings, answer.data))
        element = challenger.pick_element(answer.data, self.right, number, leaf)
        book.note(
            self.node,
            "convict",
            mine.convict(game, self._proof(game, receipt, liar, (number, leaf, answer.data, element), book)),
        )

    def _proof(
        self, game: int, receipt: bytes, liar: WitnessBuilder, claimed: tuple[int, int, bytes, int], book: Ledger
    ) -> bytes:
        """The last witness; where attention is disputed, after one more pair of moves."""
        number, leaf, _, element = claimed
        builder = WitnessBuilder(self.model, self.right, liar.roots)
        if self.right.layout.tensor(number).op.kind != "attention":
            return builder.witness(*claimed).encoded()
        mine, trace = self.challenger.disputes, trace_root(liar.roots)
        book.note(self.node, "pickElement", mine.pick_element(game, element, trace, mine.top_up(game)))
        row = liar.score_row(number, leaf, element)
        posted = row.record_bytes, row.score_bytes
        document = Scores(receipt, number, leaf, element, liar.score_root(number, leaf, element, posted))
        signature = self.key.sign(document, self.node.domain)
        producer = liar.descriptor(number).values()
        mined = self.node.disputes.post_scores(game, producer, *posted, signature)
        book.note(self.node, "postScores", mined)
        wrong = challenger.wrong_statement(posted, builder.score_row(number, leaf, element))
        return builder.score_witness(claimed, posted, wrong).encoded()


def right_trace(model: IntegerModel) -> StoredTrace:
    """The first half of the layers over random tokens."""
    generator = torch.Generator().manual_seed(2)
    shape = model.program.shape
    tokens = torch.randint(0, shape.vocab, (POSITIONS,), generator=generator, dtype=torch.int32)
    sequence = TracedSequence(tokens, tokens[:PROMPT], Sampling(), SALT)
    return StoredTrace.of(Trace(model.program, model.weights, (0, shape.layers // 2), sequence))


@contextmanager
def dispute(chain: LocalChain, model: IntegerModel) -> Iterator[Dispute]:
    """Deploy, publish and register on ``chain``; a fresh node for one game."""
    owner, node, finder = (Wallet.from_hex(key) for key in DEVELOPMENT_KEYS[:3])
    published, key, signer = PublishedModel(model.program, model.weights), Wallet.ephemeral(), Wallet.ephemeral()
    with tempfile.TemporaryDirectory() as folder:
        creator = ArtefactCreator(chain.connection, owner)
        deployment, _ = deploy(creator, owner.address, preset="local", path=Path(folder) / "deployment.json")
        contracts = Contracts.at(chain.connection, deployment, owner)
        roots, word = (published.weights_root, published.program_root), bytes(range(32))
        layers = model.program.shape.layers
        version, _ = contracts.models.publish(ModelVersion(*roots, word, GWEI, layers, SemVer(1, 0, 0), "b" * 59))
        mine = contracts.with_wallet(node)
        mine.nodes.register("127.0.0.1:1", word, key.address, stake=ETHER)
        yield Dispute(mine, contracts.with_wallet(finder), key, signer, version, published, right_trace(model), layers)


def measure_games(chain: LocalChain, preset: str) -> dict[str, dict[str, object]]:
    """A game about a product and one about attention, each with a node of its own."""
    model, found = random_model(PRESETS[preset]), {}
    for kind, which in (("linear", 6), ("attention", 0)):
        with dispute(chain, model) as stage:
            found[kind] = stage.play(kind, which)
    return found
