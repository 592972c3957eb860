"""Taking payments that come with a request: fetched on the chain by the gateway's own wallet, booked as credit.

A payment becomes credit of whoever signed it, before the answer is reserved from that credit. So what an answer did not
cost is not lost: the payer signs in with the same account and spends it. A payment counts once: the token refuses its
nonce a second time, and the books its key.

It is written down before it is sent. A gateway that dies in between leaves a line behind, from which the next one finds
out on the chain how it ended (``keep_up``).
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from asyncio import Future
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from hexbytes import HexBytes
from sqlalchemy import Connection, delete, select, update
from web3 import Web3
from x402.http.utils import encode_payment_response_header
from x402.mechanisms.evm.constants import AUTHORIZATION_STATE_ABI, TRANSFER_WITH_AUTHORIZATION_VRS_ABI
from x402.schemas import SettleResponse

from nexus_chain.chain.errors import ChainError, ContractRevertedError, UnfundedWalletError
from nexus_chain.chain.rpc_answers import TransactionReceipt
from nexus_chain.chain.transactions import Sender
from nexus_chain.chain.web3_errors import chain_errors
from node.gateway.access.x402_offers import Authorization, X402Terms, payment_required, read_payment, why_not
from node.gateway.accounts import PAY, Caller, PaymentOffer
from node.gateway.errors import LimitReachedError, PaymentRequiredError, UnavailableError
from node.gateway.ledger.books import PAYMENTS_IN, insert_new, post, user
from node.gateway.ledger.database import Database
from node.gateway.ledger.tables import PAYMENTS

log = logging.getLogger(__name__)

_BEGUN, _BOOKED = "begun", "booked"
_THREADS = 4
_MOST_WAITING = 64
_LEFT_BEHIND_SECONDS = 600
_EVENTS_ABI: list[dict[str, Any]] = [
    {
        "type": "event",
        "name": "Transfer",
        "anonymous": False,
        "inputs": [
            {"name": "from", "type": "address", "indexed": True},
            {"name": "to", "type": "address", "indexed": True},
            {"name": "value", "type": "uint256", "indexed": False},
        ],
    },
    {
        "type": "event",
        "name": "AuthorizationUsed",
        "anonymous": False,
        "inputs": [
            {"name": "authorizer", "type": "address", "indexed": True},
            {"name": "nonce", "type": "bytes32", "indexed": True},
        ],
    },
]


class X402Payments:
    """One for a gateway; ``close`` it in the end."""

    def __init__(
        self, database: Database, terms: X402Terms, sender: Sender, clock: Callable[[], float] = time.time
    ) -> None:
        """``sender``: of the wallet that pays the gas; its journal and its limits apply. ``clock``: Unix seconds."""
        self.terms, self._database, self._sender, self._clock = terms, database, sender, clock
        abi = [*TRANSFER_WITH_AUTHORIZATION_VRS_ABI, *AUTHORIZATION_STATE_ABI, *_EVENTS_ABI]
        self._token = sender.web3.eth.contract(address=Web3.to_checksum_address(terms.asset), abi=abi)
        # Of its own: a payment waits for a block, and answers that are paid already do not wait for it.
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="nexus-payments")
        self._waiting = 0

    def payer_of(self, offer: PaymentOffer) -> str:
        """The account that signed what was offered, empty where nothing was. Raises InvalidRequestError."""
        return read_payment(offer.sent, self.terms).payer if offer.sent else ""

    async def take(self, offer: PaymentOffer, wei: int) -> None:
        """Fetch the payment, at least ``wei`` of credit for its payer; an offer that was taken is left alone.

        Raises PaymentRequiredError (nothing or too little was offered, or the token refuses it), InvalidRequestError,
        LimitReachedError (too many wait), UnavailableError (the chain does not answer: what arrives later becomes
        credit).
        """
        if offer.receipt is not None:
            return
        if not offer.sent:
            raise payment_required(self.terms, wei, offer.resource, "this needs a payment or an API key")
        if self._waiting >= _MOST_WAITING:
            # INVARIANT: strangers take no memory for more payments than wait here, be they callers who left.
            raise LimitReachedError("too many pay at once", advice="Try again in a moment.", retry_after=2.0)
        work = asyncio.get_running_loop().run_in_executor(self._threads, self._take, offer, wei)
        self._waiting += 1
        work.add_done_callback(self._taken)
        # Shielded: a payment that was begun is booked, also when its caller has left.
        offer.receipt = await asyncio.shield(work)

    def _taken(self, _: Future[str]) -> None:
        self._waiting -= 1

    def _take(self, offer: PaymentOffer, wei: int) -> str:
        authorization = read_payment(offer.sent, self.terms)
        refuse = partial(payment_required, self.terms, wei, offer.resource)
        if reason := why_not(authorization, self.terms, wei, self._clock()):
            raise refuse(reason)
        key = self._key(authorization)
        if self._database.read(partial(_is_known, key=key)):
            raise refuse("the payment was used before")
        try:
            transaction = self._fetch(authorization, key, refuse)
        except ContractRevertedError as error:
            log.info("the token refuses a payment (%s)", error.error_name)
            raise refuse("the token refuses the payment: check the payer's balance") from error
        except UnfundedWalletError as error:
            log.error("payments cannot be taken: %s", error.message)
            raise UnavailableError(
                "the gateway cannot take payments now", advice="Use an API key, or try later.", retry_after=60.0
            ) from error
        except ChainError as error:
            raise UnavailableError(
                "the chain does not say how the payment ended",
                advice="Do not pay again: what arrives becomes credit of the payer, who can sign in and spend it.",
                retry_after=30.0,
            ) from error
        return self._receipt(authorization, transaction)

    def _fetch(self, authorization: Authorization, key: str, refuse: Callable[[str], PaymentRequiredError]) -> str:
        """Fetch and book it; the transaction's hash. Raises GatewayError and ChainError."""
        call = self._transfer(authorization)
        # First without a line in the database: nobody fills it with payments that they cannot make.
        with chain_errors(self._sender.web3):
            call.call({"from": self._sender.wallet.address})
            block = int(self._sender.web3.eth.block_number)
        said = self._said(authorization, block)
        if not self._database.write(partial(self._begin, key=key, payer=authorization.payer, said=said)):
            raise refuse("the payment was used before")
        try:
            mined = self._sender.send(call, wish=key)
        except UnfundedWalletError:
            self._database.write(partial(_forget, key=key))
            raise
        except ContractRevertedError:
            # Authorizations are public once they are sent: somebody else may have been faster, to the same end.
            if transaction := self._find_out(key, authorization.payer, said):
                return transaction
            raise
        if not self._arrived(mined.receipt, authorization.payer, authorization.units):
            log.error("the token said yes to a payment and moved nothing (%s)", mined.hash)
            raise refuse("the token moved nothing")
        self._database.write(partial(_book, key=key))
        return mined.hash

    def _key(self, authorization: Authorization) -> str:
        terms = self.terms
        return f"x402:{terms.chain_id}:{terms.asset}:{authorization.payer}:0x{authorization.nonce.hex()}"

    def _transfer(self, given: Authorization) -> Any:
        signature = given.signature
        return self._token.functions.transferWithAuthorization(
            *(given.payer, given.pay_to, given.units, given.valid_after, given.valid_before, given.nonce),
            *(signature[64], signature[:32], signature[32:64]),
        )

    def _said(self, authorization: Authorization, block: int) -> dict[str, Any]:
        """What ``_find_out`` needs."""
        return {
            "nonce": "0x" + authorization.nonce.hex(),
            "units": str(authorization.units),
            "valid_before": authorization.valid_before,
            "block": block,
        }

    def _begin(self, connection: Connection, key: str, payer: str, said: dict[str, Any]) -> bool:
        """Write it down; False where it was begun before, by whichever gateway."""
        row = {
            "key": key,
            "payer": payer,
            "wei": int(said["units"]) * self.terms.wei_per_unit,
            "authorization": json.dumps(said),
            "state": _BEGUN,
            "created": int(self._clock()),
        }
        return connection.scalar(insert_new(connection, PAYMENTS).values(row).returning(PAYMENTS.c.key)) is not None

    def _receipt(self, authorization: Authorization, transaction: str) -> str:
        """The header that tells of a payment."""
        return encode_payment_response_header(
            SettleResponse(
                success=True,
                payer=authorization.payer,
                transaction=transaction,
                network=self.terms.network,
                amount=str(authorization.units),
            )
        )

    def _arrived(self, receipt: TransactionReceipt | None, payer: str, units: int) -> bool:
        """INVARIANT: credit is what moved, not what was promised: the token's own event says so."""
        parties = (bytes(12) + bytes(HexBytes(address)) for address in (payer, self.terms.pay_to))
        topics = (bytes(HexBytes(self._token.events.Transfer().topic)), *parties)
        moved = self._token.address, topics, units.to_bytes(32, "big")
        return receipt is not None and any((log.address, log.topics, log.data) == moved for log in receipt.logs)

    def keep_up(self) -> None:
        """Find out how payments ended that were left behind: book what arrived. Raises UnavailableError, ChainError."""
        before = int(self._clock()) - _LEFT_BEHIND_SECONDS
        query = select(PAYMENTS).where(PAYMENTS.c.state == _BEGUN, PAYMENTS.c.created < before).limit(100)
        for row in self._database.read(lambda connection: connection.execute(query).all()):
            self._find_out(row.key, row.payer, json.loads(row.authorization))

    def _find_out(self, key: str, payer: str, said: dict[str, Any]) -> str | None:
        """Book a payment that arrived, and return its transaction; forget one that cannot arrive any more."""
        nonce, units = HexBytes(said["nonce"]), int(said["units"])
        web3 = self._sender.web3
        with chain_errors(web3):
            head = web3.eth.get_block("latest")
            if not self._token.functions.authorizationState(payer, nonce).call():
                if head["timestamp"] > said["valid_before"]:
                    self._database.write(partial(_forget, key=key))
                return None
            events = self._token.events.AuthorizationUsed().get_logs(
                from_block=said["block"], argument_filters={"authorizer": payer, "nonce": nonce}
            )
            deep = [one for one in events if one["blockNumber"] + self._sender.confirmations - 1 <= head["number"]]
        for transaction in (str(one["transactionHash"].to_0x_hex()) for one in deep):
            if self._arrived(self._sender.connection.receipt(transaction), payer, units):
                self._database.write(partial(_book, key=key))
                return transaction
        return None

    def close(self) -> None:
        """Wait for what was begun, and end the threads."""
        self._threads.shutdown()


def _is_known(connection: Connection, key: str) -> bool:
    return connection.scalar(select(PAYMENTS.c.key).where(PAYMENTS.c.key == key)) is not None


def _book(connection: Connection, key: str) -> None:
    found = connection.execute(select(PAYMENTS.c.payer, PAYMENTS.c.wei).where(PAYMENTS.c.key == key)).one()
    wei = int(found.wei)
    post(connection, key, "payment", {PAYMENTS_IN: -wei, user(found.payer): wei})
    connection.execute(update(PAYMENTS).where(PAYMENTS.c.key == key).values(state=_BOOKED))


def _forget(connection: Connection, key: str) -> None:
    connection.execute(delete(PAYMENTS).where(PAYMENTS.c.key == key, PAYMENTS.c.state == _BEGUN))


class PaymentHeaders:
    """Pure ASGI: tells the caller how its payment ended, whatever the response is."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request."""

        async def told(message: Any) -> None:
            offer = scope.get("state", {}).get("payment")
            if message["type"] == "http.response.start" and offer is not None and offer.receipt is not None:
                receipt = (b"payment-response", offer.receipt.encode())
                message = {**message, "headers": [*message.get("headers", ()), receipt]}
            await send(message)

        await self._app(scope, receive, told)


def offered_by(payments: X402Payments, sent: str, resource: str) -> Caller:
    """A caller without a key, by the payment that it sends. Raises InvalidRequestError."""
    offer = PaymentOffer(sent, resource)
    return Caller(payments.payer_of(offer), frozenset({PAY}), payment=offer)
