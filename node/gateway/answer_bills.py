"""Who pays for an answer: its caller, or the gateway.

A session pays nodes chunk by chunk, before anybody knows how an answer ends. So an answer that fails has cost the
gateway money. Two rules would be wrong. If such an answer were free, a caller who runs one of its nodes could read
every answer and have the node refuse the end. If it were billed in full, an honest caller would pay for what never
came.

So the caller pays for what reached them:

- A whole answer, or one that its caller ended: what its receipts and audits bill.
- An answer that failed after text had reached its caller: what receipts bill, and of what was written off as much as
  the delivered tokens cost. The last text comes before its receipt, so without the second part the nodes' last chunk
  could be read for nothing.
- An answer that failed before any text had reached its caller: nothing. An answer that is not streamed is of this kind.

What the session paid beyond that is the gateway's loss. It is at most a chunk for each node that failed, and rows that
were replayed at a spare. A node that causes losses gets shorter chunks, and no orders in the end. A loss is booked, so
that the books account for all that sessions paid.
"""

from __future__ import annotations

from collections.abc import Iterable

from nexus_chain.client.answer import Answer
from nexus_chain.market.settlement import split_settlement
from node.gateway.accounts import Bill
from node.gateway.running_answer import RunningAnswer
from node.gateway.settings import GatewaySettings


def fee_of(wei: int, settings: GatewaySettings) -> int:
    """What the gateway takes of ``wei`` for nodes and vault."""
    return wei * settings.fee_basis_points // 10_000


def bill_of(running: RunningAnswer, answer: Answer | None, wei_per_token: int, settings: GatewaySettings) -> Bill:
    """The bill of an answer that has ended; ``answer`` None: it failed. Never more than what was reserved for it."""
    sessions = spending_of([running])
    spent = sum(sessions.values())
    costs = _delivered_costs(running, wei_per_token) if answer is None else _whole_costs(answer)
    due = sum(costs)
    if not due:
        return Bill(0, 0, lost_wei=spent, sessions=sessions)
    vault = sum(split_settlement(wei)[1] for wei in costs)
    return Bill(due - vault, vault, settings.gas_wei, fee_of(due, settings), max(0, spent - due), sessions)


def spending_of(answers: Iterable[RunningAnswer]) -> dict[bytes, int]:
    """Wei that answers took of each session so far, by its id; of those that took nothing, nothing."""
    found: dict[bytes, int] = {}
    for one in (one for running in answers for one in running.spending if one.wei):
        found[one.session] = found.get(one.session, 0) + one.wei
    return found


def _whole_costs(answer: Answer) -> list[int]:
    """What receipts and audits bill, for each node, as the contract splits its line."""
    costs: dict[str, int] = {}
    for receipt, _ in answer.proof.receipts:
        costs[receipt.node] = costs.get(receipt.node, 0) + receipt.price
    for audit in answer.audits:
        costs[audit.auditor] = costs.get(audit.auditor, 0) + audit.price
    return list(costs.values())


def _delivered_costs(running: RunningAnswer, wei_per_token: int) -> list[int]:
    """What the caller owes of an answer that failed: receipts, by node, then what was delivered without one."""
    if not running.delivered_tokens:
        return []
    billed = [wei for one in running.spending for wei in one.billed.values()]
    lost = sum(wei for one in running.spending for wei in one.lost.values())
    unreceipted = max(0, running.delivered_tokens * wei_per_token - sum(billed))
    return [*billed, min(lost, unreceipted)]
