"""The network as a service: what a caller asks becomes a paid, receipted answer.

Before anything is asked, what it can cost at most is reserved; afterwards the bill is what receipts say. Of it
the vault gets its share as the contract splits it. ``answer_bills`` says who bears what of an answer that failed.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from nexus_chain.client.answer import Answer
from nexus_chain.client.order import AskOptions
from nexus_chain.client.segment import FailoverEvent
from nexus_chain.errors import NexusError
from nexus_chain.market.documents import MAX_LINES
from nexus_chain.market.pricing import billed_positions
from nexus_chain.market.publisher_share import publisher_share
from nexus_chain.workflows.connected import Network
from nexus_chain.workflows.sent_requests import seed_bytes
from node.gateway.accounts import ANSWER, Accounts, Bill, Caller, Reservation
from node.gateway.answer_bills import bill_of, fee_of, spending_of
from node.gateway.client_errors import LATER, told
from node.gateway.errors import (
    ContextTooLongError,
    InvalidRequestError,
    UnavailableError,
    UnknownModelError,
    UnsupportedParameterError,
)
from node.gateway.evidence import Evidence, document_of, failed_document_of
from node.gateway.exchange import note_answer
from node.gateway.explorer.context import Pace
from node.gateway.generation import Embedding, GenerationRequest, OfferedModel, Scorer, TokenScore
from node.gateway.metrics import GatewayMetrics
from node.gateway.running_answer import RunningAnswer
from node.gateway.settings import GatewaySettings

log = logging.getLogger(__name__)

_Found = TypeVar("_Found")

PRICE_SECONDS = 2.0
"""How old a known price may be."""
DRAFTING_ANSWERS = 4
"""Answers under way above which no new one drafts: nodes that compute for many lose more rows by wrong guesses than
rounds are saved by right ones."""
EMBEDDING_ONE = 1 << 16
"""An embedding's components have 16 fraction bits."""


@dataclass(frozen=True)
class EndedAnswer:
    """An answer that is to be booked. ``whole``: the network's; None where it failed, or never began."""

    running: RunningAnswer
    whole: Answer | None
    bill: Bill
    caller: Caller
    reservation: Reservation


class NetworkService:
    """See ``Service``. ``close`` it in the end: answers under way are ended and booked."""

    def __init__(
        self,
        networks: Mapping[str, Network],
        models: Sequence[OfferedModel],
        accounts: Accounts,
        evidence: Evidence,
        metrics: GatewayMetrics,
        settings: GatewaySettings,
    ) -> None:
        """``networks``: of each model, by its name."""
        self._networks, self._models = dict(networks), {model.name: model for model in models}
        self._accounts, self._evidence, self._metrics, self.settings = accounts, evidence, metrics, settings
        for name in self._models:
            metrics.expect_model(name)
        self._priced: dict[str, float] = {}
        self._paces: dict[str, Pace] = {}
        self._prepared: set[str] = set()
        self._running: set[RunningAnswer] = set()
        # One at a time, on a thread of its own: callers who ask for scores and leave take no thread from answers.
        self._scorer = ThreadPoolExecutor(1, thread_name_prefix="nexus-score")

    @property
    def models(self) -> Sequence[OfferedModel]:
        """See ``Service``."""
        return list(self._models.values())

    @property
    def paces(self) -> Mapping[str, Pace]:
        """How fast answers came, by model; models without an answer are absent."""
        return dict(self._paces)

    def model(self, name: str) -> OfferedModel:
        """See ``Service``."""
        if (found := self._models.get(name)) is None:
            raise UnknownModelError(
                f"there is no model {name!r} here", advice=f"Ask one of {', '.join(self._models)}.", param="model"
            )
        return found

    # ---------------------------------------------------------------- answers

    def require_answerable(self, request: GenerationRequest) -> None:
        """See ``Service``."""
        self._wanted(request)

    async def generate(self, caller: Caller, request: GenerationRequest) -> RunningAnswer:
        """See ``Service``."""
        model, most = self._wanted(request)
        seed = None if request.seed is None else seed_bytes(request.seed)
        options = AskOptions(most, request.temperature, seed, audit_rate=self.settings.audit_rate)
        return await self._begin(caller, model, request.prompt, options, request.stop)

    async def embed(self, caller: Caller, model: str, tokens: Sequence[int]) -> Embedding:
        """See ``Service``."""
        offered = self.model(model)
        if not offered.is_encoder:
            raise InvalidRequestError(f"{model} writes texts and embeds none", advice="Ask an encoder.", param="model")
        self._require_tokens(offered, tokens, 1)
        options = AskOptions(1, audit_rate=self.settings.audit_rate)
        running = await self._begin(caller, offered, tokens, options, ())
        async for _ in running:
            pass
        if running.answer is None or running.answer.embedding is None:
            raise UnavailableError("the embedding could not be computed", advice="Ask again.", retry_after=LATER)
        vector = tuple(component / EMBEDDING_ONE for component in running.answer.embedding)
        return Embedding(running.id, vector, len(tokens), running.cost_wei)

    @asynccontextmanager
    async def scoring(self, caller: Caller, model: str, prompt: Sequence[int], more: int) -> AsyncIterator[Scorer]:
        """See ``Service``. It costs nothing: this machine computes it. What nodes would ask for it is reserved all
        the same, so that it is done for those alone who could pay an answer.

        INVARIANT: what can refuse scores refuses them here. Nobody pays an answer whose scores then cannot be had.
        """
        offered = self.model(model)
        self._require_tokens(offered, prompt, more)
        caller.require(ANSWER)
        weights = await self._call(lambda: self._networks[model].own_weights)
        if offered.is_encoder or not weights.are_here:
            raise UnsupportedParameterError(
                f"log-probabilities of {model} cannot be computed here: its weights are not on the gateway's machine",
                advice="Ask without logprobs, or a gateway that has the weights.",
                param="logprobs",
            )
        wei = (len(prompt) + more) * (offered.wei_per_token or 0)
        reservation = await self._accounts.reserve(caller, secrets.token_hex(16), wei)

        async def score(tokens: Sequence[int], top: int) -> Sequence[TokenScore]:
            found = await self._call(lambda: weights.score(tokens, top), self._scorer)
            return [TokenScore(one.token, one.logprob, one.top) for one in found]

        try:
            await self._call(weights.load, self._scorer)
            yield score
        finally:
            await reservation.release()

    async def refresh_prices(self) -> None:
        """Bring what models cost up to date; None for one that nobody serves now."""
        for name in self._models:
            try:
                await self._price(name)
            except NexusError as error:
                log.warning("No answer of %s can be had now: %s", name, error)
                self._models[name] = replace(self._models[name], wei_per_token=None)

    async def open_sessions(self) -> None:
        """Have a session with money for each model that nodes serve, once: no first answer waits for a transaction."""
        for name, model in self._models.items():
            if model.wei_per_token is None or name in self._prepared:
                continue
            try:
                await self._call(self._networks[name].pool.prepare)
                self._prepared.add(name)
            except NexusError as error:
                log.warning("No session for %s could be opened yet: %s", name, error)

    def spending_under_way(self) -> dict[bytes, int]:
        """Wei that answers took of each session which are not booked yet. Any thread may ask."""
        return spending_of(list(self._running))

    async def close(self) -> None:
        """End what is under way, and wait until all of it is booked."""
        await asyncio.gather(*(running.aclose() for running in list(self._running)), return_exceptions=True)
        await asyncio.to_thread(self._scorer.shutdown, cancel_futures=True)

    # ------------------------------------------------------------------ limits

    def _wanted(self, request: GenerationRequest) -> tuple[OfferedModel, int]:
        """The model and the most tokens of an answer. Raises UnknownModelError, InvalidRequestError."""
        model = self.model(request.model)
        if model.is_encoder:
            raise InvalidRequestError(
                f"{model.name} embeds texts and writes none", advice="Ask /v1/embeddings.", param="model"
            )
        return model, self._room(model, request)

    def _room(self, model: OfferedModel, request: GenerationRequest) -> int:
        """Most tokens of an answer: what is asked for, else what the context leaves, up to the operator's number."""
        asked = request.max_tokens
        if asked is not None and asked < 1:
            raise InvalidRequestError(
                f"{asked} tokens are no answer", advice="Ask for at least one.", param="max_tokens"
            )
        self._require_tokens(model, request.prompt, asked or 1)
        return asked or min(self.settings.max_tokens, model.context - len(request.prompt))

    def _require_tokens(self, model: OfferedModel, tokens: Sequence[int], more: int) -> None:
        """Raise unless ``tokens`` are of the model's vocabulary and leave room for ``more``."""
        if not tokens:
            raise InvalidRequestError("the prompt is empty", advice="Give at least one token.", param="prompt")
        vocabulary = model.files.program.shape.vocab
        if any(not 0 <= token < vocabulary for token in tokens):
            raise InvalidRequestError(
                "the prompt has a token id outside the vocabulary",
                advice=f"Ids of this model are 0 to {vocabulary - 1}.",
                param="prompt",
            )
        if len(tokens) + more > model.context:
            raise ContextTooLongError(
                f"{len(tokens)} prompt tokens and {more} new ones exceed the model's context of {model.context}",
                advice=f"Shorten the prompt, or ask for at most {max(0, model.context - len(tokens))} tokens.",
            )

    # ------------------------------------------------------------------- money

    async def _begin(
        self, caller: Caller, model: OfferedModel, prompt: Sequence[int], options: AskOptions, stops: Sequence[str]
    ) -> RunningAnswer:
        id = secrets.token_hex(16)
        price = await self._price(model.name)
        share = self._models[model.name].share
        order = billed_positions(len(prompt), options.max_tokens) * price
        most = order * (2 if options.audit_rate else 1)
        reservation = await self._accounts.reserve(caller, id, self._with_fees(most) + _most_share(most, share))
        network, drafting = self._networks[model.name], len(self._running) < DRAFTING_ANSWERS
        limit = order + publisher_share(order, share)
        options = replace(options, max_wei=limit, audit_budget=order, drafting=drafting)
        pooled = network.pool.ask(list(prompt), options, self._count_failover(model.name))
        source = network.aio.threads.answer(pooled)
        running = RunningAnswer(
            id, model, prompt, options.max_tokens, stops, source, _Ending(self, caller, reservation, price)
        )
        self._running.add(running)
        self._metrics.under_way.inc()
        note_answer(running)
        return running

    async def _price(self, name: str) -> int:
        """Wei for a position, all segments together, as known within PRICE_SECONDS. Raises UnavailableError."""
        model = self._models[name]
        if model.wei_per_token is None or time.monotonic() - self._priced.get(name, -1e9) > PRICE_SECONDS:
            network = self._networks[name]
            wei, share = await self._call(lambda: (network.wei_per_token(), network.most_share()))
            model = self._models[name] = replace(model, wei_per_token=wei, share=share)
            self._priced[name] = time.monotonic()
        return model.wei_per_token or 0

    def _with_fees(self, wei: int) -> int:
        return wei + fee_of(wei, self.settings) + self.settings.gas_wei

    async def book(self, answer: EndedAnswer) -> None:
        """Pay for an answer that has ended, and keep its evidence; for ``AnswerEnding``. Raises nothing."""
        try:
            await self._book(answer)
        except NexusError as error:
            log.error("Answer %s of %s could not be booked: %s", answer.running.id, answer.running.model.name, error)
            self._metrics.unsettled.inc()
        finally:
            self._running.discard(answer.running)
            self._metrics.under_way.dec()

    async def _book(self, answer: EndedAnswer) -> None:
        """Pay for an answer, and keep its evidence. Raises UnavailableError."""
        running, bill, metrics = answer.running, answer.bill, self._metrics
        name = running.model.name
        metrics.answers.labels(name, "failed" if answer.whole is None else running.finish).inc()
        metrics.losses.labels(name).inc(bill.lost_wei)
        if not bill.total_wei and not bill.lost_wei:
            await answer.reservation.release()
            return
        document = _evidence_of(running, answer.whole, bill)
        with self._evidence.coming(running.id, answer.caller, document) as evidence:
            await answer.reservation.settle(bill, evidence)
        metrics.cost.labels(name).inc(bill.total_wei)
        if answer.whole is not None and answer.whole.cost_wei:
            self._note_whole(running, answer.whole)

    def _note_whole(self, running: RunningAnswer, answer: Answer) -> None:
        """Count what an answer that did not fail consisted of, and have some recomputed."""
        model, metrics = running.model, self._metrics
        for audit in answer.audits:
            metrics.bought_audits.labels(model.name, "agreed" if audit.agreed else "differed").inc()
        metrics.tokens.labels(model.name, "prompt").inc(running.prompt_tokens)
        metrics.tokens.labels(model.name, "completion").inc(len(answer.tokens))
        if running.first_text_seconds is not None:
            metrics.first_text_seconds.labels(model.name).observe(running.first_text_seconds)
        known = self._paces.get(model.name, Pace(0, 0, 0.0))
        tokens, seconds = known.tokens + len(answer.tokens), known.seconds + running.network_seconds
        self._paces[model.name] = Pace(known.answers + 1, tokens, seconds)
        network = self._networks[model.name]
        self._evidence.draw(running.id, model, lambda: network.recompute(answer))

    # ----------------------------------------------------------------- threads

    async def _call(self, work: Callable[[], _Found], threads: ThreadPoolExecutor | None = None) -> _Found:
        """``work`` in a thread, of ``threads`` or any. Raises GatewayError."""
        try:
            return await asyncio.get_running_loop().run_in_executor(threads, work)
        except NexusError as error:
            raise told(error) from error

    def _count_failover(self, model: str) -> Callable[[FailoverEvent], None]:
        return lambda event: self._metrics.failovers.labels(model).inc()


def _most_share(wei: int, share: int) -> int:
    """What the publisher can get of an answer beside ``wei``: it is rounded up for each node of it."""
    return publisher_share(wei, share) + (MAX_LINES if share else 0)


@dataclass(frozen=True)
class _Ending:
    """See ``AnswerEnding``. ``wei_per_token``: when it began."""

    service: NetworkService
    caller: Caller
    reservation: Reservation
    wei_per_token: int

    def bill(self, running: RunningAnswer, answer: Answer | None) -> Bill:
        """See ``AnswerEnding``."""
        return bill_of(running, answer, self.wei_per_token, self.service.settings)

    async def book(self, running: RunningAnswer, answer: Answer | None, bill: Bill) -> None:
        """See ``AnswerEnding``. The caller has the text, so it is not told of a failure: its credit stays reserved
        until somebody looks.
        """
        await self.service.book(EndedAnswer(running, answer, bill, self.caller, self.reservation))


def _evidence_of(running: RunningAnswer, answer: Answer | None, bill: Bill) -> dict[str, Any] | None:
    """What to keep for an answer's caller: of one that failed, only what it paid for."""
    now = int(time.time())
    if answer is not None and (answer.cost_wei or bill.total_wei):
        return document_of(running.id, now, running.model, running.finish, answer, bill)
    if answer is None and bill.total_wei and (proof := running.failed_proof) is not None:
        return failed_document_of(running.id, now, running.model, proof, bill)
    return None
