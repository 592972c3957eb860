"""What there is to know about a node, from the chain and from its data folder.

No password is needed where the keystore states its address.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.earnings import get_node_earnings, get_vault_revenue
from nexus_chain.folder_lock import is_busy
from node.daemon.chain_settings import terms_of
from node.daemon.configuration import NodeConfiguration
from node.daemon.data_folder import events_path
from node.daemon.identity import address_of_node, address_of_wallet
from node.daemon.ledger.earnings import earned_last
from node.daemon.ledger.ledger import Ledger
from node.daemon.ledger.state import NodeState
from node.daemon.ledger.write_ahead_log import WriteAheadLog
from node.daemon.upkeep.answer_funds import answer_funds
from node.daemon.upkeep.registration import record_of

#: Answers that a status tells of, the newest.
_SERVED_ANSWERS = 10


def status_of(contracts: Contracts, configuration: NodeConfiguration, *, earnings: bool = False) -> dict[str, Any]:
    """A JSON value; amounts are wei. ``earnings``: read all settlements since deployment, which may take long."""
    address = address_of_node(configuration)
    record = record_of(contracts, address)
    funds = answer_funds(contracts, address_of_wallet(configuration), record.open_games if record is not None else 0)
    found: dict[str, Any] = {
        "node": address,
        "running": is_busy(configuration.data),
        "registered": record is not None,
        "wallet_wei": funds.wallet,
        "withdrawable_wei": contracts.market.balance_of(address),
        "receipts_committed": contracts.market.receipt_log_of(address).count,
    }
    if record is not None:
        found |= {
            "active": record.active,
            "stake_wei": record.stake,
            "endpoint": record.endpoint,
            "unbondable_after": record.unbondable_after,
            "open_games": funds.games,
            "answers_wei": funds.needed,
        }
    if earnings:
        found["earned_wei"] = get_node_earnings(contracts, address)
        found["vault_revenue_wei"] = get_vault_revenue(contracts)
    if funds.warning:
        found["warning"] = funds.warning
    if configuration.model_version:
        offer = contracts.nodes.announcement_of(address, configuration.version_id)
        found["announced"] = offer and [offer.layer_start, offer.layer_end, offer.wei_per_token]
    return found | _work(_state(contracts, configuration))


def _state(contracts: Contracts, configuration: NodeConfiguration) -> NodeState:
    terms = terms_of(contracts, configuration)
    if not events_path(configuration.data).exists():
        return NodeState(terms)
    ledger = Ledger(WriteAheadLog(events_path(configuration.data)), terms, reader=True)
    try:
        return ledger.state
    finally:
        ledger.close()


def _work(state: NodeState) -> dict[str, Any]:
    sessions = [session for session in state.sessions.values() if not session.settled]
    return {
        "receipts": state.receipts,
        "sessions": len(sessions),
        "orders": len(state.orders),
        "held_wei": sum(session.cumulative for session in sessions),
        "unposted_wei": sum(max(0, session.cumulative - session.posted) for session in sessions),
        "served_answers": [asdict(answer) for answer in earned_last(state, _SERVED_ANSWERS)],
    }


def describe(found: dict[str, Any]) -> str:
    """The same for people: one fact a line, one line an answer."""
    facts = [f"{name.replace('_', ' ')}: {value}" for name, value in found.items() if name != "served_answers"]
    return "\n".join(facts + [_describe_answer(answer) for answer in found["served_answers"]])


def _describe_answer(answer: dict[str, Any]) -> str:
    return (
        f"answer {answer['tx_id'][:18]} for {answer['user_id']}: {answer['tokens_processed']} positions, "
        f"{answer['cost_wei']} wei, {answer['node_share_wei']} for this node"
    )
