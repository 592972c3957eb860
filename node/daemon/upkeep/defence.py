"""The defender: answers every dispute about this node's receipts, from the rows it kept.

A round asks the chain which games name this node and answers at once. All turns of a game share one clock, and
silence beyond it costs the stake. The trace of a receipt is recomputed from its input rows, a layer at a time, and
kept on disk for the next question. The chain is asked before every answer. So restarts, stalled requests and games by
others about the same receipt need no memory of their own.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import torch

from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.dispute_game import DisputeGame, GameRecord, GameState
from nexus_chain.commitments.tensor_block import TensorBlock
from nexus_chain.disputes import defender
from nexus_chain.disputes.operators.attention import block_ranges
from nexus_chain.disputes.trace import Trace, TracedSequence, trace_root
from nexus_chain.disputes.witnesses import PublishedModel, WitnessBuilder, score_tree
from nexus_chain.errors import NexusError
from nexus_chain.market.documents import Order, Receipt, Scores, TraceDocument
from nexus_chain.program.sampling import Sampling
from node.daemon.chain_view import ChainView
from node.daemon.errors import GameDataError
from node.daemon.identity import Identity
from node.daemon.ledger.ledger import Ledger
from node.daemon.ledger.rows import RowStore
from node.daemon.ledger.state import IssuedReceipt, OrderState
from node.daemon.upkeep.answer_funds import answer_funds
from node.daemon.upkeep.traces import TraceStore

log = logging.getLogger(__name__)

#: Blocks looked at again every round: a re-organisation may put another game where one was seen.
_REORGANISED_BLOCKS = 64
#: Looks for games up to one and the same head: an RPC server may tell of a block before it tells of its events.
_LOOKS = 3


@dataclass(frozen=True)
class Disputed:
    """A receipt of ours and the order it belongs to."""

    known: OrderState
    order: Order
    receipt: Receipt


class Defence:
    """Answers for one node, a round at a time."""

    def __init__(
        self,
        contracts: Contracts,
        disputes: DisputeGame,
        identity: Identity,
        ledger: Ledger,
        rows: RowStore,
        block: TensorBlock,
        view: ChainView,
        traces: TraceStore,
    ) -> None:
        self._contracts, self._disputes, self._identity = contracts, disputes, identity
        self._ledger, self._rows, self._block, self._view, self._traces = ledger, rows, block, view, traces
        self._model = PublishedModel(block.program, block.weights)
        self._first_block = self._next_block = contracts.deployment.block
        self._head: bytes | None = None
        self._looks = 0  # for games up to that head
        self._games: dict[int, bytes] = {}
        self._running: set[int] = set()
        self._traced: tuple[bytes, Trace] | None = None
        self._warned = ""

    def round(self) -> list[str]:
        """Answer every game that waits for this node; what was done, in words.

        Where there is no game, and the chain has not moved for some rounds, looking is one request.
        """
        head = self._view.head()
        if head.hash != self._head:
            self._head, self._looks = head.hash, 0
        looking = self._looks < _LOOKS
        if looking:
            self._find_games(head.number)
            self._looks += 1
        said = self._answer_games()
        if looking:
            self._keep_house()
        return said

    def _answer_games(self) -> list[str]:
        now, said = self._view.now(), list[str]()
        for number, receipt in self._by_urgency():
            try:
                said += self._advance(number, receipt, now)
            except (NexusError, OSError) as error:
                # One game that cannot be answered must not cost the others their time.
                log.error("game %d about receipt 0x%s: %s", number, receipt.hex(), error)
        for line in said:
            log.warning(line)
        return said

    def _keep_house(self) -> None:
        """What can wait: it comes after the answers."""
        for duty in (self._warn_of_funds, self._forget_traces):
            # INVARIANT: no failure here, of the RPC server or of the disk, keeps the node from answering.
            try:
                duty()
            except (NexusError, OSError) as error:
                log.warning("housekeeping has to wait: %s", error)

    def _forget_traces(self) -> None:
        self._traces.forget_unless(lambda receipt: self._known_receipt(receipt) is not None)

    def _warn_of_funds(self) -> None:
        """Tell in time that the answers cannot be paid: once for so many games, until it changes."""
        funds = answer_funds(self._contracts, self._identity.gas_address, len(self._games)) if self._games else None
        warning = funds.warning if funds else ""
        if warning and not self._warned:
            log.error(warning)
        self._warned = warning

    def _find_games(self, head: int) -> None:
        self._read_games(max(self._first_block, min(self._next_block, head + 1) - _REORGANISED_BLOCKS), head)
        # INVARIANT: the registry counts this node's open games. More than are known here: a verdict was taken back by
        # a re-organisation, or the RPC server had been ahead of its events. Then they are looked for from the start.
        if self._contracts.nodes.node(self._identity.address).open_games > len(self._games):
            self._read_games(self._first_block, head)
        self._next_block = head + 1

    def _read_games(self, first: int, head: int) -> None:
        for event in self._disputes.events("GameOpened", first, head, where={"node": self._identity.address}):
            self._games[int(event.arguments["game"])] = bytes(event.arguments["receipt"])

    def _by_urgency(self) -> list[tuple[int, bytes]]:
        """Games and their receipts, least time left first: recomputing a trace takes minutes, one after the other."""
        games = {number: self._disputes.game_of(number) for number in self._games}
        deadlines = {number: game.deadline if game and game.nodes_turn else 2**64 for number, game in games.items()}
        return sorted(self._games.items(), key=lambda entry: (deadlines[entry[0]], entry[1]))

    def _advance(self, number: int, receipt: bytes, now: int) -> list[str]:
        game = self._disputes.game_of(number)
        if game is None or game.state.final:
            del self._games[number]
            if game is None:
                self._looks = 0  # the RPC server is behind, or a re-organisation took it: it may come back
            ended = game is not None and number in self._running
            self._running.discard(number)
            return [f"game {number} is over: {game.state.name.lower()}", *self._withdraw()] if game and ended else []
        self._running.add(number)
        if self._contracts.nodes.is_convicted(self._identity.address):
            return []
        if not game.nodes_turn:
            if now <= game.deadline:
                return []
            self._disputes.timeout(number)
            return [f"game {number}: the challenger let its clock run out"]
        return [f"game {number}: answered {self._answer(number, game, self._disputed(receipt))}"]

    def _withdraw(self) -> list[str]:
        """Fetch what lost challengers' bonds pay for the answers."""
        balance = self._disputes.balance_of(self._identity.address) if self._identity.has_stake else 0
        if not balance:
            return []
        self._disputes.withdraw()
        return [f"withdrew {balance} wei of a challenger's bond"]

    def _disputed(self, digest: bytes) -> Disputed:
        found = self._known_receipt(digest)
        if found is None:
            raise GameDataError(
                f"this node's log has no receipt 0x{digest.hex()}",
                advice="Restore the data folder from a backup before the game's deadline, or the stake is lost.",
            )
        known, signed = found
        return Disputed(known, Order.from_json(known.order), Receipt.from_json(signed.json))

    def _known_receipt(self, digest: bytes) -> tuple[OrderState, IssuedReceipt] | None:
        for known in self._ledger.state.orders.values():
            for signed in known.receipts:
                if signed.digest == digest:
                    return known, signed
        return None

    # ---------------------------------------------------------------- answering

    def _answer(self, number: int, game: GameRecord, about: Disputed) -> str:
        match game.state:
            case GameState.TRACE:
                return self._post_trace(number, game, about)
            case GameState.ROWS:
                trace, roots = self._trace(game.receipt, about)
                answer = defender.rows(trace, roots, game.tensor)
                producer = self._builder(trace, roots).descriptor(game.tensor).values()
                self._disputes.post_rows(number, answer.siblings, producer, answer.hashes)
                return f"with {len(answer.hashes)} hashes of {trace.layout.tensor(game.tensor).name}"
            case GameState.SUBTREE:
                trace, _ = self._trace(game.receipt, about)
                answer = defender.subtree(trace, game.tensor, game.subtree)
                self._disputes.post_subtree(number, answer.siblings, answer.hashes)
                return f"with {len(answer.hashes)} hashes of subtree {game.subtree}"
            case GameState.BYTES:
                trace, _ = self._trace(game.receipt, about)
                answer = defender.leaf(trace, game.tensor, game.leaf)
                self._disputes.post_bytes(number, answer.siblings, answer.data)
                return f"with {len(answer.data)} bytes"
            case GameState.SCORES:
                return self._post_scores(number, game, about)
            case _:
                raise GameDataError(f"game {number} asks {game.state.name} of this node", advice="Update this program.")

    def _post_trace(self, number: int, game: GameRecord, about: Disputed) -> str:
        trace, roots = self._trace(game.receipt, about)
        document = TraceDocument(game.receipt, trace_root(roots))
        signature = self._identity.receipt_key.sign(document, self._contracts.domain)
        boundary = tuple(part.values() for part in self._model.boundary(trace.layout))
        self._disputes.post_trace(number, roots, boundary, signature)
        return f"with the roots of {len(roots)} tensors"

    def _post_scores(self, number: int, game: GameRecord, about: Disputed) -> str:
        trace, roots = self._trace(game.receipt, about)
        builder = self._builder(trace, roots)
        row = builder.score_row(game.tensor, game.leaf, game.element)
        ranges = block_ranges(row.first, row.first + len(row.scores) - 1, row.block)
        root = score_tree(row.record_bytes, row.score_bytes, ranges).root()
        document = Scores(game.receipt, game.tensor, game.leaf, game.element, root)
        signature = self._identity.receipt_key.sign(document, self._contracts.domain)
        producer = builder.descriptor(game.tensor).values()
        self._disputes.post_scores(number, producer, row.record_bytes, row.score_bytes, signature)
        return f"with {len(row.scores)} scores"

    # ------------------------------------------------------------------- traces

    def _builder(self, trace: Trace, roots: list[bytes]) -> WitnessBuilder:
        return WitnessBuilder(self._model, trace, roots)

    def _trace(self, digest: bytes, about: Disputed) -> tuple[Trace, list[bytes]]:
        """The trace and its roots, run once a receipt: whoever asks the next question finds it on the disk."""
        if self._traced is None or self._traced[0] != digest:
            disputed = set(self._games.values())
            self._traced = digest, self._traces.trace(digest, self._source(about), disputed)
        trace = self._traced[1]
        return trace, trace.roots()

    def _source(self, about: Disputed) -> Trace:
        """The trace as its rows on disk give it; nothing runs before a tensor is asked for."""
        known, order = about.known, about.order
        rows = self._rows.read(known.digest, 0, about.receipt.to_position)
        # Inner segments never see the prompt's tokens; there only its length counts.
        prompt = torch.zeros(known.prompt_length, dtype=torch.int32)
        if known.prompt:
            prompt = torch.frombuffer(bytearray(known.prompt), dtype=torch.int32)
        sequence = TracedSequence(rows, prompt, Sampling(order.sampling, order.sampling_seed), order.salt)
        layers = (self._block.layer_start, self._block.layer_end)
        return Trace(self._block.program, self._block.weights, layers, sequence)
