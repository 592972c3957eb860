"""Which nodes serve an answer of a session: those that it has money for, that are bound, and whose stakes cover it."""

from __future__ import annotations

from collections.abc import Sequence

from nexus_chain.chain.line_facts import SessionFacts
from nexus_chain.client.errors import CapTooLowError, SessionStateError
from nexus_chain.client.line_watch import LineWatch
from nexus_chain.client.network import ClientRoute, route_over
from nexus_chain.client.order import AskOptions
from nexus_chain.client.purse import SessionPurse
from nexus_chain.client.request import Prompt, Request, blame_choice_of, price_request
from nexus_chain.client.user import User
from nexus_chain.program import Program
from nexus_chain.routing.errors import NoNodeForLayersError
from nexus_chain.routing.liability import added_value, choose_covered
from nexus_chain.routing.registry_view import ShardNode


class SessionRoutes:
    """Chooses routes for one session of a ``program``."""

    def __init__(self, user: User, version: bytes, program: Program, purse: SessionPurse) -> None:
        self._user, self._version, self._program, self._purse = user, version, program, purse
        self._id, self._share = purse.session, purse.share

    def watch(self, operators: Sequence[str]) -> tuple[list[ShardNode], LineWatch]:
        """Who could serve now, and what binds them and the session's nodes to their word.

        Raises the chain package's errors.
        """
        nodes = self._user.nodes.candidates(self._version, operators)
        known = dict.fromkeys([*(node.node_id for node in nodes), *self._user.store.lines(self._id)])
        return nodes, self._user.nodes.watch(self._id, list(known))

    def choose(
        self,
        prompt: Prompt,
        options: AskOptions,
        operators: Sequence[str],
        nodes: Sequence[ShardNode],
        facts: SessionFacts,
    ) -> Request:
        """A request over nodes whose lines are open and whose stakes cover the order.

        Raises PriceError, CapTooLowError, NoNodeForLayersError, StakeTooSmallError, SessionStateError.
        """

        def choose(left: Sequence[ShardNode]) -> Request:
            fit = [node for node in left if not facts.unfit(node.node_id)]
            with blame_choice_of(operators, self._program.shape.layers):
                route = self._route(fit, facts, len(prompt.tokens) + options.max_tokens)
                return price_request(prompt, route, options, self._share)

        return choose_covered(nodes, choose, self._added)

    def _added(self, request: Request, node: ShardNode) -> int | None:
        """Wei that an order adds to what hangs on a node of its route, spares included."""
        if not request.route.names(node.node_id):
            return None
        missing = self._purse.shortfall(node.node_id, node.wei_per_token * request.offer.positions)
        cap = self._purse.line(node.node_id).cap + missing
        return missing + added_value(cap, self._purse.commitment(node.node_id), request.value_at_risk)

    def _route(self, nodes: Sequence[ShardNode], facts: SessionFacts, positions: int) -> ClientRoute:
        """A route over nodes that the session has money for; the others are spares.

        Raises SessionStateError where money lies at nodes that are unfit, else CapTooLowError.
        """
        lines = self._user.store.lines(self._id)
        able = [
            node.node_id
            for node in nodes
            if node.node_id in lines and not self._purse.shortfall(node.node_id, node.wei_per_token * positions)
        ]
        try:
            return route_over(nodes, self._program, able)
        except NoNodeForLayersError:
            for node in lines:
                if reason := facts.unfit(node):
                    raise SessionStateError(
                        f"node {node} {reason}, and no other that session 0x{self._id.hex()} has money for can serve",
                        advice="Give another node a cap with `nexus session allot`, or open another session.",
                    ) from None
            route_over(nodes, self._program)  # says so itself when the money is not the problem
            raise CapTooLowError(
                f"session 0x{self._id.hex()} has not enough money left for {positions} positions "
                "at the nodes that answer",
                advice="Raise a cap with `nexus session allot`, or open a session with a larger --tokens.",
            ) from None
