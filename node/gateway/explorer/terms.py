"""What a deployment fixes for ever: addresses, times and amounts."""

from __future__ import annotations

from typing import Any

from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.deployment import CONTRACT_FIELDS


def read_terms(contracts: Contracts) -> dict[str, Any]:
    """Times in seconds, amounts in wei as decimal text. Raises ChainError."""
    timing = contracts.nodes.timing()
    return {
        "chain_id": contracts.deployment.chain_id,
        "first_block": contracts.deployment.block,
        "contracts": {name: getattr(contracts.deployment, name) for name in CONTRACT_FIELDS},
        "vault": contracts.market.vault(),
        "longest_session": timing.longest_session,
        "challenge_window": timing.challenge_window,
        "clock": timing.clock,
        "minimum_move": timing.minimum_move,
        "longest_game": contracts.nodes.longest_game(),
        "unbonding_delay": contracts.nodes.unbonding_delay(),
        "minimum_stake_wei": str(contracts.nodes.minimum_stake()),
        "bounty_wei": str(contracts.disputes.bounty()),
    }
