"""Audits: a node sells the recomputation of another node's receipt. Pure checks and the documents they lead to.

An audit is a sequence of its own, known by its AuditOrder's digest: rows, write-ahead log, billing and defence
are those of any order. The node gets the order, the rows in and their root, never the root that the other node signed,
so there is nothing to copy; its receipt can be disputed like any other.
"""

from __future__ import annotations

from nexus_chain.market.documents import AuditOrder, Domain, Receipt, require_signer
from nexus_chain.market.orders import OrderTerms, check_order
from nexus_chain.market.pricing import billed_positions
from nexus_chain.program.sampling import Sampling
from node.daemon.errors import AuditError, ModelNotServedError, OrderConflictError, SessionNotOpenError
from node.daemon.ledger.events import OrderReceived, SessionObserved
from node.daemon.ledger.state import OrderState
from node.daemon.served_model import ServedModel
from node.daemon.serving.admission import Application, Chunk, check_prompt_length, check_prompt_tokens


def admit_audit(
    application: Application,
    model: ServedModel,
    node: str,
    session: SessionObserved,
    domain: Domain,
    now: int,
    *,
    served: bool,
) -> None:
    """Raise unless ``node`` should take the audit (``OrderError``, ``ServingError``, ``SamplingError``).

    1. this node sells audits, and it is asked
    2. ``served``: it does not serve the order itself, or it would be compared with itself
    3. the session is open and pays this node
    4. the session key signed the order, for this model; its deadline was for serving and does not count
    5. the session key signed the audit, for this order
    6. the segment is this node's layers
    7. positions and price are possible
    8. prompt and prompt length are those ordered, and the sampling parameters are some
    """
    order, audit = application.order, application.audit
    if audit is None or not model.audit_wei_per_token or audit.node != node:
        raise AuditError("this node sells no such audit", advice="Buy it from a node that tells a price for audits.")
    if served:
        raise OrderConflictError("this node serves the order itself", advice="Buy the audit from another node.")
    if session.closing or session.settled or now >= session.expiry or not session.cap:
        raise SessionNotOpenError(
            "the session is closing, has expired, or holds nothing for this node",
            advice="Open a new session, or allot a cap to this node.",
        )
    terms = OrderTerms(
        session.session, session.signer, model.version, model.layers, model.context, min(now, order.deadline)
    )
    check_order(order, application.signature, domain, terms, application.prompt_length)
    require_signer(audit, application.audit_signature, domain, session.signer)
    if (audit.order_digest, audit.segment) != (order.digest(domain), application.segment):
        raise AuditError("the audit is about another order or segment", advice="Send the order that the audit names.")
    if not model.serves(order, audit.segment):
        raise ModelNotServedError(
            f"segment {audit.segment} of the order is not this node's layers", advice="Ask a node that serves them."
        )
    _check_bill(application, audit, model, session.cap)
    check_prompt_length(application)
    if model.is_first or model.is_last:
        check_prompt_tokens(application, model.vocab)
    Sampling(order.sampling, order.sampling_seed)


def _check_bill(application: Application, audit: AuditOrder, model: ServedModel, cap: int) -> None:
    last = billed_positions(application.prompt_length, application.order.max_tokens)
    if not application.prompt_length <= audit.to_position <= last:
        raise AuditError(
            f"no receipt of the order ends at position {audit.to_position}", advice="Name one that was signed."
        )
    wei, rest = divmod(audit.price, audit.to_position)
    if rest or wei < model.audit_wei_per_token or audit.price > cap:
        raise AuditError(
            f"{audit.price} wei for {audit.to_position} positions is not a whole price of at least "
            f"{model.audit_wei_per_token} wei each within the cap of {cap} wei",
            advice="Offer the price that this node tells, and allot as much to it.",
        )


def audit_event(application: Application, audit: AuditOrder, model: ServedModel, digest: bytes) -> OrderReceived:
    """The event of an audit that was admitted; every position costs the same share of its price."""
    order = application.order
    prompt = application.prompt if model.is_first or model.is_last else application.prompt[:0]
    return OrderReceived(
        digest=digest,
        session=order.session,
        order=order.to_json(),
        signature=application.signature,
        segment=audit.segment,
        prompt_length=application.prompt_length,
        prompt=prompt.numpy().astype("<i4").tobytes(),
        wei_per_token=audit.price // audit.to_position,
        limit=audit.to_position,
        audit=audit.to_json(),
    )


def audit_receipt(known: OrderState, chunk: Chunk, out_root: bytes) -> Receipt:
    """What this node says about the audited rows. Raises AuditError unless they are all there, and those ordered."""
    audit = AuditOrder.from_json(known.audit)
    # INVARIANT: an audit vouches for exactly the rows that its buyer signed for, in one receipt.
    if (chunk.from_position, chunk.to_position, chunk.in_root) != (0, audit.to_position, audit.in_root):
        raise AuditError(
            f"the rows up to {chunk.to_position} are not those that the audit names up to {audit.to_position}",
            advice="Send the rows whose root the audit order names, all of them.",
        )
    return Receipt(
        order_digest=audit.order_digest,
        node=audit.node,
        segment=audit.segment,
        from_position=0,
        to_position=audit.to_position,
        in_root=audit.in_root,
        out_root=out_root,
        predecessors=(known.digest,),
        price=audit.price,
    )
