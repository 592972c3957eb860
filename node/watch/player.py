"""The challenger's moves: an accusation and the chain's published answers in, one transaction out."""

from __future__ import annotations

from typing import Any

from nexus_chain.chain.dispute_game import DisputeGame, GameRecord, GameState
from nexus_chain.chain.interface_calls import ChainEvent
from nexus_chain.chain.transactions import Mined
from nexus_chain.disputes import challenger, defender
from nexus_chain.disputes.trace import trace_root
from nexus_chain.disputes.witnesses import WitnessBuilder
from nexus_chain.evidence.accusation import Accusation
from node.watch.errors import CaseDataError


class Player:
    """Plays one side of step games: the challenger's. Reads events from ``from_block`` on."""

    def __init__(self, disputes: DisputeGame, from_block: int) -> None:
        self._disputes, self._from_block = disputes, from_block

    def play(self, number: int, game: GameRecord, accusation: Accusation, top_up: int = 0) -> tuple[str, Mined]:
        """Make the move that ``game.state`` asks of the challenger; its name and transaction.

        A pick brings ``top_up`` wei for the bond. Raises NothingToDisputeError when the node's data turns out right.
        """
        disputes, trace, roots = self._disputes, accusation.trace, self._trace_roots(accusation)
        # INVARIANT: a pick names the trace it was made from: after a re-organisation it must not be one about another.
        named = trace_root(roots)
        match game.state:
            case GameState.PICK_TENSOR:
                tensor = challenger.pick_tensor(roots, accusation.roots)
                name = trace.layout.tensor(tensor).name
                return f"pick tensor {name}", disputes.pick_tensor(number, tensor, named, value=top_up)
            case GameState.PICK_SUBTREE:
                subtree = challenger.pick_subtree(self._rows(accusation, game), trace, game.tensor)
                return f"pick subtree {subtree}", disputes.pick_subtree(number, subtree, named, value=top_up)
            case GameState.PICK_LEAF:
                leaf = self._leaf(accusation, game)
                return f"pick leaf {leaf}", disputes.pick_leaf(number, leaf, named, value=top_up)
            case GameState.CONVICT:
                return self._convict(number, game, accusation, top_up)
            case GameState.CONVICT_SCORES:
                return "convict", disputes.convict(number, self._score_witness(game, accusation))
            case _:
                raise CaseDataError(
                    f"game {number} asks {game.state.name} of the challenger", advice="Update this program."
                )

    def signed_trace(self, accusation: Accusation) -> tuple[bytes, bytes] | None:
        """Root and signature of the trace that the node posted; None where the transaction does not show them."""
        posting = self._posting("TracePosted", {"receipt": accusation.digest})
        signature = self._disputes.trace_signature(posting.transaction)
        root = trace_root([bytes(entry) for entry in posting.arguments["tensorRoots"]])
        return (root, signature) if signature is not None else None

    def _leaf(self, accusation: Accusation, game: GameRecord) -> int:
        hashes = self._rows(accusation, game)
        first = 0
        answer = self._disputes.answer_of(accusation.digest, GameState.ROWS, game.tensor)
        if answer.count > len(hashes):
            where = {"receipt": accusation.digest, "tensor": game.tensor, "subtree": game.subtree}
            hashes = list(self._posted("SubtreePosted", where)["leaves"])
            first = game.subtree * defender.SUBTREE
        return challenger.pick_leaf(hashes, accusation.trace, game.tensor, first)

    def _convict(self, number: int, game: GameRecord, accusation: Accusation, top_up: int) -> tuple[str, Mined]:
        data = self._bytes(accusation, game)
        element = challenger.pick_element(data, accusation.trace, game.tensor, game.leaf)
        op = accusation.trace.layout.tensor(game.tensor).op
        if op is not None and op.kind == "attention":
            named = trace_root(self._trace_roots(accusation))
            return f"pick element {element}", self._disputes.pick_element(number, element, named, value=top_up)
        witness = self._builder(accusation).witness(game.tensor, game.leaf, data, element)
        return "convict", self._disputes.convict(number, witness.encoded())

    def _score_witness(self, game: GameRecord, accusation: Accusation) -> bytes:
        place = {"tensor": game.tensor, "leaf": game.leaf}
        rows = [
            event.arguments
            for event in self._disputes.events(
                "ScoresPosted", self._from_block, where={"receipt": accusation.digest, **place}
            )
            if event.arguments["element"] == game.element
        ]
        if not rows:
            raise self._missing("ScoresPosted")
        posted = bytes(rows[0]["records"]), bytes(rows[0]["scores"])
        builder = self._builder(accusation)
        right = builder.score_row(game.tensor, game.leaf, game.element)
        claimed = (game.tensor, game.leaf, self._bytes(accusation, game), game.element)
        wrong = challenger.wrong_statement(posted, right)
        return builder.score_witness(claimed, posted, wrong).encoded()

    # ------------------------------------------------------------ what was posted

    def _builder(self, accusation: Accusation) -> WitnessBuilder:
        return WitnessBuilder(accusation.published, accusation.trace, self._trace_roots(accusation))

    def _trace_roots(self, accusation: Accusation) -> list[bytes]:
        return [bytes(root) for root in self._posted("TracePosted", {"receipt": accusation.digest})["tensorRoots"]]

    def _rows(self, accusation: Accusation, game: GameRecord) -> list[bytes]:
        where = {"receipt": accusation.digest, "tensor": game.tensor}
        return [bytes(entry) for entry in self._posted("RowsPosted", where)["hashes"]]

    def _bytes(self, accusation: Accusation, game: GameRecord) -> bytes:
        where = {"receipt": accusation.digest, "tensor": game.tensor, "leaf": game.leaf}
        return bytes(self._posted("BytesPosted", where)["data"])

    def _posted(self, event: str, where: dict[str, Any]) -> dict[str, Any]:
        return self._posting(event, where).arguments

    def _posting(self, event: str, where: dict[str, Any]) -> ChainEvent:
        # The first posting binds the node; there is none after it.
        for found in self._disputes.events(event, self._from_block, where=where):
            return found
        raise self._missing(event)

    @staticmethod
    def _missing(event: str) -> CaseDataError:
        return CaseDataError(
            f"the RPC server does not return the {event} event that the game stands on",
            advice="It lags or prunes logs; it is asked again, else use another RPC server.",
        )
