"""What a call costs, exactly: whole pico-USD inside, ``Decimal`` USD outside.

A pico-USD is 10⁻¹² USD. Providers publish prices for a million tokens with at most six digits after the point, so that
a token's price is a whole number of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from nexus_chain.distillation.teachers.errors import TeacherConfigError, TeacherPromptError

PICO_IN_USD = 10**12
HIGHEST_PRICE = Decimal(10)
"""USD for 1,000 tokens: no teacher costs as much."""
MOST_CALL_TOKENS = 10**7
"""Of one call. With the highest price a record of 64-bit numbers holds many of them."""


def price_per_token(name: str, usd_per_1k: Decimal) -> int:
    """Pico-USD for a token. ``name``: the setting, for the error. Raises TeacherConfigError."""
    if not usd_per_1k.is_finite() or not 0 <= usd_per_1k <= HIGHEST_PRICE:
        raise TeacherConfigError(
            f"{name} = {usd_per_1k} is no price", advice=f"Give USD for 1,000 tokens, 0 to {HIGHEST_PRICE}."
        )
    pico = usd_per_1k * (PICO_IN_USD // 1000)
    if pico != pico.to_integral_value():
        raise TeacherConfigError(
            f"{name} = {usd_per_1k} has more than nine digits after the point", advice="Round the price up."
        )
    return int(pico)


def to_pico(usd: Decimal) -> int:
    """Whole pico-USD of an amount in USD, rounded down: a budget is never rounded up."""
    return int(usd * PICO_IN_USD)


def to_usd(pico: int) -> Decimal:
    """The amount in USD, exactly."""
    return Decimal(pico).scaleb(-12)


def to_cents(usd: Decimal) -> Decimal:
    """USD with two digits after the point, rounded up: what a bill may come to."""
    return usd.quantize(Decimal("0.01"), rounding=ROUND_CEILING)


@dataclass(frozen=True)
class TokenPrices:
    """Pico-USD for a token that a teacher reads (``read``) and for one that it writes (``written``)."""

    read: int
    written: int

    def cost(self, prompt_tokens: int, completion_tokens: int) -> int:
        """Pico-USD of a call."""
        return self.read * prompt_tokens + self.written * completion_tokens


def most_prompt_tokens(prompt: str, system: str | None, overhead: int) -> int:
    """An upper bound for what any tokenizer makes of the texts: a token is at least a byte.

    ``overhead``: tokens of the chat format. Raises TeacherPromptError.
    """
    if not prompt.strip():
        raise TeacherPromptError("the prompt is empty", advice="Ask something.")
    try:
        tokens = len(prompt.encode()) + len((system or "").encode()) + overhead
    except UnicodeEncodeError:
        tokens = -1
    if tokens < 0:
        raise TeacherPromptError("the prompt is no Unicode text", advice="Remove lone surrogates from it.")
    if tokens > MOST_CALL_TOKENS:
        raise TeacherPromptError("the prompt is too long for any teacher", advice="Ask something shorter.")
    return tokens
