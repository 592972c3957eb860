"""What a node is shown when an order is opened: the prompt's length, and the receipt of the node that it replaces."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Barrier

import pytest
import torch

from nexus_chain.chain.wallet import Wallet
from nexus_chain.commitments.tensor import tensor_tree
from nexus_chain.market.documents import Ask, Line, Receipt, Voucher
from node.daemon.errors import BusyError, CreditError, NotPrepaidError, PositionError, PromptError
from node.daemon.ledger.events import OrderReceived
from node.daemon.serving.admission import Application, SignedText
from node.daemon.serving.serving import MOST_CREDITS, MOST_UNFED
from tests.support.workplace import (
    CAP,
    DOMAIN,
    PRICE,
    PROMPT,
    SESSION,
    SPLIT,
    Answer,
    LocalNode,
    linked_nodes,
    make_order,
    whole_answer,
)

# ----------------------------------------------------------------- a prompt's length


@pytest.mark.parametrize("told", [1, 4, 6])
def test_a_segment_without_the_tokens_takes_no_other_prompt_length(
    nodes: list[LocalNode], user: Wallet, told: int
) -> None:
    """The length decides which positions are sampled, and a game takes the one that opens promptRoot."""
    answer = Answer(nodes, user, make_order(user), PROMPT)
    for segment, node in enumerate(nodes):
        application = replace(answer.application(segment), prompt_length=told)
        with pytest.raises(PromptError):
            node.core.serving.open_order(application, *answer.voucher(CAP))
        other = tensor_tree(torch.tensor(PROMPT[:told], dtype=torch.int32)).root()
        with pytest.raises(PromptError):
            node.core.serving.open_order(replace(application, prompt_tree=other), *answer.voucher(CAP))
        assert not node.core.ledger.state.orders


def test_a_middle_segment_is_shown_the_prompts_length_and_no_token(tmp_path: Path, user: Wallet) -> None:
    split = ((0, 1), (1, 2), (2, 3))
    with linked_nodes(tmp_path, user, split) as nodes:
        asks = tuple(Ask(start, end, PRICE) for start, end in split)
        answer = Answer(nodes, user, make_order(user, asks=asks), PROMPT)
        middle = nodes[1].core.serving
        for told in (1, 4, 6):
            with pytest.raises(PromptError, match="promptRoot"):
                middle.open_order(replace(answer.application(1), prompt_length=told), *answer.voucher(CAP))
        assert len(answer.application(1).prompt) == 0
        answer.begin()
        assert answer.tokens == whole_answer(PROMPT, 1)


# --------------------------------------------------------------------- free replays


@contextmanager
def replaced(folder: Path, user: Wallet, decoded: int = 9) -> Iterator[tuple[Answer, LocalNode, SignedText]]:
    """An answer whose first segment is receipted so far, a spare for that, and the receipt to show there."""
    with linked_nodes(folder, user, SPLIT) as nodes, linked_nodes(folder / "spare", user, SPLIT[:1]) as (spare,):
        for node in (*nodes, spare):
            node.facts.keys = nodes[0].facts.keys | spare.facts.keys
        answer = Answer(nodes, user, make_order(user), PROMPT)
        answer.begin()
        answer.pay(decoded)
        answer.decode(decoded)
        yield answer, spare, answer.close(len(PROMPT) + decoded)[0]


def paid_at(spare: LocalNode, answer: Answer, wei: int) -> tuple[Voucher, bytes]:
    voucher = Voucher(SESSION, (Line(spare.wallet.address, wei),))
    return voucher, answer.user.sign(voucher, DOMAIN)


def taken_over(answer: Answer, spare: LocalNode, shown: SignedText, wei: int) -> Answer:
    """The answer with the spare in the first segment's place; its replay is done."""
    spare.core.serving.open_order(replace(answer.application(0), credit=shown), *paid_at(spare, answer, wei))
    rows = torch.tensor(answer.sequence()[: answer.closed], dtype=torch.int32)
    spare.core.serving.forward(answer.digest, 0, rows)
    return replace(answer, nodes=[spare, answer.nodes[1]])


@pytest.mark.parametrize("restarted", [False, True])
def test_a_spare_replays_for_nothing_what_the_node_before_was_paid_for(
    tmp_path: Path, user: Wallet, restarted: bool
) -> None:
    with replaced(tmp_path, user) as (answer, spare, shown):
        again = taken_over(answer, spare, shown, 0)
        again.tokens = answer.tokens
        with pytest.raises(NotPrepaidError):
            again.decode(1)
        if restarted:
            spare.restart()
        assert spare.core.ledger.state.session(SESSION).computed == 0
        spare.core.serving.pay(*paid_at(spare, answer, 3 * PRICE))
        again.nodes[1].core.serving.pay(*answer.voucher(answer.paid + 3 * PRICE))
        again.decode(3)
        receipt = Receipt.from_json(again.close(17)[0][0])
        assert (receipt.from_position, receipt.to_position, receipt.price) == (14, 17, 3 * PRICE)
        assert again.tokens == whole_answer(PROMPT, 13)
        assert spare.core.ledger.state.session(SESSION).computed == 3 * PRICE


def test_rows_of_a_free_replay_are_not_dropped_and_billed_again(tmp_path: Path, user: Wallet) -> None:
    with replaced(tmp_path, user) as (answer, spare, shown):
        taken_over(answer, spare, shown, 2 * PRICE)
        guesses = torch.tensor([1, 2], dtype=torch.int32)
        spare.core.serving.forward(answer.digest, 14, guesses)
        spare.core.serving.forward(answer.digest, 14, guesses, discard=True)
        with pytest.raises(PositionError):
            spare.core.serving.forward(answer.digest, 13, guesses, discard=True)
        assert spare.core.ledger.state.session(SESSION).computed == 2 * PRICE


def test_what_does_not_say_that_another_node_was_paid_gives_no_credit(tmp_path: Path, user: Wallet) -> None:
    with replaced(tmp_path, user) as (answer, spare, shown):
        text, signature = shown
        receipt, stranger = Receipt.from_json(text), Wallet.ephemeral()
        own = replace(receipt, node=spare.wallet.address)
        outsider = replace(receipt, node=stranger.address)
        bad = [
            (text, stranger.sign(receipt, DOMAIN)),
            (replace(receipt, segment=1).to_json(), signature),
            (replace(receipt, order_digest=bytes(32)).to_json(), signature),
            (replace(receipt, to_position=10**6).to_json(), signature),
            made_up(answer, shown, to_position=len(PROMPT) - 1),
            (own.to_json(), spare.core.serving.identity.receipt_key.sign(own, DOMAIN)),
            (outsider.to_json(), stranger.sign(outsider, DOMAIN)),
            ("nothing", signature),
        ]
        for one in bad:
            with pytest.raises(CreditError):
                taken_over(answer, spare, one, CAP)
            assert not spare.core.ledger.state.orders


def test_a_credit_is_given_once_and_not_after_the_order_was_opened(tmp_path: Path, user: Wallet) -> None:
    with replaced(tmp_path, user) as (answer, spare, shown):
        spare.core.serving.open_order(answer.application(0), *paid_at(spare, answer, CAP))
        taken_over(answer, spare, shown, CAP)
        assert spare.core.ledger.state.session(SESSION).computed == 14 * PRICE
        with pytest.raises(PositionError, match="last one ended at 0"):
            spare.core.serving.close_chunk(answer.digest, 14, 14, ())


def made_up(answer: Answer, shown: SignedText, **changes: object) -> SignedText:
    """The receipt with other contents, signed by its own node: somebody who works with the client."""
    receipt = replace(Receipt.from_json(shown[0]), **changes)  # type: ignore[arg-type]
    return receipt.to_json(), answer.nodes[0].core.serving.identity.receipt_key.sign(receipt, DOMAIN)


def test_a_receipt_over_other_rows_buys_no_output(tmp_path: Path, user: Wallet) -> None:
    with replaced(tmp_path, user) as (answer, spare, shown):
        for _ in range(2):  # asked for again it is no more told than the first time
            with pytest.raises(CreditError, match="other rows"):
                taken_over(answer, spare, made_up(answer, shown, in_root=bytes(32)), CAP)


def test_a_made_up_receipt_for_the_whole_order_does_not_let_it_be_read_position_by_position(
    tmp_path: Path, user: Wallet
) -> None:
    with replaced(tmp_path, user) as (answer, spare, shown):
        whole = made_up(answer, shown, to_position=Receipt.from_json(shown[0]).to_position + 3, in_root=bytes(32))
        again = taken_over(answer, spare, whole, 0)  # 14 of 17 positions
        tokens = torch.tensor([*answer.sequence()[:14], 1, 2, 3], dtype=torch.int32)
        for position in range(16):
            assert len(spare.core.serving.forward(again.digest, position, tokens[position : position + 1])[1]) == 0
        for start in (16, 0):
            with pytest.raises(CreditError, match="other rows"):
                spare.core.serving.forward(again.digest, start, tokens[start : start + 1])


@pytest.mark.parametrize("restarted", [False, True])
def test_a_replay_is_told_once_all_of_it_is_what_was_signed(tmp_path: Path, user: Wallet, restarted: bool) -> None:
    with replaced(tmp_path, user) as (answer, spare, shown):
        spare.core.serving.open_order(replace(answer.application(0), credit=shown), *paid_at(spare, answer, 0))
        rows = torch.tensor(answer.sequence()[: answer.closed], dtype=torch.int32)
        known = answer.nodes[0].core.serving.forward(answer.digest, 0, rows)[1]
        for start, stop in ((0, 6), (6, 13), (0, 13)):
            assert len(spare.core.serving.forward(answer.digest, start, rows[start:stop])[1]) == 0
        if restarted:
            spare.restart()
        assert torch.equal(spare.core.serving.forward(answer.digest, 13, rows[13:])[1], known[13:])
        assert torch.equal(spare.core.serving.forward(answer.digest, 0, rows[:13])[1], known[:13])


def test_nothing_is_signed_on_top_of_a_wrong_receipt_which_is_kept(tmp_path: Path, user: Wallet) -> None:
    with replaced(tmp_path, user) as (answer, spare, shown):
        wrong = made_up(answer, shown, out_root=bytes(32))
        again = taken_over(answer, spare, wrong, CAP)
        spare.core.serving.forward(answer.digest, 14, torch.tensor(answer.tokens[-1:], dtype=torch.int32))
        again.tokens = answer.tokens
        with pytest.raises(CreditError, match="dispute it"):
            spare.core.serving.close_chunk(answer.digest, 14, 15, again.handed(15))
        known = spare.core.ledger.state.order(answer.digest)
        assert (known.credit_receipt, known.credit_signature) == wrong


def test_made_up_receipts_buy_a_session_few_free_replays(tmp_path: Path, user: Wallet) -> None:
    with replaced(tmp_path, user) as (answer, spare, shown):
        orders = [
            replace(answer, order=make_order(user, deadline=2**40 + number)) for number in range(MOST_CREDITS + 1)
        ]
        for one in orders[:-1]:
            taken_over(one, spare, made_up(answer, shown, order_digest=one.digest), 0)
        with pytest.raises(BusyError):
            taken_over(orders[-1], spare, made_up(answer, shown, order_digest=orders[-1].digest), 0)


@pytest.mark.parametrize(("credited", "most"), [(True, MOST_CREDITS), (False, MOST_UNFED)])
def test_orders_that_are_opened_at_once_are_as_few_as_one_after_the_other(
    tmp_path: Path, user: Wallet, monkeypatch: pytest.MonkeyPatch, credited: bool, most: int
) -> None:
    with replaced(tmp_path, user) as (answer, spare, shown):
        serving, together = spare.core.serving, Barrier(most + 3)
        received = serving._order_event

        def all_checked(application: Application, digest: bytes) -> OrderReceived:
            event = received(application, digest)
            together.wait()
            return event

        def opened(number: int) -> bool:
            one = replace(answer, order=make_order(user, deadline=2**40 + number))
            credit = made_up(answer, shown, order_digest=one.digest) if credited else None
            try:
                serving.open_order(replace(one.application(0), credit=credit), *paid_at(spare, answer, CAP))
            except BusyError:
                return False
            return True

        monkeypatch.setattr(serving, "_order_event", all_checked)
        with ThreadPoolExecutor(most + 3) as pool:
            assert sum(pool.map(opened, range(most + 3))) == most
        assert len(spare.core.ledger.state.orders) == most
