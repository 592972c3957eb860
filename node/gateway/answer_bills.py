"""Who pays for an answer: its caller, or the gateway.

A session pays nodes chunk by chunk, before anybody knows how an answer ends. So an answer that fails has cost the
gateway money. Two rules would be wrong. If such an answer were free, a caller who runs one of its nodes could read
every answer and have the node refuse the end. If it were billed in full, an honest caller would pay for what never
came.

So the caller pays for what reached them:

- A whole answer, or one that its caller ended, by leaving or by a text to stop at: what its receipts and audits bill;
  and of what was written off, as much as the prompt and the tokens that came cost beyond the receipts. A node that
  signs nothing at the end would otherwise make every such answer free. Where the gateway itself ended it, because it
  stops or because another part of the request failed, receipts and audits alone.
- An answer that failed after text had reached its caller: the same, of what was delivered.
- An answer that failed before any text had reached its caller: nothing. An answer that is not streamed is of this kind.

What the session paid beyond that is the gateway's loss. Of an answer that is paid it is at most a chunk for each node
that failed, and rows that were replayed at a spare. An answer that fails and is not streamed is lost as a whole: a node
that nobody can replace ends it when it likes. What the node signed of the answer counts against it, as many chunks as
had counted for it and one more: one that ends half of what it is given gets no more orders here. Of answers that it
ends at once, those chunks count once, as in an outage; that bounds what it can gain at a time by the answers under way.
A loss is booked, so that the books account for all that sessions paid.

Where the version's publisher gets a share, its caller pays it on top of what it owes nodes and vault, rounded up for
each node: a session's share is rounded once, in the end, and is never more than what its answers were billed for it.
"""

from __future__ import annotations

from collections.abc import Iterable

from nexus_chain.client.answer import Answer
from nexus_chain.evidence.proof import InferenceProof
from nexus_chain.market.publisher_share import share_at_most
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
    spent, share = sum(sessions.values()), sum(one.share_wei for one in running.spending)
    costs = _delivered_costs(running, wei_per_token) if answer is None else _ended_costs(running, answer)
    due = sum(costs)
    if not due:
        return Bill(0, 0, lost_wei=spent + share, sessions=sessions)
    vault = sum(split_settlement(wei)[1] for wei in costs)
    publisher = sum(share_at_most(wei, _rate(running)) for wei in costs)
    lost = max(0, spent - due) + max(0, share - publisher)
    return Bill(due - vault, vault, settings.gas_wei, fee_of(due, settings), lost, sessions, publisher_wei=publisher)


def _rate(running: RunningAnswer) -> int:
    """Basis points for the publisher: those of the session that the answer came from, the last that it was tried in."""
    return running.spending[-1].share if running.spending else 0


def spending_of(answers: Iterable[RunningAnswer]) -> dict[bytes, int]:
    """Wei that answers took of each session so far, by its id; of those that took nothing, nothing."""
    found: dict[bytes, int] = {}
    for one in (one for running in answers for one in running.spending if one.wei):
        found[one.session] = found.get(one.session, 0) + one.wei
    return found


def _ended_costs(running: RunningAnswer, answer: Answer) -> list[int]:
    """What the caller owes of an answer that did not fail: receipts and audits, by node, as the contract splits lines;
    then what it was given without a receipt.
    """
    receipts = _by_node((receipt.node, receipt.price) for receipt, _ in answer.proof.receipts)
    audits = _by_node((audit.auditor, audit.price) for audit in answer.audits)
    given = running.prompt_tokens + max(0, len(answer.tokens) - 1)  # the last token was sampled and not computed on
    found = {node: receipts.get(node, 0) + audits.get(node, 0) for node in {**receipts, **audits}}
    if not running.is_owed_without_receipts:
        return list(found.values())
    price = _price_of(answer.proof)
    return [*found.values(), _unreceipted(running, given, sum(receipts.values()), price)]


def _delivered_costs(running: RunningAnswer, wei_per_token: int) -> list[int]:
    """What the caller owes of an answer that failed: receipts, by node, then what was delivered without one."""
    if not running.delivered_tokens:
        return []
    billed = [wei for one in running.spending for wei in one.billed.values()]
    price = wei_per_token if running.failed_proof is None else _price_of(running.failed_proof)
    return [*billed, _unreceipted(running, running.delivered_tokens, sum(billed), price)]


def _unreceipted(running: RunningAnswer, given: int, billed: int, wei_per_token: int) -> int:
    """Wei of ``given`` tokens that no receipt bills. INVARIANT: never more than what nodes may collect for them."""
    lost = sum(wei for one in running.spending for wei in one.lost.values())
    return min(lost, max(0, given * wei_per_token - billed))


def _price_of(proof: InferenceProof) -> int:
    """Wei for a position, as the order offered it to its nodes."""
    return sum(ask.wei_per_token for ask in proof.order.asks)


def _by_node(costs: Iterable[tuple[str, int]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for node, wei in costs:
        found[node] = found.get(node, 0) + wei
    return found
