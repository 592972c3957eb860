"""What inference costs, in exact integer wei.

The binding price is the node's ask in the signed order. A node arrives at its ask by this module, and a client
decides by it whether to sign. The price is tokens x complexity x latency. Complexity is 1 for 7 B weights. Latency is
1.5 for a node that answers within 100 ms, else 1. The first sketch charged *slow* nodes more, against its own comment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from nexus_chain.market.documents import Ask
from nexus_chain.market.errors import PriceError
from nexus_chain.market.publisher_share import publisher_share

#: Weights of a model of complexity 1.
REFERENCE_WEIGHTS = 7_000_000_000
#: Wei per 1000 tokens at complexity 1, before the latency multiplier: about $0.0001 at $2500 an ether.
BASE_WEI_PER_1K_TOKENS = 40_000_000_000
#: A node that answers within this many milliseconds may ask for more ...
FAST_LATENCY_MS = 100.0
#: ... by this factor.
FAST_MULTIPLIER = Fraction(3, 2)


def complexity_of(weights: int) -> Fraction:
    """Complexity of a model, or of the part of one that a segment holds: weights / 7e9, exactly."""
    if weights <= 0:
        raise PriceError(f"a model of {weights} weights has no price", advice="Give the number of weights, above zero.")
    return Fraction(weights, REFERENCE_WEIGHTS)


def latency_multiplier(latency_ms: float) -> Fraction:
    """1.5 below 100 ms, else 1."""
    if not latency_ms >= 0:  # also NaN
        raise PriceError(f"a latency of {latency_ms} ms is impossible", advice="Measure the node again.")
    return FAST_MULTIPLIER if latency_ms < FAST_LATENCY_MS else Fraction(1)


@dataclass(frozen=True)
class ComputePrice:
    """Everything a price depends on."""

    tokens_processed: int
    latency_ms: float
    model_complexity: Fraction  # 7 B weights = 1
    base_price_per_1k_tokens: int = BASE_WEI_PER_1K_TOKENS  # wei

    @property
    def wei(self) -> int:
        """The price, rounded up to a whole wei once."""
        if self.tokens_processed < 0 or self.base_price_per_1k_tokens < 0 or self.model_complexity <= 0:
            raise PriceError(f"{self} has a negative factor", advice="Give amounts above zero.")
        exact = (
            Fraction(self.tokens_processed * self.base_price_per_1k_tokens, 1000)
            * self.model_complexity
            * latency_multiplier(self.latency_ms)
        )
        return -(-exact.numerator // exact.denominator)


def calculate_cost(
    tokens: int, latency_ms: float, complexity: Fraction | int, base_wei_per_1k: int = BASE_WEI_PER_1K_TOKENS
) -> int:
    """Wei for ``tokens`` tokens: base x complexity x latency multiplier, rounded up to a whole wei."""
    return ComputePrice(tokens, latency_ms, Fraction(complexity), base_wei_per_1k).wei


def ask_for(
    layer_start: int,
    layer_end: int,
    weights: int,
    latency_ms: float,
    base_wei_per_1k: int = BASE_WEI_PER_1K_TOKENS,
) -> Ask:
    """The ask of a node that serves layers [layer_start, layer_end), ``weights`` weights, by the policy."""
    return Ask(layer_start, layer_end, calculate_cost(1, latency_ms, complexity_of(weights), base_wei_per_1k))


def billed_positions(prompt_tokens: int, max_tokens: int) -> int:
    """Positions that every segment processes at most: the last sampled token is never fed back."""
    if prompt_tokens < 1 or max_tokens < 1:
        raise PriceError(
            f"{prompt_tokens} prompt tokens and {max_tokens} new tokens cannot be quoted",
            advice="Give at least one of each.",
        )
    return prompt_tokens + max_tokens - 1


@dataclass(frozen=True)
class Quote:
    """What an order can cost at most. ``share``: the publisher's, basis points on top of what nodes earn."""

    positions: int
    wei_by_segment: tuple[int, ...]
    share: int = 0

    @property
    def total_wei(self) -> int:
        """The order's ``maxPrice``: what nodes can earn."""
        return sum(self.wei_by_segment)

    @property
    def share_wei(self) -> int:
        """What the publisher can get beside it."""
        return publisher_share(self.total_wei, self.share)

    @property
    def most_wei(self) -> int:
        """What the user can pay in all."""
        return self.total_wei + self.share_wei


def quote(asks: Sequence[Ask], prompt_tokens: int, max_tokens: int, share: int = 0) -> Quote:
    """The most that an order with these asks can cost, by segment; ``share`` as of ``Quote``."""
    positions = billed_positions(prompt_tokens, max_tokens)
    return Quote(positions, tuple(ask.wei_per_token * positions for ask in asks), share)


@dataclass(frozen=True)
class PricePolicy:
    """A client's limit: the most that a whole order may cost, the publisher's share included, wei; None: any amount."""

    max_order_wei: int | None = None

    def accept_total(self, offer: Quote) -> None:
        """Raise PriceError when a whole order may cost more than ``max_order_wei``."""
        if self.max_order_wei is not None and offer.most_wei > self.max_order_wei:
            share = f", {offer.share_wei} wei of it for the publisher" if offer.share else ""
            raise PriceError(
                f"the order may cost {offer.most_wei} wei{share}, the limit is {self.max_order_wei}",
                advice="Ask for fewer tokens, or raise the limit.",
            )
