"""What a node checks before it takes an order. Steps are numbered; the first that fails is named.

Pure: the session's key, the chain's time and the node's own price come from the caller.
"""

from __future__ import annotations

from dataclasses import dataclass

from nexus_chain.market.documents import Ask, Domain, Order, require_signer
from nexus_chain.market.errors import (
    OrderAsksError,
    OrderExpiredError,
    OrderOverLimitError,
    OrderSessionError,
)
from nexus_chain.market.pricing import Quote, quote


@dataclass(frozen=True)
class OrderTerms:
    """What a node (or a careful client) holds an order against."""

    session: bytes
    signer: str  # the session key, from the chain
    model_version: bytes
    layers: int  # of the whole model
    context: int  # positions the model can hold
    now: int  # the chain's time, Unix seconds


def check_order(order: Order, signature: bytes, domain: Domain, terms: OrderTerms, prompt_length: int) -> Quote:
    """Accept an order or raise; returns what it can cost at most.

    Raises OrderSessionError, WrongSignerError, OrderExpiredError, OrderAsksError, OrderOverLimitError.
    """
    # 1. It belongs to this session and model version.
    if order.session != terms.session or order.model_version != terms.model_version:
        raise OrderSessionError(
            "the order names another session or model version", advice="Sign a new order for this session and version."
        )
    # 2. The session key signed it.
    require_signer(order, signature, domain, terms.signer)
    # 3. It is not too late.
    if order.deadline < terms.now:
        raise OrderExpiredError(
            f"the order's deadline passed {terms.now - order.deadline} s ago", advice="Sign a new order."
        )
    # 4. The asks cover every layer once, in order.
    check_cover(order.asks, terms.layers)
    # 5. It fits the model's context.
    if order.max_tokens < 1 or prompt_length < 1 or prompt_length + order.max_tokens > terms.context:
        raise OrderOverLimitError(
            f"{prompt_length} prompt and {order.max_tokens} new tokens do not fit a context of {terms.context}",
            advice="Shorten the prompt or ask for fewer tokens, at least one of each.",
        )
    # 6. The asks cannot exceed what the user is willing to pay.
    offer = quote(order.asks, prompt_length, order.max_tokens)
    if offer.total_wei > order.max_price:
        raise OrderOverLimitError(
            f"the asks may cost {offer.total_wei} wei, the order allows {order.max_price}",
            advice="Raise the order's maximum, or ask for fewer tokens.",
        )
    return offer


def check_cover(asks: tuple[Ask, ...], layers: int) -> None:
    """Raise OrderAsksError unless ``asks`` cover layers [0, layers) contiguously."""
    covered = 0
    for ask in asks:
        if ask.layer_start != covered or ask.layer_end <= ask.layer_start:
            raise OrderAsksError(
                f"the asks leave layer {covered} uncovered: next is {ask.layer_start}-{ask.layer_end}",
                advice="Order segments so that each starts where the one before ends.",
            )
        covered = ask.layer_end
    if covered != layers:
        raise OrderAsksError(
            f"the asks cover layers 0-{covered} of {layers}", advice="Add the missing segments, or drop those beyond."
        )


def require_own_ask(order: Order, segment: int, own: Ask) -> None:
    """Raise OrderAsksError unless ``segment`` is this node's layer range at its price or above."""
    if segment >= len(order.asks):
        raise OrderAsksError(
            f"the order has {len(order.asks)} segments, not {segment + 1}", advice="Send the segment's own index."
        )
    ask = order.asks[segment]
    if (ask.layer_start, ask.layer_end) != (own.layer_start, own.layer_end) or ask.wei_per_token < own.wei_per_token:
        raise OrderAsksError(
            f"segment {segment} asks {ask.wei_per_token} wei for layers {ask.layer_start}-{ask.layer_end}; "
            f"this node serves {own.layer_start}-{own.layer_end} for {own.wei_per_token}",
            advice="Take the node's announced layers and price into the order.",
        )
