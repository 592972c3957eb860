"""What a node does for its clients, in one process."""

from __future__ import annotations

import os
import sqlite3
import threading
from dataclasses import replace

import pytest
import torch

from nexus_chain.chain.wallet import Wallet
from nexus_chain.commitments.tensor import commit
from nexus_chain.errors import DataFolderError, NexusError
from nexus_chain.market.documents import Ask, Line, Receipt, TokenFeed, Voucher, recover
from nexus_chain.market.errors import (
    OrderAsksError,
    OrderExpiredError,
    OrderOverLimitError,
    VoucherLineError,
    VoucherOverCapError,
    WrongSignerError,
)
from nexus_chain.wire.digests import log_entry, rows_request_digest
from node.daemon.data_folder import events_path
from node.daemon.errors import (
    BusyError,
    ModelNotServedError,
    NotAuthorisedError,
    NotPrepaidError,
    OrderConflictError,
    PositionError,
    PredecessorError,
    PromptError,
    RowsConflictError,
    SessionNotOpenError,
    StoppingError,
    UnknownOrderError,
)
from node.daemon.ledger.effects import Effect
from tests.support.waiting import WAIT
from tests.support.workplace import CAP, DOMAIN, PRICE, PROMPT, SESSION, Answer, LocalNode, make_order, whole_answer


def receipts_of(node: LocalNode, digest: bytes) -> list[Receipt]:
    return [Receipt.from_json(one.json) for one in node.core.serving.receipts(digest)[0]]


# --------------------------------------------------------------------- an answer


def test_answer_over_two_nodes_is_the_whole_models_answer(answer: Answer) -> None:
    answer.begin()
    answer.pay(32)
    answer.decode(32)
    answer.close(len(PROMPT) + 32)
    assert answer.tokens == whole_answer(PROMPT, 33)


def test_receipts_chain_from_the_prompt_to_the_sampled_tokens(answer: Answer, nodes: list[LocalNode]) -> None:
    answer.begin()
    answer.pay(7)
    answer.decode(7)
    answer.close(len(PROMPT) + 7)
    first, last = (receipts_of(node, answer.digest) for node in nodes)
    tokens = torch.tensor(answer.sequence(), dtype=torch.int32)
    for index, to in enumerate((len(PROMPT), len(PROMPT) + 7)):
        assert first[index].in_root == commit(tokens[:to], answer.order.salt)
        assert last[index].in_root == first[index].out_root
        assert last[index].out_root == commit(tokens[: to + 1], answer.order.salt)
        assert last[index].predecessors == (first[index].digest(DOMAIN),)
    assert [(r.from_position, r.to_position, r.price) for r in first] == [(0, 5, 25), (5, 12, 35)]


def test_receipts_are_signed_by_the_receipt_key_and_logged(answer: Answer, nodes: list[LocalNode]) -> None:
    answer.begin()
    for node in nodes:
        (signed,), root, size = node.core.serving.receipts(answer.digest)
        key = node.core.serving.identity.receipt_key.address
        assert recover(Receipt.from_json(signed.json), signed.signature, DOMAIN) == key
        assert node.core.receipts.receipt(signed.number) == log_entry(signed.json, signed.signature)
        assert (root, size) == (node.core.receipts.root(), 1)


def test_sampled_answer_depends_on_the_seed_alone(nodes: list[LocalNode], user: Wallet) -> None:
    runs = []
    for seed, salt in ((1, 1), (1, 2), (2, 3)):
        order = make_order(user, sampling=90_000, sampling_seed=bytes([seed]) * 32, salt=bytes([salt]) * 32)
        order = replace(order, prompt_root=commit(torch.tensor(PROMPT, dtype=torch.int32), order.salt))
        run = Answer(nodes, user, order, PROMPT, paid=CAP)
        run.begin()
        run.decode(12)
        runs.append(run.tokens)
    assert runs[0] == runs[1] != runs[2]


def test_orders_side_by_side_do_not_disturb_each_other(nodes: list[LocalNode], user: Wallet) -> None:
    prompts = [[5, 6], PROMPT, list(range(30))]
    answers = [
        Answer(nodes, user, make_order(user, prompt, 12, salt=bytes([1]) * 32), prompt, paid=CAP) for prompt in prompts
    ]

    def run(one: Answer) -> None:
        one.begin()
        one.decode(11)

    threads = [threading.Thread(target=run, args=(one,)) for one in answers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.tokens for one in answers] == [whole_answer(prompt, 12) for prompt in prompts]


# ----------------------------------------------------------------------- restarts


def test_restart_in_the_middle_of_a_chunk_continues_with_the_same_bits(answer: Answer, nodes: list[LocalNode]) -> None:
    answer.begin()
    answer.pay(20)
    answer.decode(6)
    for node in nodes:
        before = node.core.ledger.state
        node.restart()
        assert node.core.ledger.state == before
    assert answer.open() == [11, 11]
    answer.decode(14)
    answer.close(len(PROMPT) + 20)
    assert answer.tokens == whole_answer(PROMPT, 21)


def test_rows_sent_again_are_answered_again_and_not_billed_again(answer: Answer, nodes: list[LocalNode]) -> None:
    answer.begin()
    answer.pay(4)
    answer.decode(4)
    computed = nodes[1].core.ledger.state.session(SESSION).computed
    again = answer.feed(3, answer.sequence()[3:9])
    assert again.tolist() == answer.tokens[:5]
    assert nodes[1].core.ledger.state.session(SESSION).computed == computed


def test_rows_half_known_are_answered_whole(answer: Answer) -> None:
    answer.begin()
    answer.pay(4)
    answer.decode(2)
    known = answer.sequence()
    assert answer.feed(5, known[5:8]).tolist()[:2] == answer.tokens[1:3]


def test_a_closed_chunk_closed_again_gives_the_same_receipt(answer: Answer, nodes: list[LocalNode]) -> None:
    answer.open()
    answer.feed(0, PROMPT)
    first = answer.close(5)
    answer.closed = 0
    assert answer.close(5) == first
    assert len(nodes[0].core.receipts) == 1


def test_a_receipt_that_a_crash_kept_from_the_log_is_logged_on_restart(answer: Answer, nodes: list[LocalNode]) -> None:
    answer.begin()
    node = nodes[0]
    node.core.close()
    for path in node.folder.glob("receipts.sqlite*"):
        path.unlink()
    node.core = node._open()
    assert len(node.core.receipts) == 1


def test_orders_pushed_out_of_memory_are_rebuilt_from_their_rows(nodes: list[LocalNode], user: Wallet) -> None:
    for node in nodes:
        node.most_orders = 1
        node.restart()
    orders = [make_order(user, max_tokens=tokens) for tokens in (10, 11)]
    answers = [Answer(nodes, user, order, PROMPT, paid=CAP) for order in orders]
    for one in answers:
        one.begin()
    for _ in range(3):
        for one in answers:
            one.decode(1)
    assert answers[0].tokens == answers[1].tokens == whole_answer(PROMPT, 4)


def test_a_spare_replays_everything_as_one_chunk(answer: Answer, nodes: list[LocalNode]) -> None:
    answer.begin()
    answer.pay(9)
    answer.decode(9)
    answer.close(14)
    spare_answer = Answer(nodes, answer.user, make_order(answer.user, max_tokens=39), PROMPT, paid=CAP)
    spare_answer.open()
    replayed = spare_answer.feed(0, answer.sequence()[:14])
    spare_answer.tokens = answer.tokens[:]
    receipts = spare_answer.close(14)
    assert replayed.tolist() == answer.tokens
    assert Receipt.from_json(receipts[0][0]).price == 14 * PRICE


# -------------------------------------------------------------------------- money


def test_rows_are_computed_only_when_prepaid(answer: Answer, nodes: list[LocalNode]) -> None:
    answer.begin()
    with pytest.raises(NotPrepaidError, match="30 wei"):
        answer.decode(1)
    assert nodes[0].core.ledger.state.order(answer.digest).length == 5
    answer.pay(1)
    answer.decode(1)
    with pytest.raises(NotPrepaidError):
        answer.decode(1)


def test_an_unpaid_order_is_not_opened(answer: Answer, nodes: list[LocalNode]) -> None:
    with pytest.raises(NotPrepaidError):
        nodes[0].core.serving.open_order(answer.application(0), *answer.voucher(24))
    assert not nodes[0].core.ledger.state.orders


def test_replayed_and_lower_vouchers_are_harmless(answer: Answer, nodes: list[LocalNode]) -> None:
    answer.begin()
    serving = nodes[0].core.serving
    assert serving.pay(*answer.voucher(500)) == 500
    assert serving.pay(*answer.voucher(500)) == 500
    assert serving.pay(*answer.voucher(1)) == 500


def test_voucher_over_the_cap_is_refused_until_the_cap_is_raised(answer: Answer, nodes: list[LocalNode]) -> None:
    answer.begin()
    with pytest.raises(VoucherOverCapError):
        nodes[0].core.serving.pay(*answer.voucher(CAP + 1))
    nodes[0].facts.cap = 2 * CAP
    assert nodes[0].core.serving.pay(*answer.voucher(CAP + 1)) == CAP + 1


def test_voucher_by_somebody_else_is_refused(answer: Answer, nodes: list[LocalNode]) -> None:
    answer.begin()
    document, _ = answer.voucher(500)
    with pytest.raises(WrongSignerError):
        nodes[0].core.serving.pay(document, Wallet.ephemeral().sign(document, DOMAIN))


def test_voucher_without_a_line_for_the_node_is_refused(answer: Answer, nodes: list[LocalNode]) -> None:
    answer.begin()
    document, _ = answer.voucher(500)
    other = replace(document, lines=document.lines[1:])
    with pytest.raises(VoucherLineError):
        nodes[0].core.serving.pay(other, answer.user.sign(other, DOMAIN))


# ---------------------------------------------------------------------- admission


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"deadline": 1}, OrderExpiredError),
        ({"max_price": 10}, OrderOverLimitError),
        ({"max_tokens": 60}, OrderOverLimitError),
        ({"model_version": bytes(32)}, ModelNotServedError),
        ({"prompt_root": bytes(32)}, PromptError),
        ({"asks": (Ask(0, 1, PRICE - 1), Ask(1, 3, PRICE))}, OrderAsksError),
        ({"asks": (Ask(0, 2, PRICE), Ask(2, 3, PRICE))}, OrderAsksError),
        ({"asks": (Ask(0, 1, PRICE),)}, OrderAsksError),
        ({"asks": (Ask(0, 1, CAP), Ask(1, 3, PRICE))}, OrderOverLimitError),
        ({"session": bytes(32)}, SessionNotOpenError),
        ({"sampling": 2**31}, NexusError),
    ],
)
def test_order_that_breaks_a_rule_is_refused(
    answer: Answer, nodes: list[LocalNode], changes: dict[str, object], error: type[NexusError]
) -> None:
    answer.order = replace(answer.order, **changes)  # type: ignore[arg-type]
    with pytest.raises(error) as refusal:
        nodes[0].core.serving.open_order(answer.application(0), *answer.voucher(CAP))
    assert refusal.value.advice
    assert not nodes[0].core.ledger.state.orders


def test_order_signed_by_somebody_else_is_refused(answer: Answer, nodes: list[LocalNode]) -> None:
    forged = replace(answer.application(0), signature=Wallet.ephemeral().sign(answer.order, DOMAIN))
    with pytest.raises(WrongSignerError):
        nodes[0].core.serving.open_order(forged, *answer.voucher(CAP))


def test_order_in_a_closing_or_expired_session_is_refused(answer: Answer, nodes: list[LocalNode]) -> None:
    nodes[0].facts.closing = True
    with pytest.raises(SessionNotOpenError):
        answer.open()
    nodes[0].facts.closing = False
    nodes[0].facts.lifetime = 0
    with pytest.raises(SessionNotOpenError):
        answer.open()


def test_order_for_another_segment_is_refused(answer: Answer, nodes: list[LocalNode]) -> None:
    with pytest.raises(OrderAsksError):
        nodes[0].core.serving.open_order(answer.application(1), *answer.voucher(CAP))


def test_known_order_opened_differently_is_refused(answer: Answer, nodes: list[LocalNode]) -> None:
    answer.open()
    changed = replace(answer.application(0), prompt_length=4)
    with pytest.raises(OrderConflictError):
        nodes[0].core.serving.open_order(changed, *answer.voucher(CAP))


# ------------------------------------------------------------------ rows and chunks


def test_rows_out_of_place_are_refused(answer: Answer, nodes: list[LocalNode]) -> None:
    answer.begin()
    answer.pay(40)
    with pytest.raises(PositionError):
        answer.feed(7, [1])
    with pytest.raises(PositionError, match="32"):
        answer.feed(5, [1] * 33)
    with pytest.raises(RowsConflictError):
        answer.feed(2, [999 % 640])
    with pytest.raises(UnknownOrderError):
        nodes[0].core.serving.forward(bytes(32), 0, torch.zeros(1, dtype=torch.int32))


def test_an_order_ends_at_its_last_token(nodes: list[LocalNode], user: Wallet) -> None:
    run = Answer(nodes, user, make_order(user, max_tokens=3), PROMPT, paid=CAP)
    run.begin()
    run.decode(2)
    with pytest.raises(PositionError, match="new order"):
        run.decode(1)


def test_segment_0_is_fed_the_ordered_prompt_only(answer: Answer) -> None:
    answer.open()
    with pytest.raises(PromptError):
        answer.feed(0, [1, 2, 3, 4, 5])


def test_chunk_out_of_place_is_refused(answer: Answer, nodes: list[LocalNode]) -> None:
    answer.open()
    answer.feed(0, PROMPT[:4])
    with pytest.raises(PositionError, match="inside the prompt"):
        nodes[0].core.serving.close_chunk(answer.digest, 0, 4, ())
    with pytest.raises(PositionError):
        nodes[0].core.serving.close_chunk(answer.digest, 0, 5, ())


def test_a_chunk_that_nobody_vouches_for_is_not_signed(answer: Answer, nodes: list[LocalNode]) -> None:
    answer.begin()
    answer.pay(1)
    answer.decode(1)
    first, last = (node.core.serving for node in nodes)
    with pytest.raises(PredecessorError):
        first.close_chunk(answer.digest, 5, 6, ())
    wrong = TokenFeed(answer.digest, 6, bytes(32))
    with pytest.raises(PredecessorError, match="other tokens"):
        first.close_chunk(answer.digest, 5, 6, ((wrong.to_json(), answer.user.sign(wrong, DOMAIN)),))
    with pytest.raises(PredecessorError):
        first.close_chunk(answer.digest, 5, 6, ((wrong.to_json(), Wallet.ephemeral().sign(wrong, DOMAIN)),))
    good = first.close_chunk(answer.digest, 5, 6, answer.handed(6))
    receipt = Receipt.from_json(good[0])
    for forged in (replace(receipt, out_root=bytes(32)), replace(receipt, segment=1), replace(receipt, to_position=7)):
        signature = nodes[0].core.serving.identity.receipt_key.sign(forged, DOMAIN)
        with pytest.raises(PredecessorError):
            last.close_chunk(answer.digest, 5, 6, ((forged.to_json(), signature),))
    with pytest.raises(PredecessorError):
        last.close_chunk(answer.digest, 5, 6, ((good[0], Wallet.ephemeral().sign(receipt, DOMAIN)),))
    stranger = replace(receipt, node=Wallet.ephemeral().address)
    signature = nodes[0].core.serving.identity.receipt_key.sign(stranger, DOMAIN)
    with pytest.raises(PredecessorError, match="no line"):
        last.close_chunk(answer.digest, 5, 6, ((stranger.to_json(), signature),))
    assert len(receipts_of(nodes[1], answer.digest)) == 1


def test_boundary_rows_are_for_the_session_key_only(answer: Answer, nodes: list[LocalNode]) -> None:
    answer.begin()
    node, at = nodes[0], nodes[0].facts.time
    digest = rows_request_digest(answer.digest, bytes.fromhex(node.wallet.address[2:]), at)
    signature = answer.user.sign_digest(digest)
    assert node.core.serving.boundary_rows(answer.digest, at, signature).tolist() == PROMPT
    for start in (2, len(PROMPT), 1000):
        assert node.core.serving.boundary_rows(answer.digest, at, signature, start).tolist() == PROMPT[start:]
    with pytest.raises(NotAuthorisedError):
        node.core.serving.boundary_rows(answer.digest, at, Wallet.ephemeral().sign_digest(digest))
    old = rows_request_digest(answer.digest, bytes.fromhex(node.wallet.address[2:]), at - 1000)
    with pytest.raises(NotAuthorisedError, match="too old"):
        node.core.serving.boundary_rows(answer.digest, at - 1000, answer.user.sign_digest(old))


# ------------------------------------------------------------------ limits and ends


def test_a_node_at_work_on_all_it_takes_says_so(answer: Answer, nodes: list[LocalNode]) -> None:
    nodes[0].most_orders = 1
    nodes[0].restart()
    answer.begin()
    other = Answer(nodes, answer.user, make_order(answer.user, max_tokens=9), PROMPT, paid=CAP)
    other.open()
    known = nodes[0].core.ledger.state.order(answer.digest)
    with nodes[0].core.serving._sequences.use(known), pytest.raises(BusyError):
        nodes[0].core.serving.forward(other.digest, 0, torch.tensor(PROMPT, dtype=torch.int32))


def test_shutdown_finishes_the_open_chunk_and_begins_no_other(answer: Answer, nodes: list[LocalNode]) -> None:
    answer.begin()
    answer.pay(20)
    answer.decode(2)
    for node in nodes:
        drained = threading.Thread(target=node.core.serving.drain, args=(2 * WAIT,))
        drained.start()
        node.drained = drained  # type: ignore[attr-defined]
    answer.decode(3)
    answer.close(10)
    for node in nodes:
        node.drained.join(timeout=WAIT)  # type: ignore[attr-defined]
        assert not node.drained.is_alive()  # type: ignore[attr-defined]
    with pytest.raises(StoppingError):
        answer.decode(1)


def test_forgotten_orders_leave_nothing(answer: Answer, nodes: list[LocalNode]) -> None:
    answer.begin()
    nodes[0].core.serving.forget((answer.digest,))
    assert not list((nodes[0].folder / "rows").iterdir())


# ------------------------------------------------------------------- hostile clients


def test_voucher_too_long_to_be_posted_is_refused(answer: Answer, nodes: list[LocalNode], user: Wallet) -> None:
    lines = [Line(nodes[0].wallet.address, 100), *(Line(f"0x{number:040x}", 0) for number in range(32))]
    voucher = Voucher(SESSION, tuple(lines))
    nodes[0].core.ledger.dispatch(nodes[0].facts.session(SESSION))
    with pytest.raises(VoucherLineError):
        nodes[0].core.serving.pay(voucher, user.sign(voucher, DOMAIN))


def test_an_order_for_another_version_or_range_is_not_continued(answer: Answer, nodes: list[LocalNode]) -> None:
    answer.begin()
    answer.pay(2)
    node = nodes[1]
    kept = (node.folder / "rows" / f"{answer.digest.hex()}.rows").read_bytes()
    for other in (
        replace(node.model, version=bytes([8]) * 32),
        replace(node.model, layer_start=2, width=100),
    ):
        served, node.model = node.model, other
        node.restart()
        assert node.core.ledger.state.order(answer.digest).length == len(PROMPT)
        assert (node.folder / "rows" / f"{answer.digest.hex()}.rows").read_bytes() == kept
        with pytest.raises(ModelNotServedError):
            node.core.serving.forward(answer.digest, 5, torch.zeros((1, other.width), dtype=torch.int32))
        with pytest.raises(ModelNotServedError):
            node.core.serving.close_chunk(answer.digest, 5, 6, ())
        node.model = served
    node.restart()
    answer.decode(1)
    assert answer.tokens == whole_answer(PROMPT, 2)


def test_one_prepaid_prompt_does_not_open_orders_without_end(nodes: list[LocalNode], user: Wallet) -> None:
    answers = [Answer(nodes, user, make_order(user, deadline=2**40 + number), PROMPT) for number in range(40)]

    def open_all() -> None:
        for one in answers:
            one.open()

    with pytest.raises(BusyError):
        open_all()
    opened = len(nodes[0].core.ledger.state.orders)
    assert 1 < opened < 40
    answers[0].pay(len(PROMPT))
    answers[0].feed(0, PROMPT)
    answers[opened].open()


def test_an_order_is_not_rebuilt_for_nothing_without_end(nodes: list[LocalNode], user: Wallet) -> None:
    node = nodes[0]
    answers = [Answer(nodes[:1], user, make_order(user, deadline=2**40 + n), PROMPT) for n in range(9)]
    node.core.ledger.dispatch(node.facts.session(SESSION))
    answers[0].pay(9 * len(PROMPT))
    for one in answers:
        application = replace(one.application(0), prompt=torch.tensor(PROMPT, dtype=torch.int32))
        node.core.serving.open_order(application, None, b"")
        node.core.serving.forward(one.digest, 0, torch.tensor(PROMPT, dtype=torch.int32))

    def ask_again(rounds: int) -> None:
        for _ in range(rounds):
            for one in answers:
                node.core.serving.forward(one.digest, 0, torch.tensor(PROMPT, dtype=torch.int32))

    ask_again(7)
    with pytest.raises(BusyError):
        ask_again(3)


def test_what_waited_for_an_answer_to_be_on_its_way(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    serving, log, rows = (getattr(answer.nodes[0].core, name) for name in ("serving", "receipts", "rows"))
    synced: list[bytes] = []
    with monkeypatch.context() as patch:
        patch.setattr(rows, "sync", synced.append)
        answer.open()
        answer.tokens += answer.feed(0, answer.prompt).tolist()
        serving.afterwards(answer.digest)
        assert not synced  # other rows fit the prompt's chunk
    answer.close(len(answer.prompt))
    monkeypatch.setattr(rows, "sync", synced.append)
    answer.pay(32)
    answer.decode(31)
    serving.afterwards(answer.digest)
    assert not synced  # another row fits the chunk
    answer.decode(1)
    serving.afterwards(answer.digest)
    assert synced == [answer.digest]
    serving.close_chunk(answer.digest, 5, 37, answer.handed(37))
    assert len(log) == 1
    # Whoever asks is told of both, whether the log had its turn or not.
    assert serving.receipts(answer.digest)[2] == 2 == len(log)


def test_the_first_chunk_is_full_with_the_prompt_and_32_positions(
    answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving, rows = answer.nodes[0].core.serving, answer.nodes[0].core.rows
    answer.open()
    answer.pay(len(answer.prompt) + 32)
    answer.tokens += answer.feed(0, answer.prompt).tolist()
    answer.decode(31)
    synced: list[bytes] = []
    with monkeypatch.context() as patch:
        patch.setattr(rows, "sync", synced.append)
        serving.afterwards(answer.digest)
        assert not synced  # another row fits the chunk
        answer.decode(1)
        serving.afterwards(answer.digest)
        assert synced == [answer.digest]
    receipts = [Receipt.from_json(text) for text, _ in answer.close(37)]
    assert [(receipt.from_position, receipt.to_position) for receipt in receipts] == [(0, 37)] * 2
    assert answer.tokens == whole_answer(answer.prompt, 33)


def test_a_long_prompts_rows_go_to_the_disk_while_others_compute(
    nodes: list[LocalNode], user: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt = list(range(33))
    answer = Answer(nodes, user, make_order(user, prompt, max_tokens=20), prompt)
    synced: list[bytes] = []
    monkeypatch.setattr(nodes[0].core.rows, "sync", synced.append)
    answer.open()
    answer.feed(0, prompt)
    nodes[0].core.serving.afterwards(answer.digest)
    assert synced == [answer.digest]


def test_rows_that_the_disk_lost_are_never_receipted(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    answer.begin()
    answer.pay(32)
    answer.decode(32)
    serving, sync = answer.nodes[0].core.serving, os.fdatasync

    def broken(descriptor: int) -> None:
        monkeypatch.setattr(os, "fdatasync", sync)  # the system tells of a loss once
        raise OSError("I/O error")

    monkeypatch.setattr(os, "fdatasync", broken)
    with pytest.raises(DataFolderError, match="I/O error"):
        serving.afterwards(answer.digest)
    with pytest.raises(DataFolderError, match="failed before"):
        serving.close_chunk(answer.digest, 5, 37, answer.handed(37))


def test_a_session_is_not_forgotten_before_its_receipts_are_logged(answer: Answer, nodes: list[LocalNode]) -> None:
    answer.open()
    answer.feed(0, PROMPT)
    node = nodes[0]
    node.core.serving.close_chunk(answer.digest, 0, len(PROMPT), ())
    node.core.serving.forget((answer.digest,))
    assert len(node.core.receipts) == 1


def test_receipts_of_orders_side_by_side_are_all_logged_in_their_places(
    nodes: list[LocalNode], user: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = nodes[0]
    log = node.core.serving.log_receipts
    held, waiting = threading.Event(), threading.Event()

    def late(effects: tuple[Effect, ...]) -> None:
        if not waiting.is_set():
            waiting.set()
            held.wait(2)
        log(effects)

    monkeypatch.setattr(node.core.serving, "log_receipts", late)
    answers = [Answer(nodes[:1], user, make_order(user, deadline=2**40 + n), PROMPT) for n in range(2)]
    node.core.ledger.dispatch(node.facts.session(SESSION))
    answers[0].pay(2 * len(PROMPT))
    for one in answers:
        node.core.serving.open_order(
            replace(one.application(0), prompt=torch.tensor(PROMPT, dtype=torch.int32)), None, b""
        )
        node.core.serving.forward(one.digest, 0, torch.tensor(PROMPT, dtype=torch.int32))

    def end_chunk(one: Answer) -> None:
        node.core.serving.close_chunk(one.digest, 0, 5, ())
        node.core.serving.afterwards(one.digest)

    first = threading.Thread(target=end_chunk, args=answers[:1])
    first.start()
    waiting.wait(5)
    second = threading.Thread(target=end_chunk, args=answers[1:])
    second.start()
    second.join(1)
    held.set()
    first.join()
    second.join()
    for one in answers:
        (signed,), _, size = node.core.serving.receipts(one.digest)
        assert size == 2
        assert node.core.receipts.receipt(signed.number) == log_entry(signed.json, signed.signature)


def test_an_order_whose_rows_are_lost_is_not_continued(answer: Answer, nodes: list[LocalNode]) -> None:
    answer.begin()
    answer.pay(3)
    node = nodes[0]
    node.core.close()
    path = node.folder / "rows" / f"{answer.digest.hex()}.rows"
    path.write_bytes(path.read_bytes()[:12])
    node.core = node._open()
    with pytest.raises(DataFolderError):
        node.core.serving.forward(answer.digest, 5, torch.tensor([1], dtype=torch.int32))
    assert len(path.read_bytes()) == 12


def test_a_voucher_that_a_power_cut_took_is_handed_over_again(answer: Answer, nodes: list[LocalNode]) -> None:
    """Vouchers wait for the next receipt to be on disk for good; rows may be there before."""
    answer.begin()
    answer.pay(32)
    answer.decode(5)
    for node in nodes:
        node.core.close()
        with sqlite3.connect(events_path(node.folder)) as log:
            log.execute(
                "DELETE FROM event WHERE number = (SELECT MAX(number) FROM event WHERE kind = 'VoucherReceived')"
            )
        node.core = node._open()
        session = node.core.ledger.state.session(SESSION)
        assert session.computed == 10 * PRICE > session.cumulative == 5 * PRICE
    with pytest.raises(NotPrepaidError):
        answer.decode(1)
    assert answer.open() == [10, 10]
    answer.decode(27)
    answer.close(37)
    assert answer.tokens == whole_answer(PROMPT, 33)
    for node in nodes:
        session = node.core.ledger.state.session(SESSION)
        assert session.computed == 37 * PRICE == session.cumulative
