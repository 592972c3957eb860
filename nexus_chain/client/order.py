"""Building a signed order from a prompt, a route and the user's limits."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from nexus_chain.commitments.tensor import commit
from nexus_chain.market.documents import Ask, Order
from nexus_chain.market.errors import OrderExpiredError, OrderOverLimitError
from nexus_chain.market.pricing import PricePolicy, Quote, quote
from nexus_chain.program import Program
from nexus_chain.program.sampling import Sampling

ORDER_SECONDS = 600
"""How long nodes may take an order, unless the session expires before."""


@dataclass(frozen=True)
class AskOptions:
    """How to answer. ``temperature`` 0 is greedy; ``seed`` 32 bytes, None draws one; ``max_wei`` limits the order, the
    publisher's share included.

    ``drafting``: feed guesses at the next tokens along. It changes the number of rounds, and no token.
    ``receipted``: show text only once receipts cover it. ``value_at_risk``: wei that a wrong answer could cost,
    which the stake of each node has to cover; None: the order's price. ``operators``: addresses of the only nodes
    that may take part, spares included; without any: those of the session, or anybody.
    ``audit_rate``: share of receipts that a second node recomputes afterwards, for pay; ``audit_decoys``: planted
    audits per audit, where the weights are here; ``audit_budget``: most wei that audits of an order may
    cost, None: its price.
    """

    max_tokens: int = 64
    temperature: float = 0.0
    seed: bytes | None = None
    max_wei: int | None = None
    drafting: bool = True
    receipted: bool = False
    value_at_risk: int | None = None
    operators: tuple[str, ...] = ()
    audit_rate: float = 0.02
    audit_decoys: float = 0.1
    audit_budget: int | None = None

    def for_model(self, program: Program) -> AskOptions:
        """These options as they fit the model: an encoder answers with one token, the likeliest."""
        return replace(self, max_tokens=1, temperature=0.0) if program.is_encoder else self

    @property
    def sampling(self) -> Sampling:
        return Sampling.at_temperature(self.temperature, self.seed or secrets.token_bytes(32))


def price_order(asks: Sequence[Ask], prompt: Sequence[int], options: AskOptions, share: int = 0) -> Quote:
    """What the order can cost at most; ``share``: the publisher's, basis points.

    Raises OrderOverLimitError, PriceError.
    """
    if not prompt or options.max_tokens < 1:
        raise OrderOverLimitError(
            f"{len(prompt)} prompt tokens and {options.max_tokens} new tokens are nothing to compute",
            advice="Give a prompt of at least one token and --max-tokens of at least 1.",
        )
    offer = quote(asks, len(prompt), options.max_tokens, share)
    PricePolicy(max_order_wei=options.max_wei).accept_total(offer)
    return offer


def build_order(
    session: bytes,
    model_version: bytes,
    asks: Sequence[Ask],
    prompt: Sequence[int],
    offer: Quote,
    options: AskOptions,
    *,
    now: int,
    expiry: int,
) -> Order:
    """The unsigned order. ``now`` and ``expiry`` are chain time, Unix seconds. Raises OrderExpiredError."""
    if now >= expiry:
        raise OrderExpiredError(
            f"the session expired {now - expiry} s ago", advice="Close it with `nexus session close` and open another."
        )
    salt, sampling = secrets.token_bytes(32), options.sampling
    return Order(
        session=session,
        salt=salt,
        model_version=model_version,
        prompt_root=commit(np.array(prompt, np.int32), salt),
        max_tokens=options.max_tokens,
        sampling_seed=sampling.seed,
        sampling=sampling.beta,
        max_price=offer.total_wei,
        asks=tuple(asks),
        deadline=min(now + ORDER_SECONDS, expiry),
    )
