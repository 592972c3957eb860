"""What the chain says about one case: its game, its node, and what a move would cost now. Sends nothing."""

from __future__ import annotations

from nexus_chain.chain.clock import ChainClock
from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.dispute_game import DisputeGame, GameRecord, commitment_of
from nexus_chain.market.documents import TraceDocument
from node.watch.cases import CONTRADICTION, STEP, Case, WatchState
from node.watch.moves import Facts


class CaseFacts:
    """Reads facts for the challenger ``address``."""

    def __init__(self, contracts: Contracts, disputes: DisputeGame, address: str) -> None:
        self._contracts, self._disputes, self._address = contracts, disputes, address
        self._clock, self._first_block = ChainClock(contracts.connection), contracts.deployment.block

    def game_of(self, case: Case) -> tuple[int, GameRecord | None]:
        """Our latest game about the receipt, found on the chain: our own memory may be ahead of it."""
        ours = [
            int(event.arguments["game"])
            for event in self._disputes.games_about(case.receipt, self._first_block)
            if event.arguments["challenger"] == self._address
        ]
        return (ours[-1], self._disputes.game_of(ours[-1])) if ours else (0, None)

    def about(self, case: Case, number: int, game: GameRecord | None, state: WatchState) -> Facts:
        """What ``next_move`` has to know about ``case`` and its game."""
        disputes, record = self._disputes, self._contracts.nodes.node(case.node)
        # A move made now lands in a block that is later than the latest one, on a quiet chain too.
        now = max(self._clock.head().timestamp + 1, self._clock.now())
        top_up, margin = self._top_up(number, game)
        return Facts(
            now=now,
            convicted=record.convicted,
            # Two signatures do not depend on a session, nor on the chain's still knowing it.
            session_end=self._contracts.market.disputable_until(case.session) if case.kind == STEP else 0,
            committed_at=disputes.committed_at(self._address, self.commitment(case, state)),
            bond=self.bond(),
            gas_price=self._gas_price(),
            leaving=record.unbondable_after != 0,
            gone=record.stake == 0 or 0 < record.unbondable_after < now,
            covered=disputes.covered_now(case.node),
            top_up=top_up,
            margin=margin,
            game=game,
        )

    def _top_up(self, number: int, game: GameRecord | None) -> tuple[int, int]:
        """Wei that our next pick must bring, and that it had better bring beside."""
        if game is None or game.state.final or game.nodes_turn:
            return 0, 0
        needed, bond = self._disputes.top_up(number), self._disputes.bond_now()
        # A block or two later the bond may be too small, which would cost the gas of a refused pick.
        short = game.bond + needed < bond * 9 // 8
        return needed, bond * 5 // 4 - game.bond - needed if short else 0

    def commitment(self, case: Case, state: WatchState) -> bytes:
        """What is committed for a case: to the receipt, or to the first of two traces."""
        digest = case.receipt
        if case.kind == CONTRADICTION:
            root, _ = state.traces[case.receipt]
            digest = TraceDocument(case.receipt, root).digest(self._contracts.domain)
        return commitment_of(digest, self._address, case.salt)

    def bond(self) -> int:
        """What an opening brings: the base fee grows by an eighth a block at most."""
        return self._disputes.bond_now() * 5 // 4

    def head(self) -> int:
        """The latest block's number."""
        return self._contracts.connection.block_number()

    def _gas_price(self) -> int:
        return self._contracts.connection.gas_price()
