"""Sending transactions: what is sent is on disk before, found again afterwards, and never sent as something else.

One ``Sender`` per wallet and process. It estimates first, so a contract's refusal costs nothing and arrives as
``ContractRevertedError`` with the custom error's name. Then it signs, writes the signed bytes into the journal, and
sends them. An answer that is lost changes nothing: the same bytes are sent again, and whichever attempt of one intent
is mined counts. A command that is repeated goes on with the intent of the one before it. A program that must not wait
hands transactions in, and looks after them now and then.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from nexus_chain.chain.connection import ChainConnection
from nexus_chain.chain.errors import (
    ChainError,
    ContractRevertedError,
    RpcRefusedError,
    RpcUnreachableError,
    TransactionError,
    TransactionPendingError,
    UnfundedWalletError,
    WrongChainError,
)
from nexus_chain.chain.estimates import estimated_gas
from nexus_chain.chain.fees import base_fee, current_fees, most_per_gas, raised
from nexus_chain.chain.journal import FAILED, LOST, MINED, TOLD, Attempt, Intent, TransactionJournal
from nexus_chain.chain.nonces import NonceUse, missing_before, next_nonce, user_of
from nexus_chain.chain.provider import shown_url
from nexus_chain.chain.rpc_answers import TransactionReceipt
from nexus_chain.chain.wallet import Wallet
from nexus_chain.chain.web3_errors import chain_errors
from nexus_chain.market.documents import checksum

if TYPE_CHECKING:
    from web3 import Web3
    from web3.contract.contract import ContractFunction

log = logging.getLogger(__name__)

#: A plain transfer's gas: no transaction is cheaper.
_LEAST_GAS = 21_000
#: Other programs of the wallet may take a nonce between its reading and its use.
_NONCE_ATTEMPTS = 8
#: How often a used nonce has to be seen without our transaction before that is believed: servers lag.
_SIGHTINGS = 5
#: After so many seconds a used nonce, of whose transaction nobody knows any more, is believed to be another's.
_FORGOTTEN_SECONDS = 3_600.0
#: Seconds that this takes at least: a server may know an account's new count a while before the receipt.
_SIGHTING_SECONDS = 12.0
#: The most that one transaction's gas may cost, wei, unless a setting says otherwise.
MOST_FEE = 10**18
#: Seconds in which a repeated wish is taken for one that is under way or was just done.
REMEMBERED_SECONDS = 86_400.0
_KNOWN_WORDS = ("already known", "already imported", "known transaction", "already in the mempool", "alreadyknown")
_TAKEN_WORDS = ("nonce too low", "nonce is too low", "replacement transaction underpriced", "replacement underpriced",
                "nonce has already been used", "invalid nonce", "oldnonce")  # fmt: skip
_FAILING_WORDS = ("timeout", "timed out", "deadline", "upstream", "internal error", "internal server", "bad gateway",
                  "unavailable", "try again", "overloaded", "out of capacity", "connection")  # fmt: skip
"""Of a gateway whose server may have taken what was sent."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0
_HANDED_IN = "handed in"
"""The note of intents that nobody waits for."""


@dataclass(frozen=True)
class Mined:
    """A transaction that succeeded. ``fee`` is gas times price, wei. ``found``: an earlier command had sent it.

    ``intent``: its number in the journal.
    """

    hash: str
    block: int
    gas: int
    fee: int
    receipt: TransactionReceipt
    found: bool = False
    intent: int = 0


@dataclass(frozen=True)
class Wish:
    """What is to be done: the transaction without nonce, gas and fees."""

    purpose: str
    to: str | None
    value: int
    data: str
    note: str = ""
    name: str = ""

    @property
    def key(self) -> str:
        """The same for the same wish of one wallet on one chain."""
        if self.name:
            return self.name
        return hashlib.sha256(f"{(self.to or '').lower()} {self.value} {self.data}".encode()).hexdigest()

    def fields(self, sender: str) -> dict[str, Any]:
        """As a call."""
        found = {"from": sender, "value": self.value, "data": self.data}
        return found if self.to is None else {**found, "to": self.to}


class Sender:
    """Sends one wallet's transactions. Any thread may use it."""

    def __init__(
        self,
        connection: ChainConnection,
        wallet: Wallet,
        *,
        timeout: float = 120.0,
        priority_fee: int | None = None,
        journal: TransactionJournal | None = None,
        confirmations: int = 1,
        max_fee: int = MOST_FEE,
    ) -> None:
        """``timeout``: seconds to wait until mined; ``priority_fee``: wei per gas, None asks the chain.

        ``journal``: where sent transactions are written down; None forgets them when the process ends.
        ``confirmations``: blocks that a transaction's block and those after it have to make up.
        ``max_fee``: wei that one transaction's gas may cost, whatever the chain's RPC server says that it costs.
        """
        self.connection, self.wallet, self.timeout, self.priority_fee = connection, wallet, timeout, priority_fee
        self.journal, self.confirmations = journal or TransactionJournal(), max(1, confirmations)
        self.max_fee = max_fee
        self._chain: str | None = None
        self._chain_id = 0

    @property
    def web3(self) -> Web3:
        """It builds what is sent, and hands it in; what became of that is asked of ``connection``."""
        return self.connection.web3

    # ------------------------------------------------------------------ sending

    def send(self, call: ContractFunction, value: int = 0, note: str = "", wish: str = "") -> Mined:
        """Send ``call`` with ``value`` wei, wait until it is mined, and return it.

        ``note`` goes into the journal; whoever gives one calls ``tell`` once all that depends on the end is done.
        Where an earlier command sent the same and was never told its end, this one goes on with that. ``wish`` says
        what is the same; by default the call and its value.

        Raises UnfundedWalletError and ContractRevertedError before anything is sent; afterwards
        ContractRevertedError (it reverted in its block) and TransactionPendingError (sent, not known to be mined).
        """
        return self._done(
            Wish(str(call.fn_name), str(call.address), value, call._encode_transaction_data(), note, wish)
        )

    def deploy(self, constructor: Any) -> tuple[str, Mined]:
        """Send a contract creation (``Contract.constructor(...)``); returns its address and the transaction."""
        mined = self._done(Wish("deploy", None, 0, constructor.data_in_transaction))
        return str(mined.receipt.contract), mined

    def transfer(self, to: str, value: int) -> Mined:
        """Send plain ether."""
        return self._done(Wish("transfer", checksum(to), value, "0x"))

    def unfinished(self, *purposes: str) -> list[Intent]:
        """Intents of earlier commands whose end nobody was told, oldest first; none that a live command waits for."""
        found = self.journal.unfinished(self._chain_name(), self.wallet.address)
        mine = [intent for intent in found if not purposes or intent.purpose in purposes]
        return [intent for intent in mine if not self.journal.is_held(intent.number)]

    def resume(self, intent: Intent) -> Mined | None:
        """Go on with an earlier command's intent; None where it can never be mined, or reverted. ``tell`` its end.

        Raises TransactionPendingError, RpcUnreachableError.
        """
        with self.journal.held(intent.number), self._told_if_interrupted(intent.number):
            try:
                mined = self._awaited(intent.number)
            except ContractRevertedError:
                return None
        if mined is None:
            self.journal.set_state(intent.number, LOST)
            return None
        return replace(mined, found=True)

    def tell(self, mined: Mined) -> None:
        """A command is done with what it sent: the same wish again is a new one."""
        self.journal.set_state(mined.intent, TOLD, mined.block)

    def _done(self, wish: Wish) -> Mined:
        self._look_from_latest()
        if (mined := self._found(wish)) is not None:
            return mined
        fields = self._priced(wish)
        number = self.journal.add(self._chain_name(), self.wallet.address, wish.purpose, wish.key, wish.note)
        with self.journal.held(number), self._told_if_interrupted(number):
            for _ in range(_NONCE_ATTEMPTS):
                self._dispatch(number, fields)
                if (mined := self._awaited(number)) is not None:
                    return mined if wish.note else self._told(mined)
        self.journal.set_state(number, LOST)
        raise TransactionError(
            f"other programs of the wallet {self.wallet.address} take every nonce",
            advice="Use one program at a time with this wallet, or a wallet for each.",
        )

    def _told(self, mined: Mined) -> Mined:
        self.tell(mined)
        return mined

    def _found(self, wish: Wish) -> Mined | None:
        """The end of the same wish of an earlier command that was never told it."""
        # Without money a later command may have changed what the earlier one set: then it is wanted anew.
        told = -1 if wish.value else self.journal.last_told(self._chain_name(), self.wallet.address, wish.purpose)
        for intent in self.unfinished(wish.purpose):
            fits = intent.number > told and time.time() - intent.created < REMEMBERED_SECONDS
            if intent.key == wish.key and fits and (mined := self.resume(intent)) is not None:
                return self._told(mined)
        return None

    def look_from_sent(self) -> None:
        """Wait for what this wallet's earlier commands sent, and read from now on no state older than that.

        Their end may have been told to nobody: another command may have found it done. A server that lags would deny
        it, and its state would be older too. Raises TransactionPendingError, RpcUnreachableError.
        """
        found = [self.resume(intent) for intent in self.unfinished()]
        self._look_from_latest()
        for mined in found:
            if mined is not None:
                self._require_block(mined.block)

    def _look_from_latest(self) -> None:
        """INVARIANT: what a command reads is no older than what a command before it wrote."""
        if (block := self.journal.latest_block(self._chain_name(), self.wallet.address)) > 0:
            self._require_block(block)

    def _require_block(self, block: int) -> None:
        self.connection.provider.require_block(block)

    def _chain_name(self) -> str:
        """The chain's id and first block: a test chain that was reset is another one."""
        if self._chain is None:
            self._chain_id = self._checked_chain_id()
            try:
                genesis = "0x" + self.connection.block(0).hash.hex()
            except TransactionError:  # a server that keeps no old blocks
                genesis = ""
            self._chain = f"{self._chain_id}:{genesis}"
        return self._chain

    def _checked_chain_id(self) -> int:
        """INVARIANT: a signature counts on the chain that ``connect`` has checked, and on no other."""
        found, provider = self.connection.chain_id(), self.connection.provider
        if provider.chain_id not in (None, found):
            raise WrongChainError(
                f"{shown_url(provider.endpoint_uri)} served chain {provider.chain_id} before, and serves {found} now",
                advice="Nothing was signed. Give the RPC address of one chain.",
            )
        return found

    # ------------------------------------------------------------- without waiting

    def hand_in(self, call: ContractFunction, wish: str) -> bool:
        """Send ``call``, and wait for nothing; False where the same ``wish`` is under way. Then call ``look_after``.

        Only for calls that do no harm twice: once another transaction has its nonce, it may be sent again.
        Raises UnfundedWalletError and ContractRevertedError before anything is sent.
        """
        wanted = Wish(str(call.fn_name), str(call.address), 0, call._encode_transaction_data(), _HANDED_IN, wish)
        if any(intent.key == wanted.key for intent in self.handed_in(wanted.purpose)):
            return False
        self._look_from_latest()
        fields = self._priced(wanted)
        number = self.journal.add(self._chain_name(), self.wallet.address, wanted.purpose, wanted.key, wanted.note)
        with self.journal.held(number), self._told_if_interrupted(number):
            self._dispatch(number, fields)
        return True

    def handed_in(self, *purposes: str) -> list[Intent]:
        """What was handed in and has no confirmed end yet, oldest first. Asks no RPC server once the chain is known."""
        found = self.journal.unfinished(self._chain_name(), self.wallet.address)
        return [one for one in found if one.note == _HANDED_IN and (not purposes or one.purpose in purposes)]

    def look_after(self, intent: Intent, wanted: bool = True) -> bool:
        """Look once at what was handed in: note its end, or send it again. Returns whether it is under way.

        ``wanted`` False: as long as it is not mined, a transfer of nothing takes its place. Raises ChainError.
        """
        if self.journal.is_held(intent.number):
            return True
        if (receipt := self._receipt(intent)) is not None:
            if not self._is_deep(receipt):
                return True
            self._tell_end(intent, receipt)
            return False
        if not intent.attempts or self._is_nonce_used(intent):
            self.journal.set_state(intent.number, LOST)
            return False
        if not wanted:
            self._displace(intent)
        self._push(intent)
        return True

    def _tell_end(self, intent: Intent, receipt: TransactionReceipt) -> None:
        """Note the end of what was handed in; the log says where it reverted."""
        try:
            self.tell(self._concluded(intent, receipt))
        except ContractRevertedError as error:
            log.warning("%s, handed in as %s, came to nothing: %s", intent.purpose, receipt.transaction, error)

    def _displace(self, intent: Intent) -> None:
        """INVARIANT: what is not wanted any more is not mined later, in a state that it was not made for."""
        with self.journal.turn(self._chain_name(), self.wallet.address):
            last = self.journal.intent(intent.number).attempts[-1]
            if last.fields["to"] == self.wallet.address:
                return
            dearer = raised(last.fields, current_fees(self.connection, self.priority_fee))
            nothing = {**dearer, "to": self.wallet.address, "value": 0, "data": "0x", "gas": _LEAST_GAS}
            self._require_fee(nothing)
            attempt = self._signed(nothing)
            self.journal.add_attempt(intent.number, attempt)
            self._quietly(lambda: self._broadcast(attempt))

    # ------------------------------------------------------------------ pricing

    def _priced(self, wish: Wish) -> dict[str, Any]:
        """The transaction without its nonce. Raises UnfundedWalletError, ContractRevertedError."""
        self._chain_name()
        fields = {**wish.fields(self.wallet.address), "chainId": self._chain_id}
        fees = current_fees(self.connection, self.priority_fee)
        self._require_funds(fees, wish.value, _LEAST_GAS)
        estimate = estimated_gas(self.connection, wish.fields(self.wallet.address))
        # Other transactions may change storage before this one is mined, which may make it a little dearer.
        fields["gas"] = estimate if wish.data == "0x" else estimate + estimate // 5
        self._require_funds(fees, wish.value, fields["gas"])
        self._require_fee({**fields, **fees})
        return {**fields, **fees}

    def _require_fee(self, fields: Mapping[str, Any]) -> None:
        """INVARIANT: no RPC server makes this wallet pay more for gas than its owner allows."""
        if (fee := int(fields["gas"]) * most_per_gas(fields)) > self.max_fee:
            raise TransactionError(
                f"the gas would cost up to {fee} wei, and no transaction may cost more than {self.max_fee} wei",
                advice="Wait until gas is cheaper, ask another RPC server, or raise max_fee (NEXUS_MAX_FEE).",
            )

    def _require_funds(self, fees: dict[str, int], value: int, gas: int) -> None:
        needed = value + gas * most_per_gas(fees)
        balance = self.connection.balance(self.wallet.address)
        if balance < needed:
            raise UnfundedWalletError(self.wallet.address, balance, needed)

    # ----------------------------------------------------------------- dispatch

    def _dispatch(self, number: int, fields: dict[str, Any]) -> None:
        """Sign with the next nonce, write down, send: one at a time of all programs of the wallet."""
        with self.journal.turn(self._chain_name(), self.wallet.address):
            try:
                self._raise_blocker()
                attempt = self._signed({**fields, "nonce": self._next_nonce(number)})
            except Exception:
                if not self.journal.intent(number).attempts:  # nothing was sent
                    self.journal.set_state(number, FAILED)
                raise
            self.journal.add_attempt(number, attempt)
            try:
                self._broadcast(attempt)
            except RpcUnreachableError:
                pass  # it may have arrived: waiting for it sends it again
            except RpcRefusedError as error:
                # INVARIANT: only a refusal that says so lets another nonce be used; the journal keeps this attempt.
                if not _says(error, (*_TAKEN_WORDS, *_FAILING_WORDS)) and not self._is_seen(attempt):
                    self.journal.set_state(number, FAILED)
                    raise
            except ContractRevertedError:
                raise
            except TransactionError:
                pass  # an answer without sense says nothing: the hash is known without it

    def _signed(self, fields: dict[str, Any]) -> Attempt:
        signed = self.wallet.sign_transaction(fields)
        return Attempt(signed.hash.to_0x_hex(), int(fields["nonce"]), bytes(signed.raw_transaction), fields)

    def _broadcast(self, attempt: Attempt) -> None:
        """Send the bytes; a server that has them already is content. Raises RpcRefusedError, RpcUnreachableError."""
        try:
            with chain_errors(self.web3):
                self.web3.eth.send_raw_transaction(attempt.raw)
        except RpcRefusedError as error:
            if not _says(error, _KNOWN_WORDS):
                raise

    def _next_nonce(self, number: int) -> int:
        chain, address = self._chain_name(), self.wallet.address
        others = [one for one in self.journal.unfinished(chain, address) if one.number != number]
        count = next_nonce(self.connection, address, len(others))
        taken: set[int] = set()
        for intent in others:
            live = self.journal.is_held(intent.number)
            taken |= {one.nonce for one in intent.attempts[-1:] if one.nonce >= count and (live or self._is_seen(one))}
        while count in taken:
            count += 1
        return count

    def _is_seen(self, attempt: Attempt) -> bool:
        """Whether the chain knows the transaction, mined or not."""
        return self._quietly(lambda: self.connection.transaction(attempt.hash)) is not None

    def _raise_blocker(self) -> None:
        """Price up an earlier command's transaction that fees have left behind: all others would wait for it."""
        count = self.connection.transaction_count(self.wallet.address, "latest")
        for intent in self.unfinished():
            if intent.attempts and intent.attempts[-1].nonce == count:
                self._raise_if_cheap(intent)

    def _raise_if_cheap(self, intent: Intent) -> None:
        """Offer more for the same transaction, with the same nonce, where the latest base fee is above its offer."""
        last, now = intent.attempts[-1], current_fees(self.connection, self.priority_fee)
        base = base_fee(self.connection)
        least = base if base is not None else now["gasPrice"] * 4 // 5
        if least <= most_per_gas(last.fields) or self._receipt(intent) is not None:
            return
        dearer = raised(last.fields, now)
        self._require_fee(dearer)
        attempt = self._signed(dearer)
        self.journal.add_attempt(intent.number, attempt)
        self._quietly(lambda: self._broadcast(attempt))

    # ------------------------------------------------------------------ waiting

    @contextmanager
    def _told_if_interrupted(self, number: int) -> Iterator[None]:
        """Whoever interrupts is told of what was sent."""
        try:
            yield
        except KeyboardInterrupt:
            if (intent := self.journal.intent(number)).attempts:
                log.warning("%s", TransactionPendingError(intent.hash, intent.purpose))
            raise

    def _awaited(self, number: int) -> Mined | None:
        """Wait for the intent; None once something else has its nonce. Raises TransactionPendingError."""
        started, pause, polls, sightings, reason, doubt = time.monotonic(), _FIRST_PAUSE, 0, 0, "", ""
        sighted, long_enough = started, min(_SIGHTING_SECONDS, self.timeout / 2)
        while True:
            intent, polls = self.journal.intent(number), polls + 1
            if not intent.attempts:  # its command ended before anything was signed
                return None
            try:
                if (receipt := self._receipt(intent)) is not None:
                    if self._is_deep(receipt):
                        return self._concluded(intent, receipt)
                elif polls > 1 or intent.state == MINED:
                    sightings = sightings + 1 if self._is_nonce_used(intent) else 0
                    sighted = time.monotonic() if sightings <= 1 else sighted
                    if sightings >= _SIGHTINGS and time.monotonic() - sighted >= long_enough:
                        if self._is_taken(intent):
                            return None
                        sightings, doubt = 0, f"nonce {intent.attempts[-1].nonce} is used, and no receipt shows by what"
                    if not sightings and polls % 3 == 2:
                        self._push(intent)
                reason = ""
            except RpcUnreachableError as error:
                reason = error.message
            if time.monotonic() - started > self.timeout:
                reason = reason or doubt or self._missing_before(intent)
                raise TransactionPendingError(intent.hash, intent.purpose, self.timeout, reason)
            time.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)

    def _receipt(self, intent: Intent) -> TransactionReceipt | None:
        """Of whichever attempt was mined, one that succeeded before others. Raises RpcUnreachableError."""
        reverted: TransactionReceipt | None = None
        for attempt in reversed(intent.attempts):
            receipt = self._receipt_of(attempt)
            if receipt is not None and receipt.succeeded:
                return receipt
            reverted = reverted or receipt
        return reverted

    def _receipt_of(self, attempt: Attempt) -> TransactionReceipt | None:
        """None where there is none, or nonsense, or another transaction's: it is asked again."""
        try:
            found = self.connection.receipt(attempt.hash)
        except TransactionError:
            return None
        return found if found is not None and found.transaction == attempt.hash else None

    def _is_deep(self, receipt: TransactionReceipt) -> bool:
        """Whether enough blocks are on top of it; a block that was replaced meanwhile has none."""
        if self.confirmations == 1:
            return True
        head = self._quietly(self.connection.block_number)
        return head is not None and head >= receipt.block + self.confirmations - 1

    def _is_nonce_used(self, intent: Intent) -> bool:
        """Whether the chain is past the nonce of every attempt. Raises RpcUnreachableError."""
        count = self._quietly(lambda: self.connection.transaction_count(self.wallet.address, "latest"))
        return count is not None and all(attempt.nonce < count for attempt in intent.attempts)

    def _missing_before(self, intent: Intent) -> str:
        """What the wallet has to send before the intent's transaction can be mined, in words."""
        unfinished = self.journal.unfinished(self._chain_name(), self.wallet.address)
        ours = {attempt.nonce for one in unfinished for attempt in one.attempts}
        nonce = intent.attempts[-1].nonce
        try:
            return self._quietly(lambda: missing_before(self.connection, self.wallet.address, nonce, ours)) or ""
        except RpcUnreachableError as error:
            return error.message

    def _is_taken(self, intent: Intent) -> bool:
        """INVARIANT: nothing is sent anew before a block shows that another transaction has the nonce: the server that
        counts may be another one than the server that lags behind the receipt. Where no block that is kept shows it, an
        hour has to pass without a word of ours. Raises RpcUnreachableError.
        """
        ours = frozenset(attempt.hash.lower() for attempt in intent.attempts)
        for nonce in {attempt.nonce for attempt in intent.attempts}:
            use: NonceUse | None = self._quietly(partial(self._user_of, nonce, ours))
            if use is not None and use.ours:
                self.journal.set_state(intent.number, MINED, use.block)
            if use is None or use.ours:
                return False
            if use.ours is None and not self._is_forgotten(intent):
                return False
        return True

    def _user_of(self, nonce: int, ours: frozenset[str]) -> NonceUse:
        return user_of(self.connection, self.wallet.address, nonce, ours, confirmations=self.confirmations)

    def _is_forgotten(self, intent: Intent) -> bool:
        """Whether nobody has known of the intent's transactions for long, mined or not."""
        old = time.time() - intent.created > _FORGOTTEN_SECONDS
        return old and intent.state != MINED and not any(self._is_seen(attempt) for attempt in intent.attempts)

    def _push(self, intent: Intent) -> None:
        """Send again what the chain does not know, and what stands before it; offer more where fees rose."""
        with self.journal.turn(self._chain_name(), self.wallet.address):
            intent = self.journal.intent(intent.number)
            last = intent.attempts[-1]
            count = self._quietly(lambda: self.connection.transaction_count(self.wallet.address, "latest")) or 0
            for other in self.journal.unfinished(self._chain_name(), self.wallet.address):
                if other.attempts and count <= other.attempts[-1].nonce < last.nonce:
                    self._send_again(other.attempts[-1])
            if not self._is_seen(last):
                self._send_again(last)
            self._quietly(lambda: self._raise_if_cheap(intent))

    def _send_again(self, attempt: Attempt) -> None:
        if not self._is_seen(attempt):
            self._quietly(lambda: self._broadcast(attempt))

    def _quietly(self, ask: Callable[[], Any]) -> Any:
        """An answer; None where the chain has none or refuses. Raises RpcUnreachableError alone."""
        try:
            return ask()
        except RpcUnreachableError:
            raise
        except ChainError:
            return None

    def _concluded(self, intent: Intent, receipt: TransactionReceipt) -> Mined:
        """Note the end. Raises ContractRevertedError where it reverted in its block."""
        block, gas, name = receipt.block, receipt.gas, receipt.transaction
        fields = next((one.fields for one in intent.attempts if one.hash == name), intent.attempts[-1].fields)
        self._require_block(block)
        fee = gas * (most_per_gas(fields) if receipt.price is None else receipt.price)
        if not receipt.succeeded:
            self.journal.set_state(intent.number, FAILED, block)
            failure = self._why_it_failed(receipt, dict(fields))
            failure.fee = fee
            raise failure
        self.journal.set_state(intent.number, MINED, block)
        return Mined(name, block, gas, fee, receipt, intent=intent.number)

    def _why_it_failed(self, receipt: TransactionReceipt, fields: dict[str, Any]) -> TransactionError:
        """Repeat a failed transaction as a call on the state it met to learn its custom error."""
        replay: dict[str, Any] = {
            name: fields[name] for name in ("from", "to", "value", "data", "gas") if name in fields
        }
        try:
            self.connection.call(replay, receipt.block)
        except ContractRevertedError as error:
            return error
        except (TransactionError, RpcUnreachableError):
            pass
        return ContractRevertedError(
            "OutOfGasOrRace",
            {"transaction": receipt.transaction, "gas": receipt.gas},
            advice="Something changed between the estimate and the block; try again.",
        )


def _says(error: RpcRefusedError, words: tuple[str, ...]) -> bool:
    return any(word in error.said for word in words)
