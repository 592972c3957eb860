"""The service over toy nodes: what is reserved, computed, paid and kept, however an answer ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct

from nexus_chain.client.answer_run import AnswerRun
from nexus_chain.client.auditing import AuditResult
from nexus_chain.client.order import AskOptions
from nexus_chain.evidence.errors import ProofFileError
from nexus_chain.evidence.proof import InferenceProof
from nexus_chain.evidence.verify import TRUST, StepResult, VerificationReport, verify_proof
from nexus_chain.versions.errors import ModelFilesError
from nexus_chain.workflows.sent_requests import (
    SentRequest,
    differences_from,
    differs_from_text,
    limit_of_gateway,
    seed_bytes,
)
from node.gateway.accounts import ANSWER, READ, Bill, Caller, PaidEvidence
from node.gateway.delivery import begun_pieces, whole_text
from node.gateway.errors import (
    AnswerWithheldError,
    ContextTooLongError,
    ForbiddenError,
    InvalidRequestError,
    NotFoundError,
    PaymentRequiredError,
    UnavailableError,
    UnknownModelError,
    UnsupportedParameterError,
)
from node.gateway.exchange import Exchange
from node.gateway.generation import GenerationRequest
from node.gateway.metrics import AUDIT_RESULTS, BOUGHT_RESULTS
from node.gateway.open_accounts import OpenReservation
from node.gateway.service import DRAFTING_ANSWERS
from tests.support.toy_market import ToyWorld
from tests.support.toy_service import MODEL, PRICE, ToyService, run_service, score_prompt, toy_service, toy_text

PROMPT = [3, 14, 15]
CALLER = Caller("0xAlice", frozenset({ANSWER, READ}))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ToyWorld:
    ToyWorld.stand_for_the_chain(monkeypatch)
    return ToyWorld(tmp_path)


@pytest.fixture
def toy(world: ToyWorld, tmp_path: Path) -> Iterator[ToyService]:
    with toy_service(world, tmp_path) as made:
        yield made


def ask(**words: Any) -> GenerationRequest:
    return GenerationRequest(**{"model": MODEL, "prompt": tuple(PROMPT), "max_tokens": 20, **words})


def only_bill(toy: ToyService) -> Bill:
    (bill,) = [one.bill for one in toy.accounts.reservations.values() if one.bill is not None]
    return bill


def nothing_is_open(toy: ToyService) -> bool:
    return all(one.is_over for one in toy.accounts.reservations.values()) and not toy.service._running


def test_an_answer_is_reserved_paid_split_and_kept(toy: ToyService) -> None:
    async def work() -> Any:
        running = await toy.service.generate(CALLER, ask())
        assert toy.accounts.reservations[running.id].wei == PRICE * 22
        assert not toy.accounts.reservations[running.id].is_over
        text = "".join([piece async for piece in running])
        return running, text, await toy.evidence.receipts(CALLER, running.id)

    running, text, kept = run_service(toy, work)
    assert text == toy_text(PROMPT, 20)
    assert (running.finish, running.stop_text, running.completion_tokens, len(running.tokens)) == (
        "length",
        None,
        20,
        20,
    )
    assert running.cost_wei == PRICE * 22  # every position but the last token's, which is never fed
    assert only_bill(toy) == Bill(nodes_wei=PRICE * 22 - 2 * (220 // 10), vault_wei=2 * (220 // 10))
    assert nothing_is_open(toy)
    assert (kept["cost_wei"], kept["finish"], kept["model"]) == (str(PRICE * 22), "length", MODEL)
    assert sum(int(receipt["price_wei"]) for receipt in kept["receipts"]) == PRICE * 22
    proof = InferenceProof.from_dict(kept["proof"])
    assert list(proof.tokens[:3]) == PROMPT
    report = verify_proof(proof, None, TRUST)
    assert report.passed, report.steps
    assert toy.counted("nexus_gateway_tokens_total", model=MODEL, kind="completion") == 20
    assert toy.counted("nexus_gateway_answers_under_way") == 0


def test_no_new_answer_drafts_while_many_are_under_way(toy: ToyService, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes compute for all of them, so a wrong guess costs the others a row."""
    drafting: list[bool] = []
    honest = toy.network.pool.ask

    def noted(prompt: Any, options: AskOptions, *more: Any) -> Any:
        drafting.append(options.drafting)
        return honest(prompt, options, *more)

    monkeypatch.setattr(toy.network.pool, "ask", noted)

    async def work() -> None:
        many = await asyncio.gather(*(toy.service.generate(CALLER, ask()) for _ in range(DRAFTING_ANSWERS + 2)))
        for running in many:
            await running.aclose()
        await toy.service.generate(CALLER, ask())

    run_service(toy, work)
    assert drafting == [True] * DRAFTING_ANSWERS + [False] * 2 + [True]


def test_who_asks_for_evidence_before_it_is_kept_waits(toy: ToyService, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader has the end of an answer while it is booked."""
    held, honest = asyncio.Event(), OpenReservation.settle

    async def settle(reservation: OpenReservation, bill: Bill, evidence: PaidEvidence | None = None) -> None:
        await held.wait()
        await honest(reservation, bill, evidence)

    monkeypatch.setattr(OpenReservation, "settle", settle)

    async def work() -> tuple[Any, dict[str, Any]]:
        running = await toy.service.generate(CALLER, ask())
        await whole_text(running)
        asking = asyncio.create_task(toy.evidence.receipts(CALLER, running.id))
        await asyncio.sleep(0.05)
        assert (running.has_ended, asking.done()) == (True, False)
        assert running.cost_wei > 0
        held.set()
        return running, await asking

    running, kept = run_service(toy, work)
    assert kept["cost_wei"] == str(running.cost_wei) == str(only_bill(toy).total_wei)


def test_others_do_not_read_the_evidence(toy: ToyService) -> None:
    async def work() -> None:
        running = await toy.service.generate(CALLER, ask(max_tokens=2))
        _ = [piece async for piece in running]
        for caller, id in ((Caller("0xBob", frozenset({READ})), running.id), (CALLER, "0" * 32), (CALLER, "../x")):
            with pytest.raises(NotFoundError):
                await toy.evidence.receipts(caller, id)
        for named in (f"chatcmpl-{running.id}", f"msg_{running.id}"):
            assert (await toy.evidence.receipts(CALLER, named))["id"] == running.id

    run_service(toy, work)


def test_what_was_sent_is_signed_once_it_has_ended(toy: ToyService) -> None:
    async def work() -> None:
        running = await toy.service.generate(CALLER, ask(max_tokens=2))
        _ = [piece async for piece in running]
        with pytest.raises(NotFoundError):
            await toy.evidence.signature(CALLER, running.id)
        exchange = Exchange("r", "ab" * 32, [running])
        toy.evidence.open(exchange)
        waiting = asyncio.ensure_future(toy.evidence.signature(CALLER, running.id))
        exchange.sent.update(b"bytes")
        await toy.evidence.sent(exchange, is_whole=True)
        found = await waiting
        assert found["text"] == f"{'ab' * 32}:277089d91c0bdf4f2e6862ba7e4a07605119431f5d13f726dd352b06f1b206a9"
        signer = Account.recover_message(encode_defunct(text=found["text"]), signature=found["signature"])
        assert (signer, found["signing_algo"]) == (found["signing_address"], "ecdsa")

    run_service(toy, work)


def test_the_signature_of_a_response_that_goes_on_is_not_there(
    toy: ToyService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.gateway.evidence.WAIT_SECONDS", 0.01)

    async def work() -> None:
        running = await toy.service.generate(CALLER, ask(max_tokens=2))
        _ = [piece async for piece in running]
        toy.evidence.open(Exchange("r", "ab" * 32, [running]))
        with pytest.raises(NotFoundError, match="not at its end"):
            await toy.evidence.signature(CALLER, running.id)

    run_service(toy, work)


@pytest.mark.parametrize("cut", [1, 3, 5, 9])
def test_a_stop_text_ends_the_answer_at_the_nodes(toy: ToyService, cut: int) -> None:
    whole = toy_text(PROMPT, 400)
    stop = whole[20 : 20 + cut]
    expected = whole[: whole.index(stop)]

    async def work() -> tuple[str, Any]:
        running = await toy.service.generate(CALLER, ask(max_tokens=400, stop=(stop,)))
        return "".join([piece async for piece in running]), running

    text, running = run_service(toy, work)
    assert (text, running.finish, running.stop_text) == (expected, "stop", stop)
    assert len(running.tokens) < 400
    assert only_bill(toy).total_wei == running.cost_wei < PRICE * 402
    assert nothing_is_open(toy)


def test_a_reader_who_leaves_pays_what_was_computed(toy: ToyService) -> None:
    async def work() -> Any:
        running = await toy.service.generate(CALLER, ask(max_tokens=400))
        async for _ in running:
            break
        await running.aclose()
        return running, await toy.evidence.receipts(CALLER, running.id)

    running, kept = run_service(toy, work)
    assert running.finish == kept["finish"] == "cancelled"
    assert 0 < only_bill(toy).total_wei == running.cost_wei < PRICE * 402
    assert kept["cost_wei"] == str(running.cost_wei)
    assert nothing_is_open(toy)


def test_a_task_that_is_cancelled_leaves_nothing_open(toy: ToyService) -> None:
    """The nodes are held up while it is cancelled; what they computed is booked all the same."""
    reached, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        reached.set()
        go_on.wait(60)

    async def work() -> None:
        running = await toy.service.generate(CALLER, ask())
        toy.world.slow = hold

        async def read() -> None:
            async for _ in running:
                pass

        task = asyncio.create_task(read())
        await asyncio.to_thread(reached.wait, 60)
        task.cancel()
        await asyncio.sleep(0)  # the reader is told while the nodes are held up, and waits for what they compute
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    run_service(toy, work)
    assert nothing_is_open(toy)


def test_an_answer_that_nobody_reads_costs_nothing(toy: ToyService) -> None:
    async def work() -> Any:
        running = await toy.service.generate(CALLER, ask())
        await running.aclose()
        await running.aclose()
        return running

    running = run_service(toy, work)
    assert (running.finish, running.cost_wei, running.has_ended) == ("cancelled", 0, True)
    assert toy.world.market.calls == []
    assert nothing_is_open(toy)


def read_all(toy: ToyService, **words: Any) -> Callable[[], Awaitable[str]]:
    async def work() -> str:
        running = await toy.service.generate(CALLER, ask(**words))
        return "".join([piece async for piece in running])

    return work


def test_without_credit_nothing_is_asked(toy: ToyService, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: Any) -> Any:
        raise PaymentRequiredError("no credit", advice="Deposit.")

    monkeypatch.setattr(toy.accounts, "reserve", refuse)
    with pytest.raises(PaymentRequiredError):
        run_service(toy, read_all(toy))
    assert toy.world.market.calls == []


def test_nobody_to_serve_a_segment(toy: ToyService) -> None:
    for node in toy.world.facts.registered[2:]:
        node.dies_after = -1
    with pytest.raises(UnavailableError, match="layers 1-2") as told:
        run_service(toy, read_all(toy))
    assert told.value.retry_after == 5.0
    assert nothing_is_open(toy)
    assert toy.counted("nexus_gateway_answers_total", model=MODEL, finish="failed") == 1


def test_a_price_that_rose_is_not_paid(toy: ToyService) -> None:
    toy.network.wei_per_token = lambda: PRICE - 1
    with pytest.raises(UnavailableError, match="prices") as told:
        run_service(toy, read_all(toy))
    assert told.value.retry_after == 1.0
    assert nothing_is_open(toy)


def test_an_answer_of_liars_is_withheld_and_free(toy: ToyService) -> None:
    """Nothing reached the caller, who pays nothing; what nodes were promised is the gateway's loss."""
    for node in toy.world.facts.registered[:2]:
        node.forges = "in_root"
    with pytest.raises(AnswerWithheldError, match="segment 0"):
        run_service(toy, read_all(toy))
    assert nothing_is_open(toy)
    bill = only_bill(toy)
    assert bill.total_wei == 0
    assert bill.lost_wei == spent_in_sessions(toy) > 0
    assert toy.counted("nexus_gateway_losses_wei_total", model=MODEL) == bill.lost_wei


def spent_in_sessions(toy: ToyService) -> int:
    """What every session counts as used by its nodes."""
    store = toy.network.pool.client.store
    return sum(line.used for one in store.sessions() for line in store.lines(one.id).values())


def failing_later(toy: ToyService, messages: int) -> None:
    """Nodes of the last segment are gone after so many messages to any node."""
    left = iter(range(messages))

    def count() -> None:
        if next(left, None) is None:
            for node in toy.world.facts.registered[2:]:
                node.dies_after = -1

    toy.world.slow = count


async def read_until_it_fails(running: Any) -> list[str]:
    """Pieces that its caller was given."""
    pieces: list[str] = []
    try:
        async for piece in await begun_pieces(running):
            pieces.append(piece)
    except UnavailableError:
        return pieces
    raise AssertionError("it did not fail")


def test_a_stream_that_fails_is_paid_as_far_as_it_was_read(toy: ToyService) -> None:
    """A caller who has one of its nodes fail reads nothing for nothing."""

    async def work() -> tuple[Any, list[str], Any]:
        running = await toy.service.generate(CALLER, ask(max_tokens=200))
        failing_later(toy, 150)
        read = await read_until_it_fails(running)
        return running, read, await toy.evidence.receipts(CALLER, running.id)

    running, pieces, kept = run_service(toy, work)
    assert (kept["finish"], kept["cost_wei"]) == ("failed", str(running.cost_wei))
    assert 0 < sum(int(receipt["price_wei"]) for receipt in kept["receipts"]) <= running.cost_wei
    report = verify_proof(InferenceProof.from_dict(kept["proof"]), None, TRUST)
    assert report.steps[0].passed, report.steps
    bill = only_bill(toy)
    assert len(pieces) > 32
    assert running.cost_wei == bill.total_wei >= PRICE * (len(PROMPT) + len(pieces) - 1)
    assert bill.total_wei <= toy.accounts.reservations[running.id].wei
    assert bill.total_wei + bill.lost_wei == spent_in_sessions(toy)
    assert toy.counted("nexus_gateway_cost_wei_total", model=MODEL) == bill.total_wei
    assert nothing_is_open(toy)


def test_text_of_the_chunk_that_has_no_receipt_is_paid(toy: ToyService) -> None:
    """The nodes never sign: what the caller has read of their first chunk is paid from what was written off."""

    async def work() -> int:
        running = await toy.service.generate(CALLER, ask(max_tokens=200))
        failing_later(toy, 20)
        return len(await read_until_it_fails(running))

    read = run_service(toy, work)
    bill = only_bill(toy)
    assert 0 < read < 32
    assert PRICE * (len(PROMPT) + read - 1) <= bill.total_wei < PRICE * 202
    assert bill.total_wei + bill.lost_wei == spent_in_sessions(toy)


def test_an_answer_that_fails_before_it_is_whole_costs_nothing_where_the_caller_wants_it_whole(toy: ToyService) -> None:
    async def work() -> None:
        running = await toy.service.generate(CALLER, ask(max_tokens=200))
        failing_later(toy, 150)
        with pytest.raises(UnavailableError):
            await whole_text(running)

    run_service(toy, work)
    bill = only_bill(toy)
    assert (bill.total_wei, bill.lost_wei) == (0, spent_in_sessions(toy))
    assert bill.lost_wei > 0


def test_fees_are_reserved_and_billed(world: ToyWorld, tmp_path: Path) -> None:
    with toy_service(world, tmp_path, fee_basis_points=250, gas_wei=7) as toy:
        run_service(toy, read_all(toy))
        (reservation,) = toy.accounts.reservations.values()
        assert reservation.wei == 440 + 11 + 7
        assert only_bill(toy) == Bill(396, 44, gas_wei=7, fee_wei=11)


def test_the_publishers_share_is_reserved_billed_and_kept(world: ToyWorld, tmp_path: Path) -> None:
    world.share = 777
    with toy_service(world, tmp_path, fee_basis_points=250) as toy:

        async def work() -> Any:
            running = await toy.service.generate(CALLER, ask())
            async for _ in running:
                pass
            return running, await toy.evidence.receipts(CALLER, running.id)

        running, kept = run_service(toy, work)
        (reservation,) = toy.accounts.reservations.values()
        publisher = 2 * 18  # 220 * 777 / 10 000 = 17.1 for each of two nodes, rounded up
        assert reservation.wei >= 440 + publisher + 11
        bill = only_bill(toy)
        # Nodes, vault and gateway get what they get without a share.
        assert bill == Bill(396, 44, fee_wei=11, publisher_wei=publisher)
        assert (running.cost_wei, kept["bill_wei"]["publisher"]) == (440 + 11 + publisher, str(publisher))
        assert (bill.lost_wei, bill.sessions) == (0, {bytes.fromhex(kept["session"][2:]): 440})


def test_an_answer_that_failed_loses_its_share_too(world: ToyWorld, tmp_path: Path) -> None:
    world.share = 1_000
    with toy_service(world, tmp_path) as toy:

        async def work() -> None:
            running = await toy.service.generate(CALLER, ask(max_tokens=200))
            failing_later(toy, 150)
            with pytest.raises(UnavailableError):
                await whole_text(running)

        run_service(toy, work)
        bill, spent = only_bill(toy), spent_in_sessions(toy)
        assert spent > 0
        assert (bill.total_wei, bill.lost_wei) == (0, spent + spent // 10)


def test_the_same_seed_is_the_same_order_seed(toy: ToyService) -> None:
    assert seed_bytes(7) == seed_bytes(7) != seed_bytes(-7)
    assert len(seed_bytes(2**400)) == 32

    async def work() -> Any:
        running = await toy.service.generate(CALLER, ask(seed=7, temperature=1.0))
        _ = [piece async for piece in running]
        return running.answer

    assert run_service(toy, work).proof.order.sampling_seed == seed_bytes(7)


def test_a_right_answer_to_another_question_is_found_out(toy: ToyService) -> None:
    async def work() -> Any:
        running = await toy.service.generate(CALLER, ask(seed=7, temperature=1.0))
        text = "".join([piece async for piece in running])
        return running.answer.proof, text

    proof, text = run_service(toy, work)
    sent, files = SentRequest((tuple(PROMPT),), 1.0, lambda _: 20, 7), cast(Any, toy.world.files)
    assert list(differences_from(proof, sent, files)) == []
    for change, said in [
        ({"prompts": ((3, 14, 16),)}, "at position 2 stands 15 instead of 16"),
        ({"prompts": ((3, 14),)}, "there are 3 instead of 2"),
        ({"temperature": 0.0}, "temperature"),
        ({"seed": 8}, "seed 8"),
        ({"max_tokens": lambda _: 21}, "20 tokens instead of 21"),
    ]:
        (difference,) = differences_from(proof, replace(sent, **change), files)
        assert said in difference
    assert differs_from_text(proof, text, files) is None
    assert differs_from_text(proof, text[:-1], files) is not None
    assert differs_from_text(proof, text.replace("1", "2", 1), files) is not None
    stop = text[10:13]
    assert differs_from_text(proof, text[: text.index(stop)], files, (stop,)) is None


def test_an_answer_to_one_prompt_of_several_is_none_to_the_others(toy: ToyService) -> None:
    proof = run_service(toy, read_proof(toy, seed=7))
    files = cast(Any, toy.world.files)
    sent = SentRequest(((1,), tuple(PROMPT)), 0.0, lambda _: 20, 7)
    assert list(differences_from(proof, sent, files, 1)) == []
    (difference,) = differences_from(proof, sent, files, 0)
    assert "other token ids" in difference
    assert [replace(sent, prompts=sent.prompts[:1]).index_of(None), sent.index_of(1)] == [0, 1]
    for index, said in [(None, "2 prompts"), (2, "no prompt 2"), (-1, "no prompt -1")]:
        with pytest.raises(ProofFileError, match=said):
            sent.index_of(index)


def test_an_answer_that_was_cut_short_is_found_out(toy: ToyService) -> None:
    """All of its receipts are right: its gateway has only asked for no more of it."""

    async def work() -> Any:
        running = await toy.service.generate(CALLER, ask(max_tokens=400))
        async for _ in running:
            break
        await running.aclose()
        return running.answer

    proof, files = run_service(toy, work).proof, cast(Any, toy.world.files)
    count = len(proof.tokens) - len(PROMPT)
    assert verify_proof(proof, None, TRUST).passed
    sent = SentRequest((tuple(PROMPT),), 0.0, lambda _: 400)
    (difference,) = differences_from(proof, sent, files)
    assert f"cut short after {count} of 400 tokens" in difference
    assert "reader left" in difference

    text = toy_text(PROMPT, count)
    assert list(differences_from(proof, replace(sent, stops=("", text[4:7])), files)) == []
    assert list(differences_from(proof, replace(sent, stops=("", "x")), files)) == [difference]
    toy.world.files.codec.end_tokens = frozenset(proof.tokens[-1:])
    assert list(differences_from(proof, sent, files)) == []


def test_a_number_of_tokens_that_nobody_asked_for_is_said(toy: ToyService) -> None:
    proof, files = run_service(toy, read_proof(toy)), cast(Any, toy.world.files)
    sent = SentRequest((tuple(PROMPT),), 0.0, lambda _: None)
    assert list(differences_from(proof, sent, files)) == []
    assert "ends at 20, a number of the gateway's" in limit_of_gateway(proof, sent, files)
    assert limit_of_gateway(proof, replace(sent, max_tokens=lambda _: 20), files) == ""
    assert limit_of_gateway(proof, replace(sent, stops=(toy_text(PROMPT, 20)[4:7],)), files) == ""


def read_proof(toy: ToyService, **words: Any) -> Callable[[], Awaitable[InferenceProof]]:
    async def work() -> InferenceProof:
        running = await toy.service.generate(CALLER, ask(**words))
        _ = [piece async for piece in running]
        assert running.answer is not None
        return running.answer.proof

    return work


def test_an_answer_is_recomputed_where_the_lot_falls_on_it(world: ToyWorld, tmp_path: Path) -> None:
    with toy_service(world, tmp_path, verify_rate=1.0) as toy:

        async def work() -> Any:
            running = await toy.service.generate(CALLER, ask())
            _ = [piece async for piece in running]
            await running.aclose()
            await running.aclose()
            await asyncio.gather(*toy.evidence._checks)
            return running, await toy.evidence.receipts(CALLER, running.id)

        running, kept = run_service(toy, work)
        assert toy.recomputed == [running.answer]
        assert kept["verification"] == {"level": "full", "passed": True, "wrong": []}
        assert toy.counted("nexus_gateway_audits_total", model=MODEL, result="passed") == 1


def no_weights() -> VerificationReport:
    raise ModelFilesError("they are not here", advice="Fetch them.")


def no_memory() -> VerificationReport:
    raise MemoryError


@pytest.mark.parametrize(
    ("recompute", "waiting", "result"),
    [
        (lambda: VerificationReport((), (), True), 16, "passed"),
        (lambda: VerificationReport((StepResult(6, "recompute", False, "a lie"),), (), True), 16, "failed"),
        (no_weights, 16, "no_weights"),
        (no_memory, 16, "error"),
        (no_memory, 0, "skipped"),
    ],
)
def test_what_came_of_every_audit_is_counted(
    world: ToyWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    recompute: Callable[[], VerificationReport], waiting: int, result: str,
) -> None:  # fmt: skip
    monkeypatch.setattr("node.gateway.evidence.WAITING_AT_MOST", waiting)
    with toy_service(world, tmp_path, verify_rate=1.0) as toy:
        toy.network.recompute = lambda _: recompute()

        async def work() -> None:
            running = await toy.service.generate(CALLER, ask())
            _ = [piece async for piece in running]
            await running.aclose()
            await asyncio.gather(*toy.evidence._checks)

        run_service(toy, work)
        found = {one: toy.counted("nexus_gateway_audits_total", model=MODEL, result=one) for one in AUDIT_RESULTS}
        assert found == dict.fromkeys(AUDIT_RESULTS, 0) | {result: 1}


def test_audits_that_other_nodes_did_are_counted(toy: ToyService, monkeypatch: pytest.MonkeyPatch) -> None:
    def bought(run: AnswerRun, _: object) -> None:
        run.audits = [AuditResult(0, 5, "0xA", "0xB", 1, agreed) for agreed in (True, False, True)]

    monkeypatch.setattr(AnswerRun, "_audit", bought)
    assert 'nexus_gateway_bought_audits_total{model="toy",result="differed"} 0.0' in toy.metrics.text().decode()
    run_service(toy, read_all(toy))
    counted = {one: toy.counted("nexus_gateway_bought_audits_total", model=MODEL, result=one) for one in BOUGHT_RESULTS}
    assert counted == {"agreed": 2, "differed": 1}


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ({"model": "other"}, UnknownModelError),
        ({"prompt": ()}, InvalidRequestError),
        ({"prompt": (101,)}, InvalidRequestError),
        ({"prompt": (-1,)}, InvalidRequestError),
        ({"max_tokens": 0}, InvalidRequestError),
        ({"max_tokens": 510}, ContextTooLongError),
        ({"prompt": (1,) * 512, "max_tokens": None}, ContextTooLongError),
        ({"temperature": 1e-9}, InvalidRequestError),
    ],
)
def test_what_cannot_be_asked(toy: ToyService, words: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        run_service(toy, read_all(toy, **words))
    assert nothing_is_open(toy)


def test_without_a_number_an_answer_is_as_long_as_the_operator_allows(world: ToyWorld, tmp_path: Path) -> None:
    with toy_service(world, tmp_path, max_tokens=30) as toy:
        assert run_service(toy, read_all(toy, max_tokens=None)) == toy_text(PROMPT, 30)
        long = (1,) * 500
        assert run_service(toy, read_all(toy, prompt=long, max_tokens=None)) == toy_text(list(long), 12)


def test_scores_need_the_weights_and_the_right(toy: ToyService) -> None:
    with pytest.raises(UnsupportedParameterError) as told:
        run_service(toy, lambda: score_prompt(toy, CALLER, PROMPT))
    assert told.value.param == "logprobs"
    with pytest.raises(ForbiddenError):
        run_service(toy, lambda: score_prompt(toy, Caller("x", frozenset({READ})), PROMPT))


def test_a_session_is_open_before_somebody_asks(toy: ToyService) -> None:
    async def twice() -> tuple[int, int]:
        await toy.service.refresh_prices()
        counts = []
        for _ in range(2):
            await toy.service.open_sessions()
            counts.append(len(toy.network.pool.sessions))
        return counts[0], counts[1]

    assert run_service(toy, twice) == (1, 1)
