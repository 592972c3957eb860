"""A client that drives one order over TLS, message by message."""

from __future__ import annotations

import numpy as np

from nexus_chain.commitments.tensor import commit
from nexus_chain.market.documents import Ask, Line, Order, Receipt, TokenFeed, Voucher, require_signer
from nexus_chain.wire.tls_peer import TlsPeer, dial
from tests.support.network import PRICE, Network, NodeProcess
from tests.support.workplace import PROMPT, PROMPT_TREE, make_order

CAP = 1000 * PRICE
"""Wei that a node may earn in the session."""


class OrderClient:
    """Drives one order over TLS."""

    def __init__(self, net: Network, nodes: list[NodeProcess], max_tokens: int = 40) -> None:
        self.net, self.nodes, self.domain = net, nodes, net.deployment.domain
        self.session, self.key = net.open_session(nodes, CAP)
        asks = tuple(Ask(node.start_layer, node.end_layer, PRICE) for node in nodes)
        self.order: Order = make_order(
            self.key, max_tokens=max_tokens, session=self.session, model_version=net.version, asks=asks, max_price=CAP,
            deadline=net.user.market.now() + 600,
        )  # fmt: skip
        self.digest = self.order.digest(self.domain)
        self.tokens: list[int] = []
        self.paid = 0
        self.closed = 0
        self.peers: list[TlsPeer] = []
        self.next_voucher: tuple[Voucher, bytes] | None = None

    @property
    def sequence(self) -> list[int]:
        return PROMPT + self.tokens

    def voucher(self, positions: int) -> tuple[Voucher, bytes]:
        self.paid = max(self.paid, positions)
        lines = tuple(Line(node.address, self.paid * PRICE) for node in self.nodes)
        document = Voucher(self.session, lines)
        return document, self.key.sign(document, self.domain)

    def connect(self) -> list[int]:
        """Dial and open everywhere; the lengths that the nodes hold."""
        self.peers = [dial(node.contact) for node in self.nodes]
        signed = (self.order, self.key.sign(self.order, self.domain))
        voucher = self.voucher(len(PROMPT))
        return [
            peer.open_order(
                signed, segment, len(PROMPT), PROMPT, voucher, self.key.sign_digest, prompt_tree=PROMPT_TREE
            )
            for segment, peer in enumerate(self.peers)
        ]

    def pay(self, positions: int) -> None:
        """Prepay so many positions with the next rows."""
        self.next_voucher = self.voucher(self.paid + positions)

    def feed(self, start: int, tokens: list[int]) -> list[int]:
        rows = np.array(tokens, np.int32)
        for peer in self.peers:
            rows = peer.begin_forward(self.digest, start, rows, voucher=self.next_voucher)()
        self.next_voucher = None
        return rows.tolist()

    def decode(self, positions: int) -> None:
        for _ in range(positions):
            self.tokens += self.feed(len(self.sequence) - 1, self.sequence[-1:])

    def close(self, to: int) -> list[Receipt]:
        handed: list[object] = []
        if to > len(PROMPT):
            root = commit(np.array(self.sequence[:to], np.int32), self.order.salt)
            feed = TokenFeed(self.digest, to, root)
            handed = [(feed, self.key.sign(feed, self.domain))]
        receipts = []
        for peer in self.peers:
            signed = peer.begin_close_chunk(self.digest, self.closed, to, handed)()  # type: ignore[arg-type]
            require_signer(signed[0], signed[1], self.domain, peer.contact.receipt_key)
            receipts.append(signed[0])
            handed = [signed]
        self.closed = to
        return receipts

    def begin(self) -> None:
        self.connect()
        self.tokens += self.feed(0, PROMPT)
        self.close(len(PROMPT))

    def hang_up(self) -> None:
        for peer in self.peers:
            peer.close()
