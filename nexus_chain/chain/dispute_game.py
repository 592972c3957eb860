"""DisputeGame: games about receipts, move by move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, ClassVar

from nexus_chain.chain.abi_values import encode_abi
from nexus_chain.chain.bound import ChainEvent, PullPayments
from nexus_chain.chain.errors import ContractRevertedError
from nexus_chain.chain.interface_calls import arguments_of
from nexus_chain.chain.rpc_answers import content, nonsense
from nexus_chain.chain.transactions import Mined
from nexus_chain.keccak import keccak256
from nexus_chain.market.documents import Document, Order, Receipt, checksum


class GameState(IntEnum):
    """Where a game stands; the last three are final."""

    NONE = 0
    TRACE = 1
    PICK_TENSOR = 2
    ROWS = 3
    PICK_SUBTREE = 4
    SUBTREE = 5
    PICK_LEAF = 6
    BYTES = 7
    CONVICT = 8
    SCORES = 9
    CONVICT_SCORES = 10
    CONVICTED = 11
    ACQUITTED = 12
    VOID = 13

    @property
    def final(self) -> bool:
        """Whether nothing can happen any more."""
        return self >= GameState.CONVICTED


@dataclass(frozen=True)
class GameOpening:
    """What a game is opened with. ``prompt_tree``: tree root of the prompt's tokens; ``salt``: the commitment's.

    ``only_covered``: refuse to open a game whose gas nobody would refund (DisputeGame_NotCovered).
    """

    order: Order
    order_signature: bytes
    receipt: Receipt
    receipt_signature: bytes
    prompt_length: int
    prompt_tree: bytes
    salt: bytes
    only_covered: bool = False

    def _abi(self) -> tuple[Any, ...]:
        signed = (abi_values(self.order), self.order_signature, abi_values(self.receipt), self.receipt_signature)
        return (*signed, self.prompt_length, self.prompt_tree, self.salt, self.only_covered)


@dataclass(frozen=True)
class GameRecord:
    """A game, as the chain holds it. Amounts in wei, times are timestamps; ``deadline`` is 0 once it is over.

    ``refund`` is what its moves so far are paid if the node is convicted and the game is ``covered``.
    """

    state: GameState
    challenger: str
    node: str
    session: bytes
    receipt: bytes  # digest
    bond: int
    refund: int
    covered: bool
    committed_at: int
    turn_started_at: int
    deadline: int
    nodes_turn: bool
    tensor: int
    subtree: int
    leaf: int
    element: int


@dataclass(frozen=True)
class DisputedRecord:
    """What all games about one receipt share; ``trace_root`` and ``tensor_count`` are zero until it is posted.

    ``subject``: members of ``IStepVerifier.Subject`` in their order.
    """

    session: bytes
    node: str
    in_root: bytes
    out_root: bytes
    trace_root: bytes
    tensor_count: int
    subject: tuple[Any, ...] = ()


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

    def contradict(
        self, node: str, receipt: bytes, first: tuple[bytes, bytes], second: tuple[bytes, bytes], salt: bytes
    ) -> Mined:
        """Convict a node that signed two traces of one receipt (its digest); each is a root and a signature."""
        return self._send("contradict", checksum(node), receipt, *first, *second, salt)

    def open_step(self, opening: GameOpening, *, bond: int) -> tuple[int, Mined]:
        """Open a step game with ``bond`` wei; its number. 0: the node was convicted meanwhile, the bond comes back."""
        return self._opened(self._send("openStep", opening._abi(), value=bond))

    def post_trace(self, game: int, tensor_roots: Sequence[bytes], bounds: tuple[Any, ...], signature: bytes) -> Mined:
        return self._send("postTrace", game, list(tensor_roots), bounds, signature)

    def pick_tensor(self, game: int, tensor: int, trace_root: bytes, value: int = 0) -> Mined:
        """Pick in the trace with that root; ``value`` wei (``top_up``) join the bond. So do all picks."""
        return self._send("pickTensor", game, tensor, trace_root, value=value)

    def post_rows(
        self, game: int, siblings: Sequence[bytes], producer: tuple[Any, ...], hashes: Sequence[bytes]
    ) -> Mined:
        return self._send("postRows", game, list(siblings), producer, list(hashes))

    def pick_subtree(self, game: int, subtree: int, trace_root: bytes, value: int = 0) -> Mined:
        return self._send("pickSubtree", game, subtree, trace_root, value=value)

    def post_subtree(self, game: int, siblings: Sequence[bytes], leaves: Sequence[bytes]) -> Mined:
        return self._send("postSubtree", game, list(siblings), list(leaves))

    def pick_leaf(self, game: int, leaf: int, trace_root: bytes, value: int = 0) -> Mined:
        return self._send("pickLeaf", game, leaf, trace_root, value=value)

    def post_bytes(self, game: int, siblings: Sequence[bytes], data: bytes) -> Mined:
        return self._send("postBytes", game, list(siblings), data)

    def pick_element(self, game: int, element: int, trace_root: bytes, value: int = 0) -> Mined:
        return self._send("pickElement", game, element, trace_root, value=value)

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
        arguments = self.move_in(transaction, "postTrace")
        return None if arguments is None else arguments["signature"]

    def move_in(self, transaction: str, name: str) -> dict[str, Any] | None:
        """Arguments of the move that a transaction made; None where it made another, or another contract passed it on.

        Raises TransactionError where the server does not know the transaction.
        """
        found = self.connection.transaction(transaction)
        if found is None:
            raise nonsense(f"it does not know transaction {transaction} any more")
        if str(found.get("to")).lower() != self.address.lower():
            return None  # what another contract was told may be anything
        return arguments_of(self.CONTRACT, name, content(found.get("input")))

    def game_of(self, game: int) -> GameRecord | None:
        """A game as it stands; None when the chain knows none with that number (after a re-organisation)."""
        try:
            values = list(self._read("gameOf", game))
        except ContractRevertedError as error:
            if error.error_name == "DisputeGame_Unknown":
                return None
            raise
        return GameRecord(GameState(values[0]), *values[1:])

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

    def disputed(self, receipt: bytes) -> DisputedRecord:
        """What is known of a receipt, by its digest; all zero when no game was opened about it."""
        session, node, in_root, out_root, subject = self._read("disputed", receipt)
        trace_root, tensor_count = subject[3], subject[7]  # as `IStepVerifier.Subject` has them
        return DisputedRecord(session, node, in_root, out_root, trace_root, tensor_count, tuple(subject))

    def top_up(self, game: int) -> int:
        """Wei that the next pick in a game must bring in the latest block; the base fee may rise before it is mined."""
        return int(self._read("topUp", game))

    def covered_now(self, node: str) -> bool:
        """Whether a game about ``node`` that is opened now would be covered."""
        return bool(self._read("coveredNow", checksum(node)))

    def bounty(self) -> int:
        """Wei that the finder of a lie earns beside its gas."""
        return int(self._read("bounty"))

    def games_about(self, receipt: bytes, from_block: int = 0) -> list[ChainEvent]:
        """``GameOpened`` events about a receipt."""
        return list(self.events("GameOpened", from_block, where={"receipt": receipt}))

    def _opened(self, mined: Mined) -> tuple[int, Mined]:
        opened = self.events_in(mined.receipt, "GameOpened")
        return (int(opened[0].arguments["game"]) if opened else 0), mined


def commitment_of(receipt_digest: bytes, challenger: str, salt: bytes) -> bytes:
    """What is committed before an opening: it hides which receipt is accused."""
    return keccak256(encode_abi(["bytes32", "address", "bytes32"], [receipt_digest, checksum(challenger), salt]))


def abi_values(document: Document) -> tuple[Any, ...]:
    """A signed document as the contract's struct."""

    def value(item: Any) -> Any:
        if isinstance(item, Document):
            return abi_values(item)
        return [value(entry) for entry in item] if isinstance(item, tuple) else item

    return tuple(value(getattr(document, field.attribute)) for field in document.FIELDS)
