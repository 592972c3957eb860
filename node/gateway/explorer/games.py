"""What the chain says of games beyond their events: whose turn it is, until when, and the element that is in question.

Read after each new block for every game that is not over, and once more when it is; kept as notes in the archive.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from nexus_chain.chain.batch import read_together, require_value
from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.dispute_game import DisputedRecord, GameRecord, GameState
from nexus_chain.chain.rpc_answers import BlockHead
from nexus_chain.errors import NexusError
from node.gateway.explorer.archive import ChainArchive
from node.gateway.explorer.chain_events import DISPUTES, KeptEvent

log = logging.getLogger(__name__)

GAME_NOTE = "game"
ENDINGS = ("NodeConvicted", "NodeAcquitted", "GameVoid")
#: Open games that are read after each block, the newest first: each costs its opener a bond.
_MOST_GAMES = 200


class GameReader:
    """Keeps the notes of games. ``forget`` after a re-organisation."""

    def __init__(self, contracts: Contracts, archive: ChainArchive) -> None:
        self._disputes, self._archive = contracts.disputes, archive
        self._open: set[int] | None = None

    def forget(self) -> None:
        """Look for open games anew."""
        self._open = None

    def read(self, news: Iterable[KeptEvent], head: BlockHead) -> None:
        """Bring notes up to ``head``, after the events ``news``. Raises ChainError."""
        if self._open is None:
            self._open = self._unfinished()
        self._open |= {int(event.game) for event in news if event.name == "GameOpened" and event.game is not None}
        wanted = sorted(self._open, reverse=True)[:_MOST_GAMES]
        if not wanted:
            return
        calls = [self._disputes.call("gameOf", number) for number in wanted]
        values = read_together(self._disputes.connection, calls, head.number).values
        for number, value in zip(wanted, values, strict=True):
            fields = require_value(value)
            record = GameRecord(GameState(fields[0]), *fields[1:])
            self._archive.note(GAME_NOTE, str(number), head.number, self._document(number, record))
            if record.state.final:
                self._open.discard(number)

    def _unfinished(self) -> set[int]:
        """Games without a note that says how they ended."""
        opened = self._archive.events(contract=DISPUTES, name="GameOpened")
        found = set()
        for event in opened:
            note = self._archive.noted(GAME_NOTE, str(event.game))
            if note is None or not GameState(note["state"]).final:
                found.add(int(event.game or 0))
        return found

    def _document(self, number: int, record: GameRecord) -> dict[str, Any]:
        about = self._disputes.disputed(record.receipt)
        subject = about.subject
        return {
            "state": int(record.state),
            "session": "0x" + record.session.hex(),
            "bond_wei": str(record.bond),
            "refund_wei": str(record.refund),
            "committed_at": record.committed_at,
            "turn_started_at": record.turn_started_at,
            "deadline": record.deadline,
            "nodes_turn": record.nodes_turn,
            "tensor": record.tensor,
            "subtree": record.subtree,
            "leaf": record.leaf,
            "picked_element": record.element,
            "program_root": "0x" + subject[0].hex(),
            "weights_root": "0x" + subject[1].hex(),
            "tensor_count": subject[7],
            "positions": subject[9],
            "prompt_length": subject[10],
            "layer_start": subject[11],
            "layer_end": subject[12],
            "layers": subject[13],
            "element": self._element(number, record, about),
        }

    def _element(self, number: int, record: GameRecord, about: DisputedRecord) -> dict[str, Any] | None:
        """The element in question, as ``read_element`` has it; None while nothing of it is known."""
        moves = {event.name: event for event in self._archive.events(contract=DISPUTES, game=number)}
        if "TensorPicked" not in moves:
            return None
        from nexus_chain.workflows.disputed_element import GamePlace, read_element  # with torch, which most never need

        receipt, posted = "0x" + record.receipt.hex(), {}
        for event in self._archive.events(contract=DISPUTES, receipt=receipt):
            picked = event.arguments.get("tensor", record.tensor), event.arguments.get("leaf", record.leaf)
            if picked == (record.tensor, record.leaf):
                posted[event.name] = event
        rows, data, ending = posted.get("RowsPosted"), posted.get("BytesPosted"), moves.get("NodeConvicted")
        place = GamePlace(
            record.tensor,
            record.leaf,
            None if data is None else bytes.fromhex(str(data.arguments["data"])[2:]),
            record.element if "ElementPicked" in moves else None,
            None if rows is None else rows.transaction,
            None if ending is None else ending.transaction,
        )
        try:
            found = read_element(self._disputes, about, place)
        except NexusError as error:
            log.warning("The element of game %s cannot be read: %s", number, error)
            return None
        if found is None:
            return None
        return {
            "kind": found.kind,
            "layer": found.layer,
            "params": found.params,
            "dtype": found.dtype,
            "shape": list(found.shape),
            "index": None if found.index is None else list(found.index),
            "claimed": None if found.claimed is None else str(found.claimed),
            "right": None if found.right is None else str(found.right),
        }
