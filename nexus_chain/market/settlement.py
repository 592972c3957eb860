"""Who gets what when a line is settled, by the contract's arithmetic."""

from __future__ import annotations

from nexus_chain.market.errors import PriceError

#: The vault gets one in ten.
VAULT_DIVISOR = 10


def split_settlement(cumulative: int) -> tuple[int, int]:
    """(node, vault) of a settled amount in wei, as the contract splits it: vault = amount // 10."""
    if cumulative < 0:
        raise PriceError(f"{cumulative} wei cannot be split_settlement", advice="Give an amount of zero or more.")
    vault = cumulative // VAULT_DIVISOR
    return cumulative - vault, vault
