"""What shows that an answer is right: its receipts, what recomputing found, and a signature over what was sent.

Evidence is kept with the bill, while the caller reads the answer's end; whoever asks for it sooner waits. It proves
itself: whoever fetched it needs no gateway any more.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from eth_account import Account
from eth_account.messages import encode_defunct
from eth_account.signers.local import LocalAccount

from nexus_chain.client.answer import Answer, receipts_told
from nexus_chain.errors import NexusError, SettingsError
from nexus_chain.evidence.proof import InferenceProof
from nexus_chain.evidence.verify import VerificationReport, level_of_share
from nexus_chain.versions.errors import ModelFilesError
from node.gateway.accounts import Bill, Caller, PaidEvidence
from node.gateway.errors import NotFoundError
from node.gateway.evidence_store import EvidenceStore, KeptEvidence
from node.gateway.exchange import Exchange
from node.gateway.generation import OfferedModel
from node.gateway.metrics import GatewayMetrics

log = logging.getLogger(__name__)

WAITING_AT_MOST = 16
"""Answers that wait to be recomputed; beyond that, an answer that was drawn is left out."""
WAIT_SECONDS = 10.0
"""How long a signature waits for its response's end."""
_ID = re.compile(r"(?:[a-z]+[-_])*([0-9a-f]{32})")


class Evidence:
    """Keeps it, gives it to its owner, signs what was sent, recomputes some. ``close`` it in the end."""

    def __init__(
        self, store: EvidenceStore, signer: LocalAccount, metrics: GatewayMetrics, verify_rate: float = 0.05
    ) -> None:
        """``signer``: the gateway's own key. ``verify_rate``: share of answers that are recomputed."""
        self._store, self._signer, self._metrics = store, signer, metrics
        self.verify_rate = verify_rate
        self._level = level_of_share(verify_rate)
        self._open: dict[str, asyncio.Event] = {}  # responses under way
        self._coming: dict[str, asyncio.Event] = {}  # answers that are being paid
        self._checks: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()

    @property
    def signing_address(self) -> str:
        """EIP-55 address of the gateway's key."""
        return str(self._signer.address)

    @contextmanager
    def coming(self, id: str, caller: Caller, document: dict[str, Any] | None) -> Iterator[PaidEvidence | None]:
        """An answer's evidence for its caller, which is paid and kept by then: who asks for it meanwhile waits."""
        event = self._coming[id] = asyncio.Event()
        try:
            yield None if document is None else self._store.evidence(id, caller.account, document)
        finally:
            del self._coming[id]
            event.set()

    async def close(self) -> None:
        """Recompute nothing more."""
        for check in self._checks:
            check.cancel()
        await asyncio.gather(*self._checks, return_exceptions=True)

    # ---------------------------------------------------------------- reading

    async def receipts(self, caller: Caller, id: str) -> dict[str, Any]:
        """What ``GET /v1/receipts/{id}`` gives. Raises NotFoundError."""
        found = await self._find(caller, id)
        return {**found.document, "verification": found.verification}

    async def signature(self, caller: Caller, id: str) -> dict[str, str]:
        """What ``GET /v1/signature/{id}`` gives. Raises NotFoundError."""
        if (event := self._open.get(_key(id))) is not None:
            with suppress(TimeoutError):  # then it is said below that the response is under way
                await asyncio.wait_for(event.wait(), WAIT_SECONDS)
        text = (await self._find(caller, id)).signed_text
        if text is None:
            raise NotFoundError("the response of that answer is not at its end", advice="Read it to its end first.")
        signed = self._signer.sign_message(encode_defunct(text=text))
        return {
            "text": text,
            "signature": "0x" + bytes(signed.signature).hex(),
            "signing_address": self.signing_address,
            "signing_algo": "ecdsa",
        }

    async def _find(self, caller: Caller, id: str) -> KeptEvidence:
        key = _key(id)
        if (event := self._coming.get(key)) is not None:
            await event.wait()
        found = await asyncio.to_thread(self._store.find, key, caller.account)
        if found is None:
            raise NotFoundError("there is no such answer of yours", advice="Take the id from x-nexus-answer-id.")
        return found

    # ---------------------------------------------------------------- writing

    def open(self, exchange: Exchange) -> None:
        """A response that names answers has begun: its signature is there once it has ended."""
        for answer in exchange.answers:
            self._open.setdefault(answer.id, asyncio.Event())

    async def sent(self, exchange: Exchange, *, is_whole: bool) -> None:
        """A response that names answers has ended, or broke off: then nobody has its bytes, and none are signed."""
        ids = [answer.id for answer in exchange.answers]
        try:
            if is_whole:
                await asyncio.to_thread(self._store.note_response, ids, exchange.signed_text)
        except NexusError as error:
            log.error("The hashes of a response could not be kept: %s", error)
        finally:
            for id in ids:
                if (event := self._open.pop(id, None)) is not None:
                    event.set()

    # ------------------------------------------------------------- recomputing

    def draw(self, id: str, model: OfferedModel, recompute: Callable[[], VerificationReport]) -> None:
        """Have an answer recomputed in the background, where the lot falls on it."""
        if not self._level.recompute():
            return
        if len(self._checks) >= WAITING_AT_MOST:
            self._metrics.audits.labels(model.name, "skipped").inc()
        else:
            check = asyncio.create_task(self._check(id, model.name, recompute))
            self._checks.add(check)
            check.add_done_callback(self._checks.discard)

    async def _check(self, id: str, model: str, recompute: Callable[[], VerificationReport]) -> None:
        try:
            async with self._turn:
                report = await asyncio.to_thread(recompute)
        except ModelFilesError:  # the weights are not here: receipts are all there is to see
            self._metrics.audits.labels(model, "no_weights").inc()
            return
        except NexusError as error:
            self._metrics.audits.labels(model, "error").inc()
            log.warning("Answer %s could not be recomputed: %s", id, error)
            return
        except Exception:
            self._metrics.audits.labels(model, "error").inc()
            log.exception("Answer %s could not be recomputed", id)
            return
        if not report.passed:
            log.error("Answer %s is WRONG: %s", id, "; ".join(one.reason for one in report.wrong) or "its papers")
        self._metrics.audits.labels(model, "passed" if report.passed else "failed").inc()
        await asyncio.to_thread(partial(self._store.note_verification, id, verification_of(report)))


def verification_of(report: VerificationReport) -> dict[str, Any]:
    """JSON value of what recomputing found."""
    wrong = [
        {"segment": one.segment, "node": one.node, "to": one.to_position, "reason": one.reason} for one in report.wrong
    ]
    return {"level": "full", "passed": report.passed, "wrong": wrong}


def document_of(id: str, created: int, model: OfferedModel, finish: str, answer: Answer, bill: Bill) -> dict[str, Any]:
    """JSON value of an answer's evidence. ``proof`` is the whole answer file, as ``nexus verify`` takes it."""
    told = answer.to_dict()
    found = {name: told[name] for name in ("session", "order", "receipts", "failovers", "audits")}
    return {**_head(id, created, model, finish, bill), **found, "proof": answer.proof.to_dict()}


def failed_document_of(id: str, created: int, model: OfferedModel, proof: InferenceProof, bill: Bill) -> dict[str, Any]:
    """JSON value of the evidence of an answer that failed after some of it had been delivered: what was paid of it."""
    return {
        **_head(id, created, model, "failed", bill),
        "session": "0x" + proof.order.session.hex(),
        "order": "0x" + proof.order_digest.hex(),
        "receipts": receipts_told(proof),
        "failovers": [],
        "audits": [],
        "proof": proof.to_dict(),
    }


def _head(id: str, created: int, model: OfferedModel, finish: str, bill: Bill) -> dict[str, Any]:
    wei = {
        "nodes": bill.nodes_wei,
        "vault": bill.vault_wei,
        "publisher": bill.publisher_wei,
        "gas": bill.gas_wei,
        "fee": bill.fee_wei,
    }
    return {
        "id": id,
        "object": "nexus.receipts",
        "created": created,
        "model": model.name,
        "model_version": "0x" + model.version.hex(),
        "finish": finish,
        "cost_wei": str(bill.total_wei),
        "bill_wei": {name: str(amount) for name, amount in wei.items()},
    }


def load_signer(path: Path) -> LocalAccount:
    """The gateway's own key from ``path``, made there at the first start, readable by its owner only.

    Raises SettingsError.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return _account(path.read_text().strip())
        made: LocalAccount = Account.create()
        with os.fdopen(descriptor, "w") as file:
            file.write(bytes(made.key).hex() + "\n")
        return made
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"the gateway's key {path} cannot be used", advice="Give a readable file with 64 hex digits, or remove it."
        ) from error


def _account(text: str) -> LocalAccount:
    made: LocalAccount = Account.from_key(bytes.fromhex(text.removeprefix("0x")))
    return made


def _key(id: str) -> str:
    """The answer's own id in what an interface calls it: ``chatcmpl-…``, ``msg_…``. Raises NotFoundError."""
    found = _ID.fullmatch(id)
    if found is None:
        raise NotFoundError("there is no such answer of yours", advice="Take the id from x-nexus-answer-id.")
    return found[1]
