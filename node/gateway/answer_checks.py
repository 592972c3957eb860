"""Answers of other gateways, recomputed here for people who read them there.

Whoever reads an answer on another gateway's page may lack the machine to recompute it, and does not want to believe
that gateway. So its page asks this one, which is somebody else's. It tells what it found, and which node signed what
is wrong; it is believed no more than that.

Nobody pays for it, so strangers get little: one place, a short queue, so many an hour for each address, counted before
a file is read, and nothing is recomputed that registered nodes did not sign.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from typing import Any

from limits import RateLimitItemPerHour
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter

from nexus_chain.errors import NexusError
from nexus_chain.evidence.errors import ProofFileError
from nexus_chain.evidence.proof import InferenceProof
from nexus_chain.evidence.verify import TRUST, PositionProgress, VerificationReport, VerifiedFragment, verify_proof
from nexus_chain.json_text import parse_json
from nexus_chain.market.documents import Domain
from nexus_chain.versions.errors import ModelFilesError
from nexus_chain.workflows.sent_requests import is_complete, judged_text, written_prompt
from node.gateway.errors import InvalidRequestError, LimitReachedError, NotFoundError, UnavailableError
from node.gateway.event_stream import event
from node.gateway.generation import OfferedModel
from node.gateway.shared_places import network_of

log = logging.getLogger(__name__)

CHECKS_PER_HOUR = 20
"""For one address of callers."""
_MOST_WAITING = 4
_MOST_RECEIPTS, _MOST_NODES, _MOST_STOPS = 4_096, 64, 16
_KEPT = 64
_AGAIN_SECONDS = 20.0
_SIGNATURES = ("order", "receipts")
"""Steps of a verification that say who signed."""

Recompute = Callable[[InferenceProof, Mapping[str, str], PositionProgress], VerificationReport]


@dataclass(frozen=True)
class CheckedVersion:
    """A model version whose answers can be recomputed here.

    ``key_of``: a node's receipt key, as the chain has it. ``recompute``: judge an answer in full with the weights; the
    chain's keys by node, and what hears how far it is.
    """

    model: OfferedModel
    domain: Domain
    key_of: Callable[[str], str]
    recompute: Recompute


@dataclass(frozen=True)
class SentAnswer:
    """An answer file as a stranger sent it, and the texts that its request said end an answer."""

    proof: InferenceProof
    stops: tuple[str, ...]
    digest: bytes

    @classmethod
    def read(cls, body: bytes) -> SentAnswer:
        """From ``{"proof": ..., "stops": [...]}``. Raises InvalidRequestError."""
        try:
            found = parse_json(body)
            stops = found.get("stops", [])
            if not isinstance(stops, list) or not all(isinstance(one, str) for one in stops):
                raise ValueError("stops is no list of texts")
            return cls(InferenceProof.from_dict(found["proof"]), tuple(stops[:_MOST_STOPS]), sha256(body).digest())
        except (ProofFileError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            raise InvalidRequestError(
                "this is no answer file", advice='Send {"proof": the proof of /v1/receipts/ID, "stops": [...]}.'
            ) from None


class _LeftError(Exception):
    """Whoever asked has gone; never leaves this module."""


class AnswerCheckDesk:
    """Recomputes answers for the readers of other gateways. ``close`` it in the end.

    ``origins``: of the gateways whose pages may ask (scheme, host and port). ``versions``: by id.
    """

    def __init__(self, origins: Sequence[str], versions: Mapping[bytes, CheckedVersion]) -> None:
        self.origins, self._versions = frozenset(origins), versions
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="nexus-check")
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="nexus-check-reader")  # none waits for a computation
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._leaving = threading.Event()
        self._asking: set[str] = set()
        self._known: OrderedDict[bytes, dict[str, Any]] = OrderedDict()  # verdicts by digest of what was sent

    async def begin(self, body: bytes, address: str) -> AsyncGenerator[bytes, None]:
        """The events of one check: ``progress`` (done, total), then its ``verdict`` or an ``error``.

        ``body``: see ``SentAnswer.read``. ``address``: of the caller. Raises InvalidRequestError, NotFoundError for a
        version that is not here, LimitReachedError and UnavailableError; nothing was computed then.
        """
        if (known := self._known.get(sha256(body).digest())) is not None:
            return _only(known)
        caller = network_of(address)
        # INVARIANT: strangers get one thread and a short queue, and nobody gets all of it.
        if caller in self._asking:
            raise LimitReachedError(
                "a check for this address is under way", advice="Wait until it has ended.", retry_after=_AGAIN_SECONDS
            )
        if len(self._asking) >= _MOST_WAITING:
            raise UnavailableError(
                "too many checks are waiting", advice="Wait, or run `nexus verify`.", retry_after=_AGAIN_SECONDS
            )
        self._asking.add(caller)
        try:
            # INVARIANT: a stranger's file is read once it is counted, and keeps no other request waiting: one that is
            # thought up, as large as may be sent, takes half a second.
            await self._count(caller)
            sent = await asyncio.get_running_loop().run_in_executor(self._reader, SentAnswer.read, body)
            check = _Check(self._threads, self._version_of(sent.proof), sent, self._leaving)
        except BaseException:
            self._asking.discard(caller)
            raise
        # The place is taken until the thread is free again, whether or not somebody listens.
        check.working.add_done_callback(lambda _: self._asking.discard(caller))
        return self._events(check, sent)

    def _version_of(self, proof: InferenceProof) -> CheckedVersion:
        found = self._versions.get(proof.order.model_version)
        if found is None:
            raise NotFoundError(
                "this gateway has not the model version of that answer", advice="Ask another, or run `nexus verify`."
            )
        if proof.domain != found.domain:
            raise InvalidRequestError("the answer belongs to another chain or market", advice="Ask a gateway there.")
        _require_size(proof, found.model)
        return found

    async def _count(self, caller: str) -> None:
        limit = RateLimitItemPerHour(CHECKS_PER_HOUR)
        if not await self._limiter.hit(limit, caller):
            raise LimitReachedError(
                f"an address may have {CHECKS_PER_HOUR} answers checked an hour",
                advice="Wait, or run `nexus verify` on your own machine.",
                retry_after=_AGAIN_SECONDS,
            )

    async def _events(self, check: _Check, sent: SentAnswer) -> AsyncGenerator[bytes, None]:
        try:
            while (one := await check.said.get()) is not None:
                yield one
            try:
                verdict = check.working.result()
            except ModelFilesError:
                yield _error("not_found", "this gateway has not the weights of that model")
            except NexusError as error:  # what only the operator can act on is logged, and not told
                log.warning("An answer of another gateway could not be checked: %s", error)
                yield _error("service_unavailable", "the answer could not be checked now")
            except Exception:
                log.exception("An answer of another gateway could not be checked")
                yield _error("internal_error", "the answer could not be checked")
            else:
                if verdict["recomputed"]:  # who is registered changes, what a program computes does not
                    self._keep(sent.digest, verdict)
                yield event(verdict, "verdict")
        finally:
            check.left.set()

    def _keep(self, digest: bytes, verdict: dict[str, Any]) -> None:
        self._known[digest] = verdict
        while len(self._known) > _KEPT:
            self._known.popitem(last=False)

    def close(self) -> None:
        """End what waits and what runs."""
        self._leaving.set()
        self._reader.shutdown(cancel_futures=True)
        self._threads.shutdown(cancel_futures=True)


class _Check:
    """One recomputation, from its place in the queue on. ``said``: its events, None after the last.

    ``left``: set when nobody listens any more; it then ends at its next block of positions.
    """

    def __init__(
        self, threads: ThreadPoolExecutor, version: CheckedVersion, sent: SentAnswer, leaving: threading.Event
    ) -> None:
        self.said: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.left, self._leaving = threading.Event(), leaving
        self._loop = asyncio.get_running_loop()
        self.working = self._loop.run_in_executor(threads, _judged, version, sent, self._advance)
        self.working.add_done_callback(self._end)

    def _advance(self, done: int, total: int) -> None:
        if self.left.is_set() or self._leaving.is_set():
            raise _LeftError
        self._loop.call_soon_threadsafe(self.said.put_nowait, event({"done": done, "total": total}, "progress"))

    def _end(self, done: asyncio.Future[Any]) -> None:
        self.said.put_nowait(None)
        if self.left.is_set() and not done.cancelled():
            done.exception()  # seen: nobody else will look


def _error(code: str, message: str) -> bytes:
    return event({"code": code, "message": message}, "error")


async def _only(verdict: dict[str, Any]) -> AsyncGenerator[bytes, None]:
    yield event(verdict, "verdict")


def _require_size(proof: InferenceProof, model: OfferedModel) -> None:
    """INVARIANT: recomputing takes one prefill of at most the model's context. Raises InvalidRequestError."""
    shape, asks = model.files.program.shape, proof.order.asks
    ends = [0, *(ask.layer_end for ask in asks)]
    is_whole = [ask.layer_start for ask in asks] == ends[:-1] and ends[-1] == shape.layers
    is_rising = all(start < end for start, end in pairwise(ends))
    nodes = {receipt.node for receipt, _ in proof.receipts}
    is_small = len(proof.tokens) <= model.context + 1 and len(proof.receipts) <= _MOST_RECEIPTS
    is_text = all(0 <= token < shape.vocab for token in proof.tokens) and not model.is_encoder
    if not (is_whole and is_rising and is_small and is_text and len(nodes) <= _MOST_NODES):
        raise InvalidRequestError(
            "the answer is not one of this model's layers and context", advice="Send the answer file unchanged."
        )


def _judged(version: CheckedVersion, sent: SentAnswer, progress: PositionProgress) -> dict[str, Any]:
    proof, files = sent.proof, version.model.files
    progress(0, 0)  # its turn has come
    keys = {node: version.key_of(node) for node in {receipt.node for receipt, _ in proof.receipts}}
    report = verify_proof(proof, level=TRUST, receipt_keys=keys)
    if all(one.passed for one in report.steps if one.name in _SIGNATURES):
        # INVARIANT: nothing is recomputed that registered nodes did not sign: a stranger can think up any file.
        report = version.recompute(proof, keys, progress)
    return {
        "object": "nexus.verdict",
        "order": "0x" + proof.order_digest.hex(),
        "model_version": "0x" + proof.order.model_version.hex(),
        "weights_root": "0x" + version.model.weights_root.hex(),
        "verified": report.passed and report.recomputed,
        "recomputed": report.recomputed,
        "tokens": len(proof.tokens),
        "steps": [
            {"number": one.number, "name": one.name, "passed": one.passed, "reason": one.reason} for one in report.steps
        ],
        "wrong": [_wrong(one) for one in report.wrong],
        "text": judged_text(proof, files),
        "prompt": written_prompt(proof, files),
        "is_complete": is_complete(proof, files, sent.stops),
    }


def _wrong(one: VerifiedFragment) -> dict[str, Any]:
    return {
        "layers": list(one.layers),
        "node": one.node,
        "from_position": one.from_position,
        "to_position": one.to_position,
        "first_difference": one.first_difference,
        "exact": one.exact,
        "to_blame": one.to_blame,
        "reason": one.reason,
    }
