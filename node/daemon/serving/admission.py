"""Whether a node takes an order, a voucher, or the paper behind a chunk. Pure checks, numbered.

Facts from the chain come as arguments; what depends on the node's own history is the state's
business (``ledger/transition.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from nexus_chain.commitments.tensor import commit, tensor_root
from nexus_chain.market.documents import (
    AuditOrder,
    Document,
    Domain,
    Order,
    Receipt,
    TokenFeed,
    Voucher,
    recover_digest,
    require_signer,
)
from nexus_chain.market.errors import MarketError, OrderOverLimitError, WrongSignerError
from nexus_chain.market.orders import OrderTerms, check_order, require_own_ask
from nexus_chain.market.vouchers import amount_in
from nexus_chain.program.sampling import Sampling
from node.daemon.errors import (
    CreditError,
    MalformedRequestError,
    ModelNotServedError,
    PredecessorError,
    PromptError,
    SessionNotOpenError,
)
from node.daemon.ledger.events import SessionObserved
from node.daemon.ledger.state import OrderState
from node.daemon.served_model import ServedModel

SignedText = tuple[str, bytes]


class ChainFacts(Protocol):
    """What a serving node asks the chain."""

    def session(self, session: bytes) -> SessionObserved:
        """A session and this node's line in it; SessionNotOpenError when there is none."""

    def require_share(self, session: SessionObserved, version: bytes) -> None:
        """Raise ShareNotPaidError where the publisher of ``version`` gets a share that the session does not pay."""

    def is_allotted(self, session: bytes, node: str) -> bool:
        """Whether ``node`` has a line in the session."""

    def receipt_key(self, node: str) -> str:
        """The key that signs ``node``'s receipts; PredecessorError when it never registered."""

    def now(self) -> int:
        """The chain's time, Unix seconds."""


@dataclass(frozen=True)
class Application:
    """An order as it arrives: ``prompt`` i32[prompt_length], or empty where this segment needs none.

    ``prompt_tree`` is the root of the tree over the prompt's tokens, 32 bytes: with the length it gives the order's
    promptRoot. ``credit``: the receipt of the node that this one replaces, whose positions are replayed for nothing.
    With ``audit`` it is that which is ordered, about the order: one receipt's rows once more.
    """

    order: Order
    signature: bytes
    segment: int
    prompt_length: int
    prompt: Tensor
    prompt_tree: bytes
    credit: SignedText | None = None
    audit: AuditOrder | None = None
    audit_signature: bytes = b""

    def digest(self, domain: Domain) -> bytes:
        """What the node's sequence is known by."""
        return (self.audit or self.order).digest(domain)


def admit(application: Application, model: ServedModel, session: SessionObserved, domain: Domain, now: int) -> None:
    """Raise unless this node should serve the order (``OrderError``, ``ServingError``, ``SamplingError``).

    1. this node's model version
    2. the session is open and pays this node
    3. signature, deadline, cover, context, maximum price (``market.orders.check_order``)
    4. the segment is this node's layers at its price or above
    5. the cap covers the prompt
    6. the prompt's length is that of the prompt ordered, and the prompt, where it is needed, is that one
    7. the sampling parameters are some
    8. an encoder is asked for one token
    """
    order = application.order
    if order.model_version != model.version:
        raise ModelNotServedError(
            f"this node serves model version 0x{model.version.hex()}, not 0x{order.model_version.hex()}",
            advice="Look up who serves that version with `nexus nodes`.",
        )
    if session.closing or session.settled or now >= session.expiry or not session.cap:
        raise SessionNotOpenError(
            "the session is closing, has expired, or holds nothing for this node",
            advice="Open a new session, or allot a cap to this node.",
        )
    terms = OrderTerms(session.session, session.signer, model.version, model.layers, model.context, now)
    check_order(order, application.signature, domain, terms, application.prompt_length)
    require_own_ask(order, application.segment, model.ask)
    price = order.asks[application.segment].wei_per_token * application.prompt_length
    if price > session.cap:
        raise OrderOverLimitError(
            f"the prompt alone costs {price} wei and the session holds {session.cap} wei for this node",
            advice="Raise the cap with `allot`, or shorten the prompt.",
        )
    check_prompt_length(application)
    if model.is_first or model.is_last:
        check_prompt_tokens(application, model.vocab)
    Sampling(order.sampling, order.sampling_seed)
    if model.encoder and order.max_tokens != 1:
        raise OrderOverLimitError(
            f"an encoder answers with one token and the order asks for {order.max_tokens}",
            advice="Set the order's maxTokens to 1.",
        )


def check_prompt_length(application: Application) -> None:
    """Raise PromptError unless the prompt has the stated length by the order's promptRoot.

    INVARIANT: the length says which positions are sampled, and a game takes the one that opens promptRoot: a node that
    believed another would sign what the order does not give.
    """
    order, tree = application.order, application.prompt_tree
    if tensor_root("i32", (application.prompt_length,), tree, order.salt) != order.prompt_root:
        raise PromptError(
            f"a prompt of {application.prompt_length} tokens does not have the order's promptRoot",
            advice="Send the prompt's own length and the root of the tree over its tokens.",
        )


def check_prompt_tokens(application: Application, vocab: int) -> None:
    """Raise PromptError unless the prompt tokens are there, are tokens, and hash to the order's promptRoot."""
    prompt, order = application.prompt, application.order
    if len(prompt) != application.prompt_length or bool(((prompt < 0) | (prompt >= vocab)).any()):
        raise PromptError(
            f"{application.prompt_length} prompt tokens below {vocab} were promised, something else was sent",
            advice="Send all prompt tokens to the first and the last segment.",
        )
    if commit(prompt, order.salt) != order.prompt_root:
        raise PromptError(
            "the prompt tokens do not hash to the order's promptRoot",
            advice="Sign the order over the salted root of exactly these tokens.",
        )


def voucher_amount(voucher: Voucher, signature: bytes, signer: str, node: str, domain: Domain) -> int:
    """Cumulative wei that a voucher promises ``node``; raises WrongSignerError and VoucherLineError.

    ``signer`` is the key of the session that the voucher names.
    """
    require_signer(voucher, signature, domain, signer)
    return amount_in(voucher, node)


@dataclass(frozen=True)
class Chunk:
    """Positions [from_position, to_position) of an order, and the root of the node's own rows in, up to the end."""

    from_position: int
    to_position: int
    in_root: bytes


def check_predecessors(
    chunk: Chunk,
    known: OrderState,
    order: Order,
    handed: tuple[SignedText, ...],
    signer: str,
    facts: ChainFacts,
    domain: Domain,
) -> tuple[bytes, ...]:
    """The digests of what vouches for a chunk's rows of ``order``; raises PredecessorError when nothing does.

    Without this a client could hand over invented rows, and the node would answer for them.
    """
    if known.segment == 0 and chunk.to_position == known.prompt_length:
        if chunk.in_root != order.prompt_root:
            raise PredecessorError("the rows are not the ordered prompt", advice="Feed the prompt of the order.")
        return ()
    if len(handed) != 1:
        raise PredecessorError(
            f"{len(handed)} documents vouch for the chunk, not one",
            advice="Hand over the previous segment's receipt, or a TokenFeed for segment 0.",
        )
    text, signature = handed[0]
    try:
        if known.segment == 0:
            return (_check_feed(TokenFeed.from_json(text), signature, chunk, known, signer, domain),)
        return (_check_receipt(Receipt.from_json(text), signature, chunk, known, facts, domain),)
    except MarketError as error:
        raise PredecessorError(
            f"what vouches for the chunk is no good: {error.message}", advice=error.advice
        ) from error


def _check_feed(
    feed: TokenFeed, signature: bytes, chunk: Chunk, known: OrderState, signer: str, domain: Domain
) -> bytes:
    """Segment 0: the user says which tokens it fed."""
    digest = _signed_by(feed, signature, signer, domain)
    if (feed.order_digest, feed.to_position, feed.root) != (known.digest, chunk.to_position, chunk.in_root):
        raise PredecessorError(
            "the TokenFeed is about other tokens", advice="Sign one for this order, this position and these tokens."
        )
    return digest


def _check_receipt(
    receipt: Receipt, signature: bytes, chunk: Chunk, known: OrderState, facts: ChainFacts, domain: Domain
) -> bytes:
    """1 order, segment, position; 2 its rows out are our rows in; 3 allotted; 4 signed by its receipt key."""
    place = (receipt.order_digest, receipt.segment, receipt.to_position)
    if place != (known.digest, known.segment - 1, chunk.to_position):
        raise PredecessorError(
            f"the receipt is for segment {receipt.segment} up to {receipt.to_position}",
            advice=f"Hand over segment {known.segment - 1}'s receipt up to {chunk.to_position}.",
        )
    if receipt.out_root != chunk.in_root:
        raise PredecessorError(
            "the predecessor signed other rows than those sent here", advice="Do not trust it; use a spare for it."
        )
    # INVARIANT: rows come from a node that the user allotted: a stranger's key vouches for nothing.
    if not facts.is_allotted(known.session, receipt.node):
        raise PredecessorError(
            f"{receipt.node} has no line in this session", advice="Allot a cap to it before it serves."
        )
    return _signed_by(receipt, signature, facts.receipt_key(receipt.node), domain)


def _signed_by(document: Document, signature: bytes, signer: str, domain: Domain) -> bytes:
    """The document's digest, hashed once; WrongSignerError unless ``signer`` signed it."""
    digest = document.digest(domain)
    found = recover_digest(digest, signature)
    if found != signer:
        raise WrongSignerError(
            f"this {document.STRUCT} was signed by {found}, not by {signer}",
            advice="Check the key, the chain id and the market address: all three are part of what is signed.",
        )
    return digest


def credit_of(application: Application, node: str, limit: int, facts: ChainFacts, domain: Domain) -> int:
    """Positions that ``node`` replays for nothing, 0 where no receipt was shown. Raises CreditError.

    1. this order, this segment, all of the prompt, positions within it
    2. another node's, which has a line in the session
    3. signed by its receipt key
    """
    if application.credit is None:
        return 0
    text, signature = application.credit
    try:
        receipt = Receipt.from_json(text)
        place = (receipt.order_digest, receipt.segment)
        if place != (application.order.digest(domain), application.segment):
            raise _no_credit("it is not for this order and segment")
        if not application.prompt_length <= receipt.to_position <= limit:
            raise _no_credit(f"it ends at {receipt.to_position}, which is within the prompt or beyond the order")
        # INVARIANT: a node is never made to replay its own receipt for nothing, nor that of somebody without a line.
        if receipt.node == node or not facts.is_allotted(application.order.session, receipt.node):
            raise _no_credit(f"{receipt.node} is no other node of this session")
        require_signer(receipt, signature, domain, facts.receipt_key(receipt.node))
    except MarketError as error:
        raise _no_credit(error.message) from error
    return receipt.to_position


def check_credit(known: OrderState, in_root: bytes, out_root: bytes | None = None) -> None:
    """Raise CreditError unless the receipt behind an order's credit is over the rows that were computed here.

    ``out_root`` is not compared where it is None.
    """
    receipt = Receipt.from_json(known.credit_receipt)
    if in_root != receipt.in_root:
        raise _no_credit("other rows were sent here than its node signed for")
    if out_root not in (None, receipt.out_root):
        raise _no_credit(f"its node {receipt.node} signed rows that these do not give: dispute it")


def _no_credit(why: str) -> CreditError:
    return CreditError(
        f"the receipt shown for a free replay is no good: {why}",
        advice="Show the receipt of the node that failed, or prepay the replay.",
    )


def tokens_within(tokens: Tensor, vocab: int) -> None:
    """Raise MalformedRequestError for a token that is none."""
    values = tokens.tolist()  # for a handful of tokens numpy takes ten times as long, torch much longer
    if values and (min(values) < 0 or max(values) >= vocab):
        raise MalformedRequestError(f"there is a token outside 0 to {vocab - 1}", advice="Send the model's own tokens.")
