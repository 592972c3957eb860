"""What a caller is told where the network's client fails: whose fault it is, and whether to ask again."""

from __future__ import annotations

import logging

from nexus_chain.chain.errors import ChainError, RpcUnreachableError, WalletError
from nexus_chain.client.errors import (
    AnswerWrongError,
    CapTooLowError,
    DisagreementError,
    NoSpareError,
    ReplayMismatchError,
    SessionStateError,
)
from nexus_chain.errors import NexusError
from nexus_chain.market.errors import MarketError
from nexus_chain.program.errors import SamplingError
from nexus_chain.routing.errors import RoutingError
from nexus_chain.versions.errors import ChatFormatError, PromptTooLongError
from nexus_chain.wire.errors import BadReceiptError
from node.gateway.errors import (
    AnswerWithheldError,
    ContextTooLongError,
    GatewayError,
    InvalidRequestError,
    UnavailableError,
)

log = logging.getLogger(__name__)

SOON, LATER = 1.0, 5.0
"""Seconds until a caller may ask again: where prices moved; where somebody is away."""
_AGAIN = "Ask again in a few seconds."


def told(error: NexusError) -> GatewayError:
    """``error`` as a caller is told; what only the operator can act on is logged, and not told."""
    if isinstance(error, GatewayError):
        return error
    if isinstance(error, PromptTooLongError):
        return ContextTooLongError(error.message, advice=error.advice)
    if isinstance(error, ChatFormatError):
        return InvalidRequestError(error.message, advice="Change the messages' roles or their order.", param="messages")
    if isinstance(error, SamplingError):
        return InvalidRequestError(error.message, advice=error.advice, param="temperature")
    if (lie := _lie(error)) is not None:
        return AnswerWithheldError(
            f"the answer is withheld: {lie.message}",
            advice="Ask again: it goes to other nodes. You pay for the text that you were given, if any.",
        )
    log.warning("An answer failed: %s", error)
    if isinstance(error, RoutingError | NoSpareError):
        return UnavailableError(error.message, advice=_AGAIN, retry_after=LATER)
    if isinstance(error, MarketError):
        return UnavailableError("the nodes' prices have just changed", advice=_AGAIN, retry_after=SOON)
    return UnavailableError(_away(error), advice=_AGAIN, retry_after=LATER)


def _lie(error: NexusError) -> NexusError | None:
    """What a node did wrong, where that is why an answer ended: nobody, or no money, was left to replace it."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, AnswerWrongError | DisagreementError | BadReceiptError | ReplayMismatchError):
            return found
        found = found.__cause__ or found.__context__
    return None


def _away(error: NexusError) -> str:
    """What is missing, without the operator's addresses."""
    if isinstance(error, RpcUnreachableError):
        return "the chain does not answer, and what is known of open sessions is too old to ask in them"
    if isinstance(error, WalletError):
        return "this gateway's wallet cannot lock money for answers now"
    if isinstance(error, ChainError | CapTooLowError | SessionStateError):
        return "no session has money for this answer now"
    return "the answer could not be computed now"
