"""Payments that come with a request (x402, scheme ``exact``): what is asked, what was offered, whether it fits.

A caller without a key is told what an answer can cost at most, in units of a token. It signs an authorization
(EIP-3009) that lets the gateway fetch exactly that, and sends it in a header with the same request. Nothing here asks
the chain.
"""

from __future__ import annotations

from dataclasses import dataclass

from eth_utils.address import is_address, to_checksum_address
from pydantic import ValidationError
from x402.http.constants import PAYMENT_REQUIRED_HEADER
from x402.http.utils import decode_payment_signature_header, encode_payment_required_header
from x402.mechanisms.evm.constants import SCHEME_EXACT
from x402.mechanisms.evm.eip712 import hash_eip3009_authorization
from x402.mechanisms.evm.types import ExactEIP3009Authorization, ExactEIP3009Payload
from x402.schemas import PaymentPayload, PaymentRequired, PaymentRequirements, ResourceInfo

from nexus_chain.market.documents import recover_digest
from nexus_chain.market.errors import BadSignatureError
from node.gateway.errors import InvalidRequestError, PaymentRequiredError

STILL_VALID_SECONDS = 10
"""How long an authorization has to be valid still: it has to reach a block."""
CLOCK_SECONDS = 60
"""By which a payer's clock may be ahead."""
_MOST_HEADER = 16_000
_WORD = 2**256


@dataclass(frozen=True)
class X402Terms:
    """What is taken for answers. ``asset``: the token's address; ``pay_to``: who gets it; both EIP-55.

    ``token_name``, ``token_version``: of the token's EIP-712 domain. ``wei_per_unit``: wei of credit for one of the
    token's smallest units. ``least_wei``: no payment is of less credit. The gateway pays gas to fetch each, so a
    payment of dust would cost it more than it brings. ``seconds``: how long an authorization may be valid at most.
    """

    chain_id: int
    asset: str
    pay_to: str
    token_name: str
    token_version: str
    wei_per_unit: int
    least_wei: int = 0
    seconds: int = 120

    @property
    def network(self) -> str:
        """The chain as CAIP-2 names it."""
        return f"eip155:{self.chain_id}"

    def units(self, wei: int) -> int:
        """Units of the token that cover ``wei``, and are worth fetching."""
        return max(1, -(-max(wei, self.least_wei) // self.wei_per_unit))

    def requirements(self, units: int) -> PaymentRequirements:
        """What a payment of ``units`` has to be."""
        return PaymentRequirements(
            scheme=SCHEME_EXACT,
            network=self.network,
            asset=self.asset,
            amount=str(units),
            pay_to=self.pay_to,
            max_timeout_seconds=self.seconds,
            extra={"name": self.token_name, "version": self.token_version},
        )


@dataclass(frozen=True)
class Authorization:
    """A payment that its payer has signed. ``units``: of the token; times are Unix seconds; ``nonce``: 32 bytes."""

    payer: str
    pay_to: str
    units: int
    valid_after: int
    valid_before: int
    nonce: bytes
    signature: bytes


def payment_required(terms: X402Terms, wei: int, resource: str, reason: str) -> PaymentRequiredError:
    """The error that says what to pay for ``wei``; ``reason``: why what was sent, if anything, does not do."""
    error = PaymentRequiredError(reason, advice="Pay as the payment-required header says, or use an API key.")
    required = PaymentRequired(
        error=reason,
        resource=ResourceInfo(url=resource, mime_type="application/json"),
        accepts=[terms.requirements(terms.units(wei))],
    )
    error.headers[PAYMENT_REQUIRED_HEADER] = encode_payment_required_header(required)
    return error


def read_payment(header: str, terms: X402Terms) -> Authorization:
    """The authorization in a payment header, which its payer has signed for this token on this chain.

    Raises InvalidRequestError where it is none. Whether it is enough, and still good, is another question.
    """
    try:
        if len(header) > _MOST_HEADER:
            raise ValueError
        payload = decode_payment_signature_header(header)
        if not isinstance(payload, PaymentPayload) or payload.accepted.scheme != SCHEME_EXACT:
            raise ValueError
        found = ExactEIP3009Payload.from_dict(payload.payload)
        return _signed_by_payer(found, terms)
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError, ValidationError, BadSignatureError):
        # Without the cause: it could quote what was sent.
        raise InvalidRequestError(
            "the payment header holds no signed payment for here",
            advice=f"Send version 2 of x402: scheme exact on {terms.network}, an EIP-3009 authorization.",
        ) from None


def _signed_by_payer(found: ExactEIP3009Payload, terms: X402Terms) -> Authorization:
    """Raises ValueError and BadSignatureError."""
    given = found.authorization
    if not is_address(given.from_address) or not is_address(given.to):
        raise ValueError
    units, after, before = (_number(value) for value in (given.value, given.valid_after, given.valid_before))
    nonce, signature = _bytes(given.nonce), _bytes(found.signature or "")
    if len(nonce) != 32:
        raise ValueError
    payer, pay_to = to_checksum_address(given.from_address), to_checksum_address(given.to)
    exact = ExactEIP3009Authorization(payer, pay_to, str(units), str(after), str(before), "0x" + nonce.hex())
    digest = hash_eip3009_authorization(exact, terms.chain_id, terms.asset, terms.token_name, terms.token_version)
    # INVARIANT: whoever is taken for the payer has signed this. (Accounts that are contracts cannot pay this way.)
    if recover_digest(digest, signature) != payer:
        raise ValueError
    return Authorization(payer, pay_to, units, after, before, nonce, signature)


def _number(text: str) -> int:
    if not (isinstance(text, str) and text.isascii() and text.isdigit() and len(text) <= 78 and int(text) < _WORD):
        raise ValueError
    return int(text)


def _bytes(text: str) -> bytes:
    if not text.startswith("0x"):
        raise ValueError
    return bytes.fromhex(text[2:])


def why_not(authorization: Authorization, terms: X402Terms, wei: int, now: float) -> str | None:
    """Why an authorization does not pay for ``wei`` now; None where it does."""
    if authorization.pay_to != terms.pay_to:
        return "the payment is for somebody else"
    # INVARIANT: nothing is fetched that is worth less than the operator's least payment, however little is asked for.
    if authorization.units < (least := terms.units(0)):
        return f"the payment is of {authorization.units} units, and none of less than {least} units is taken"
    if authorization.units < terms.units(wei):
        return f"the payment is of {authorization.units} units, and this can cost {terms.units(wei)} units"
    if authorization.valid_after >= now:
        return "the payment is not valid yet"
    if authorization.valid_before < now + STILL_VALID_SECONDS:
        return "the payment has expired, or is about to"
    # INVARIANT: it is known soon how a payment ended. One that is good for ever could never be forgotten.
    if authorization.valid_before > now + terms.seconds + CLOCK_SECONDS:
        return f"the payment is valid for longer than {terms.seconds} seconds"
    return None
