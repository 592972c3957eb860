"""DisputeGame: games about receipts, move by move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, ClassVar

from eth_abi.abi import encode
from eth_typing import HexStr
from web3.exceptions import Web3Exception

from nexus_chain.chain.bound import ChainEvent, PullPayments
from nexus_chain.chain.errors import ContractRevertedError
from nexus_chain.chain.transactions import Mined, chain_errors
from nexus_chain.keccak import keccak256
from nexus_chain.market.documents import Document, Order, Receipt, TokenFeed, checksum


class GameState(IntEnum):
    """Where a game stands; the last three are final."""

    NONE = 0
    LINK = 1
    TRACE = 2
    PICK_TENSOR = 3
    ROWS = 4
    PICK_SUBTREE = 5
    SUBTREE = 6
    PICK_LEAF = 7
    BYTES = 8
    CONVICT = 9
    SCORES = 10
    CONVICT_SCORES = 11
    CONVICTED = 12
    ACQUITTED = 13
    VOID = 14

    @property
    def final(self) -> bool:
        """Whether nothing can happen any more."""
        return self >= GameState.CONVICTED


@dataclass(frozen=True)
class GameOpening:
    """What a game is opened with. ``prompt_tree``: tree root of the prompt's tokens; ``salt``: the commitment's."""

    order: Order
    order_signature: bytes
    receipt: Receipt
    receipt_signature: bytes
    prompt_length: int
    prompt_tree: bytes
    salt: bytes

    def _abi(self) -> tuple[Any, ...]:
        signed = (abi_values(self.order), self.order_signature, abi_values(self.receipt), self.receipt_signature)
        return (*signed, self.prompt_length, self.prompt_tree, self.salt)


@dataclass(frozen=True)
class GameRecord:
    """A game, as the chain holds it. Amounts in wei, times are timestamps; ``deadline`` is 0 once it is over."""

    state: GameState
    challenger: str
    node: str
    session: bytes
    receipt: bytes  # digest
    bond: int
    owed: int
    committed_at: int
    turn_started_at: int
    deadline: int
    nodes_turn: bool
    tensor: int
    subtree: int
    leaf: int
    element: int


@dataclass(frozen=True)
class AnswerRecord:
    """A node's answer to one question about one receipt; ``at`` is 0 when there is none."""

    at: int
    count: int
    kind: int
    leaf_bytes: int
    last_bytes: int
    root: bytes
    tensor_root: bytes


class DisputeGame(PullPayments):
    """Typed access; methods are the contract's, in snake case. Moves raise ContractRevertedError out of turn."""

    CONTRACT: ClassVar[str] = "DisputeGame"

    def commit(self, commitment: bytes) -> Mined:
        return self._send("commit", commitment)

    def equivocate(
        self, first: Receipt, first_signature: bytes, second: Receipt, second_signature: bytes, salt: bytes
    ) -> Mined:
        """Convict a node that signed both."""
        signed = (abi_values(first), first_signature, abi_values(second), second_signature)
        return self._send("equivocate", *signed, salt)

    def open_link(self, opening: GameOpening, *, bond: int) -> tuple[int, Mined]:
        """Open a link game with ``bond`` wei; its number."""
        return self._opened(self._send("openLink", opening._abi(), value=bond))

    def open_step(self, opening: GameOpening, *, bond: int) -> tuple[int, Mined]:
        """Open a step game with ``bond`` wei; its number."""
        return self._opened(self._send("openStep", opening._abi(), value=bond))

    def show_receipt(self, game: int, predecessor: Receipt, signature: bytes) -> Mined:
        """Answer a link game with the receipt that vouches for the disputed one's input."""
        return self._send("showReceipt", game, abi_values(predecessor), signature)

    def show_feed(self, game: int, feed: TokenFeed, signature: bytes) -> Mined:
        """Answer a link game about segment 0 with the token feed."""
        return self._send("showFeed", game, abi_values(feed), signature)

    def acquit(self, game: int) -> Mined:
        return self._send("acquit", game)

    def post_trace(self, game: int, tensor_roots: Sequence[bytes], bounds: tuple[Any, ...], signature: bytes) -> Mined:
        return self._send("postTrace", game, list(tensor_roots), bounds, signature)

    def pick_tensor(self, game: int, tensor: int) -> Mined:
        return self._send("pickTensor", game, tensor)

    def post_rows(
        self, game: int, siblings: Sequence[bytes], producer: tuple[Any, ...], hashes: Sequence[bytes]
    ) -> Mined:
        return self._send("postRows", game, list(siblings), producer, list(hashes))

    def pick_subtree(self, game: int, subtree: int) -> Mined:
        return self._send("pickSubtree", game, subtree)

    def post_subtree(self, game: int, siblings: Sequence[bytes], leaves: Sequence[bytes]) -> Mined:
        return self._send("postSubtree", game, list(siblings), list(leaves))

    def pick_leaf(self, game: int, leaf: int) -> Mined:
        return self._send("pickLeaf", game, leaf)

    def post_bytes(self, game: int, siblings: Sequence[bytes], data: bytes) -> Mined:
        return self._send("postBytes", game, list(siblings), data)

    def pick_element(self, game: int, element: int) -> Mined:
        return self._send("pickElement", game, element)

    def post_scores(
        self, game: int, producer: tuple[Any, ...], records: bytes, scores: bytes, signature: bytes
    ) -> Mined:
        return self._send("postScores", game, producer, records, scores, signature)

    def convict(self, game: int, witness: bytes) -> Mined:
        """Show the wrong element; ``witness`` is ABI encoded."""
        return self._send("convict", game, witness)

    def timeout(self, game: int) -> Mined:
        return self._send("timeout", game)

    def void(self, game: int) -> Mined:
        return self._send("void", game)

    # ------------------------------------------------------------------- views

    def trace_signature(self, transaction: str) -> bytes | None:
        """The node's signature in a ``postTrace`` transaction; None where another contract passed that call on."""
        with chain_errors(self.web3):
            data = self.web3.eth.get_transaction(HexStr(transaction))["input"]
        try:
            function, arguments = self._contract.decode_function_input(data)
        except (ValueError, Web3Exception):
            return None
        return bytes(arguments["signature"]) if function.fn_name == "postTrace" else None

    def game_of(self, game: int) -> GameRecord | None:
        """A game as it stands; None when the chain knows none with that number (after a re-organisation)."""
        try:
            values = list(self._read("gameOf", game))
        except ContractRevertedError as error:
            if error.error_name == "DisputeGame_Unknown":
                return None
            raise
        return GameRecord(GameState(values[0]), *values[1:])

    def game_count(self) -> int:
        return int(self._read("gameCount"))

    def answer_of(
        self, receipt: bytes, state: GameState, tensor: int = 0, subtree: int = 0, leaf: int = 0, element: int = 0
    ) -> AnswerRecord:
        return AnswerRecord(*self._read("answerOf", receipt, int(state), tensor, subtree, leaf, element))

    def committed_at(self, challenger: str, commitment: bytes) -> int:
        """Timestamp of a commitment that was not used yet; 0 when there is none."""
        return int(self._read("committedAt", checksum(challenger), commitment))

    def bond_now(self) -> int:
        """Wei that an opening needs in the latest block."""
        return int(self._read("bondNow"))

    def games_about(self, receipt: bytes, from_block: int = 0) -> list[ChainEvent]:
        """``GameOpened`` events about a receipt."""
        return list(self.events("GameOpened", from_block, where={"receipt": receipt}))

    def _opened(self, mined: Mined) -> tuple[int, Mined]:
        return int(self.events_in(mined.receipt, "GameOpened")[0].arguments["game"]), mined


def commitment_of(receipt_digest: bytes, challenger: str, salt: bytes) -> bytes:
    """What is committed before an opening: it hides which receipt is accused."""
    return keccak256(encode(["bytes32", "address", "bytes32"], [receipt_digest, checksum(challenger), salt]))


def abi_values(document: Document) -> tuple[Any, ...]:
    """A signed document as the contract's struct."""

    def value(item: Any) -> Any:
        if isinstance(item, Document):
            return abi_values(item)
        return [value(entry) for entry in item] if isinstance(item, tuple) else item

    return tuple(value(getattr(document, field.attribute)) for field in document.FIELDS)
