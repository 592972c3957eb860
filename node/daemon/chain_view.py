"""What a serving node asks the chain, remembered where it cannot change. Sends nothing."""

from __future__ import annotations

from nexus_chain.chain.clock import ChainClock
from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.errors import ContractRevertedError
from nexus_chain.chain.inference_market import SessionRecord
from nexus_chain.chain.rpc_answers import BlockHead
from node.daemon.errors import PredecessorError, SessionNotOpenError
from node.daemon.ledger.events import SessionObserved
from node.daemon.share_rule import ShareRule


class ChainView:
    """Implements ``admission.ChainFacts`` for the node ``address``."""

    def __init__(self, contracts: Contracts, address: str) -> None:
        self._contracts, self._address = contracts, address
        self._receipt_keys: dict[str, str] = {}
        self._allotted: set[tuple[bytes, str]] = set()
        self._clock = ChainClock(contracts.connection)
        self._window: int | None = None  # seconds; fixed for ever
        self._shares = ShareRule(contracts)

    def session(self, session: bytes) -> SessionObserved:
        """A session and this node's line, as the chain holds them now."""
        market = self._contracts.market
        try:
            record = market.session_of(session)
        except ContractRevertedError as error:
            raise SessionNotOpenError(
                f"the chain knows no session 0x{session.hex()}",
                advice="Open it first, and wait until the transaction is mined.",
            ) from error
        line = market.line_of(session, self._address)
        if line.cap == 0:
            raise SessionNotOpenError(
                "the session has no line for this node", advice="Allot a cap to it before using it."
            )
        return SessionObserved(
            session=session,
            signer=record.signer,
            expiry=record.expiry,
            end=line.end,
            closing=record.end != 0 or line.closed_by_node,
            cap=line.cap,
            posted=line.cumulative,
            settled=line.settled,
            session_end=self._session_end(record),
        )

    def _session_end(self, record: SessionRecord) -> int:
        if self._window is None:
            self._window = self._contracts.market.challenge_window()
        return record.end or record.expiry + self._window

    def require_share(self, session: SessionObserved, version: bytes) -> None:
        """See ``ShareRule.require``."""
        self._shares.require(session.session, version)

    def is_allotted(self, session: bytes, node: str) -> bool:
        """Lines never disappear, so a yes is remembered."""
        if (session, node) not in self._allotted and self._contracts.market.line_of(session, node).cap:
            self._allotted.add((session, node))
        return (session, node) in self._allotted

    def receipt_key(self, node: str) -> str:
        """A node's receipt key; fixed for ever, so it is asked for once."""
        if node not in self._receipt_keys:
            key = self._contracts.nodes.receipt_key_of(node)
            if int(key, 16) == 0:
                raise PredecessorError(f"{node} is not a registered node", advice="Use a registered node before this.")
            self._receipt_keys[node] = key
        return self._receipt_keys[node]

    def now(self) -> int:
        """The chain's time, Unix seconds; asks nobody."""
        return self._clock.now()

    def head(self) -> BlockHead:
        """The latest block, whose time is noted for ``now``."""
        return self._clock.head()
