"""Disputes that take long between processes: wide tensors, equivocation, verdicts that a re-organisation takes back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nexus_chain.chain.deployer import ANSWERS_GAS
from nexus_chain.chain.dispute_game import GameState, commitment_of
from nexus_chain.commitments.tensor import commit
from nexus_chain.disputes.defender import SUBTREE
from nexus_chain.disputes.stored_trace import StoredTrace
from nexus_chain.disputes.trace import Trace, TracedSequence
from nexus_chain.evidence.proof import InferenceProof
from nexus_chain.evidence.verify import TRUST
from nexus_chain.market.documents import Ask, Line, Order, Receipt, TokenFeed
from nexus_chain.program import PRESETS, ModelShape, Sampling, random_model
from nexus_chain.routing.reputation_file import load_reputation
from node.daemon.upkeep.background_duty import BackgroundDuty
from node.watch.policy import Budget
from tests.support.courtroom import ETHER, Courtroom, courtroom
from tests.support.network import PRICE

WIDE = ModelShape(layers=1, width=16, heads=2, kv_heads=1, head_dim=8, ffn=24, vocab=65_536, context=80)


@pytest.fixture
def court(tmp_path: Path) -> Iterator[Courtroom]:
    with courtroom(tmp_path, random_model(PRESETS["tiny"], seed=4)) as made:
        yield made


def with_lie(right: StoredTrace, name: str, element: int) -> StoredTrace:
    number = right.layout.numbers[name]
    wrong = right.tensor(number).clone()
    wrong.view(-1)[element] ^= 1
    return right.replaced({number: wrong})


def test_a_tensor_of_more_than_one_subtree_takes_two_more_moves(tmp_path: Path) -> None:
    """Logits of 2 080 leaves; the wrong one is behind the first 2 048."""
    with courtroom(tmp_path, random_model(WIDE, seed=4)) as court:
        posted = with_lie(court.right_trace(66, 2), "head.logits", -1)
        order = court.order(posted)
        signed = court.receipt(order[0], posted)
        watcher, evidence = court.accuse(court.proof(order, posted, signed))
        assert len(posted.tree(posted.layout.numbers["head.logits"])) > SUBTREE
        court.play(watcher, court.defence(order[0], signed[0], posted))
        (case,) = watcher.report()["cases"]
        assert case["outcome"] == "convicted"
        disputes = court.finder.disputes
        (picked,) = disputes.events("SubtreePicked", where={"game": case["game"]})
        assert picked.arguments["subtree"] == 1
        assert len(list(disputes.events("SubtreePosted", where={"receipt": evidence.digest}))) == 1
        assert court.user.nodes.is_convicted(signed[0].node)
        watcher.close()


def test_two_outputs_for_one_input_convict_in_one_transaction(court: Courtroom) -> None:
    """Found in the answer's file without recomputing anything, and the user's money comes back."""
    right = court.right_trace(9, 4)
    posted = with_lie(right, "sequence", -1)
    order = court.order(right)
    signed, other = court.receipt(order[0], right), court.receipt(order[0], posted)
    court.proof(order, right, signed, other).save(court.folder / "answers" / "answer.json")
    watcher = court.watcher(TRUST)
    for _ in range(6):
        watcher.round()
        court.chain.advance(1)
    (case,) = watcher.report()["cases"]
    assert (case["kind"], case["node"], case["game"]) == ("equivocation", signed[0].node, 0)
    assert case["outcome"] == "convicted elsewhere", "no game was needed"
    (shown,) = court.finder.disputes.events("Equivocated", where={"node": signed[0].node})
    assert shown.arguments["finder"] == court.finder.sender.wallet.address
    assert shown.arguments["reward"] > 0
    assert court.user.nodes.node(signed[0].node).stake == 0
    watcher.close()


def bait(court: Courtroom, number: int) -> InferenceProof:
    """A file of a user that fed an honest node tokens B and signed a feed for it, and writes down tokens A and another.

    The prompt is the same. The node's receipt is right, over B.
    """
    salt = bytes([number + 1]) * 32
    market, node = court.user.market, court.node.sender.wallet.address  # type: ignore[union-attr]
    layers = court.model.program.shape.layers
    handed = torch.randint(0, 640, (9,), generator=torch.Generator().manual_seed(number), dtype=torch.int32)
    told = torch.cat([handed[:4], (handed[4:] + 1) % 640])
    session, _ = market.open(court.signer.address, market.now() + 3000, [Line(node, ETHER)], bytes([number]) * 32)
    prompt, asks = commit(handed[:4], salt), (Ask(0, layers, PRICE),)
    order = Order(session, salt, court.version, prompt, 500, bytes(32), 0, ETHER, asks, market.now() + 900)
    digest, domain = order.digest(court.user.domain), court.user.domain
    program, weights = court.model.program, court.model.weights
    roots = Trace(program, weights, (0, layers), TracedSequence(handed, handed[:4], Sampling(), salt)).roots()
    receipt = Receipt(digest, node, 0, 0, 9, roots[0], roots[-1], (), PRICE * 9)
    feed = TokenFeed(digest, 9, commit(told, salt))
    return InferenceProof(
        domain,
        order,
        court.signer.sign(order, domain),
        court.signer.address,
        4,
        (*told.tolist(), 7),
        ((receipt, court.key.sign(receipt, domain)),),
        ((feed, court.signer.sign(feed, domain)),),
        {node: court.key.address},
    )


def test_files_about_an_honest_node_cost_the_watcher_nothing(court: Courtroom) -> None:
    """Regression: each such file took a bond, and the node's reputation at the watcher's own client."""
    finder, node = court.finder.sender.wallet.address, court.node.sender.wallet.address  # type: ignore[union-attr]
    before = court.chain.connection.balance(finder)
    watcher = court.watcher()
    for number in range(4):
        bait(court, number).save(court.folder / "answers" / f"{number}.json")
        watcher.round()
        court.chain.advance(1)
    assert watcher.report()["answers"] == {"incomplete": 4}
    assert watcher.report()["cases"] == []
    assert court.chain.connection.balance(finder) == before
    assert watcher.book.state.book.of(node) == 1.0
    assert not (court.folder / "reputation.json").exists()
    watcher.close()


def test_an_equivocation_is_shown_after_line_and_session_are_over(court: Courtroom) -> None:
    """Regression: it was dropped then, though the contract takes it for ever."""
    right = court.right_trace(9, 4)
    order = court.order(right)
    signed, other = court.receipt(order[0], right), court.receipt(order[0], with_lie(right, "sequence", -1))
    court.node.market.close_line(order[0].session)
    court.chain.advance(5000)
    court.user.market.settle(order[0].session, signed[0].node)
    court.proof(order, right, signed, other).save(court.folder / "answers" / "answer.json")
    for _ in range(5):  # a process of its own every time
        watcher = court.watcher(TRUST)
        watcher.round()
        court.chain.advance(1)
        watcher.close()
    assert court.user.nodes.is_convicted(signed[0].node)
    assert watcher.report()["cases"][0]["outcome"] == "convicted elsewhere"


def test_an_equivocation_whose_commitment_grew_old_is_committed_again(court: Courtroom) -> None:
    right = court.right_trace(9, 4)
    order = court.order(right)
    signed, other = court.receipt(order[0], right), court.receipt(order[0], with_lie(right, "sequence", -1))
    court.proof(order, right, signed, other).save(court.folder / "answers" / "answer.json")
    watcher = court.watcher(TRUST)
    watcher.round()
    court.chain.advance(4000)
    for _ in range(4):
        watcher.round()
        court.chain.advance(1)
    assert len(list(court.finder.disputes.events("Committed"))) == 2
    assert court.user.nodes.is_convicted(signed[0].node)
    watcher.close()


def test_a_line_that_the_node_closed_does_not_end_its_answer_for_what_it_signed(court: Courtroom) -> None:
    posted = with_lie(court.right_trace(9, 4), "layers.1.mlp.hidden", 5)
    order = court.order(posted)
    signed = court.receipt(order[0], posted)
    court.node.market.close_line(order[0].session)
    court.chain.advance(100)
    court.user.market.settle(order[0].session, signed[0].node)
    watcher, _ = court.accuse(court.proof(order, posted, signed))
    court.play(watcher, court.defence(order[0], signed[0], posted))
    assert watcher.report()["cases"][0]["outcome"] == "convicted"
    assert court.user.nodes.is_convicted(signed[0].node)
    watcher.close()


def test_a_game_is_not_opened_after_the_session_is_over(court: Courtroom) -> None:
    posted = with_lie(court.right_trace(9, 4), "layers.1.mlp.hidden", 5)
    order = court.order(posted)
    signed = court.receipt(order[0], posted)
    watcher, _ = court.accuse(court.proof(order, posted, signed))
    court.user.market.close(order[0].session)
    court.chain.advance(61)
    watcher.round()
    assert watcher.report()["cases"][0]["outcome"] == "too late: the session is over"
    watcher.close()


def test_a_watcher_waits_for_cover_and_goes_without_where_the_stake_leaves(court: Courtroom) -> None:
    """Eight games of others are open; then the node asks for its stake."""
    posted = with_lie(court.right_trace(9, 4), "layers.1.mlp.hidden", 5)
    order = court.order(posted)
    signed = court.receipt(order[0], posted)
    proof = court.proof(order, posted, signed)
    watcher, evidence = court.accuse(proof)
    for number in range(8):
        salt = bytes([100 + number]) * 32
        court.user.disputes.commit(commitment_of(evidence.digest, court.owner, salt))
        court.chain.advance(1)
        bond = court.user.disputes.bond_now()
        court.user.disputes.open_step(evidence.opening(salt, only_covered=True), bond=bond)
    said = [line for _ in range(3) for line in watcher.round()]
    assert said == [f"{signed[0].node}: as many games about the node are open as are covered; waiting for one to end"]
    assert watcher.report()["cases"][0]["transactions"] == 0
    court.node.nodes.request_unbond()
    said = watcher.round()
    court.chain.advance(1)
    said += watcher.round()
    assert any("not covered, as the node's stake is about to leave" in line for line in said)
    (case,) = watcher.report()["cases"]
    game = court.finder.disputes.game_of(case["game"])
    assert game is not None
    assert not game.covered
    watcher.close()


@pytest.mark.parametrize("budget", [ETHER, ETHER // 40])
def test_a_bond_follows_the_base_fee_within_the_budget(court: Courtroom, budget: int) -> None:
    """Gas became twenty times as dear before the first pick."""
    posted = with_lie(court.right_trace(9, 4), "layers.1.mlp.hidden", 5)
    order = court.order(posted)
    signed = court.receipt(order[0], posted)
    watcher, _ = court.accuse(court.proof(order, posted, signed), Budget(budget, ETHER))
    defence = court.defence(order[0], signed[0], posted)
    court.play(watcher, defence, until=GameState.TRACE)
    defence.round()
    opened = watcher.report()["locked_wei"]
    court.request("anvil_setNextBlockBaseFeePerGas", hex(2 * 10**9))
    court.chain.advance(1)
    needed = court.finder.disputes.top_up(watcher.report()["cases"][0]["game"])
    assert needed > 0
    said = watcher.round()
    if budget == ETHER:
        assert any("pick tensor" in line for line in said)
        watcher.round()
        assert watcher.report()["locked_wei"] > opened + needed
    else:
        assert any("the budget for bonds is used up" in line for line in said)
        assert watcher.report()["locked_wei"] == opened <= budget
    watcher.close()


def test_one_run_of_the_trace_answers_two_games_and_a_restarted_node(court: Courtroom) -> None:
    posted = with_lie(court.right_trace(9, 4), "layers.1.mlp.hidden", 5)
    order = court.order(posted)
    signed = court.receipt(order[0], posted)
    watcher, evidence = court.accuse(court.proof(order, posted, signed))
    first = court.defence(order[0], signed[0], posted)
    salt = bytes([9]) * 32
    court.user.disputes.commit(commitment_of(evidence.digest, court.owner, salt))
    court.play(watcher, first, until=GameState.ROWS)
    bond = court.user.disputes.bond_now()
    court.user.disputes.open_step(evidence.opening(salt, only_covered=True), bond=bond)
    again = court.defence(order[0], signed[0], posted)
    court.play(watcher, again)
    assert watcher.report()["cases"][0]["outcome"] == "convicted"
    assert (first.runs, again.runs) == (1, 0)
    watcher.close()


def test_a_wallet_that_cannot_pay_its_answers_is_told_of_in_time(
    court: Courtroom, caplog: pytest.LogCaptureFixture
) -> None:
    posted = court.right_trace(9, 4)
    order = court.order(posted)
    signed = court.receipt(order[0], posted)
    watcher, _ = court.accuse(court.proof(order, posted, signed))
    defence = court.defence(order[0], signed[0], posted)
    court.play(watcher, defence, until=GameState.TRACE)
    defence.round()
    assert "do not pay" not in caplog.text
    court.chain.set_balance(signed[0].node, ANSWERS_GAS)  # at a base fee of one wei
    court.chain.advance(1)
    for _ in range(3):
        defence.round()
    assert caplog.text.count("do not pay the answers of 1 open games") == 1
    watcher.close()


def test_a_stripped_file_does_not_shield_the_whole_one(court: Courtroom) -> None:
    """Regression: whoever handed in the order without the liar's receipts first had it judged for ever."""
    posted = with_lie(court.right_trace(9, 4), "sequence", -1)
    order = court.order(posted)
    signed = court.receipt(order[0], posted)
    whole = court.proof(order, posted, signed)
    replace(whole, receipts=()).save(court.folder / "answers" / "1.json")
    (court.folder / "answers" / "2.json").mkdir()
    (court.folder / "answers" / "3.json").symlink_to("nowhere")
    watcher = court.watcher()
    watcher.round()
    assert watcher.idle
    whole.save(court.folder / "answers" / "4.json")
    watcher.round()
    assert not watcher.idle
    assert watcher.report()["answers"] == {"incomplete": 1, "wrong": 1}
    assert load_reputation(court.folder / "reputation.json").of(signed[0].node) == 0.0
    watcher.close()


def test_a_forged_copy_does_not_shield_the_genuine_file(court: Courtroom) -> None:
    """Regression: the copy, with the liar's signature broken, was judged first; the genuine file was then known."""
    posted = with_lie(court.right_trace(9, 4), "sequence", -1)
    order = court.order(posted)
    receipt, signature = court.receipt(order[0], posted)
    genuine = court.proof(order, posted, (receipt, signature))
    forged = replace(genuine, receipts=((receipt, bytes([signature[0] ^ 1]) + signature[1:]),))
    forged.save(court.folder / "answers" / "1.json")
    genuine.save(court.folder / "answers" / "2.json")
    watcher = court.watcher()
    watcher.round()
    assert watcher.report()["answers"] == {"incomplete": 1, "wrong": 1}
    assert [case["node"] for case in watcher.report()["cases"]] == [receipt.node]
    watcher.close()


def test_a_receipt_that_the_client_refused_convicts(court: Courtroom) -> None:
    """Regression: the watcher looked at the receipts that were paid for only."""
    right = court.right_trace(9, 4)
    posted = with_lie(right, "sequence", -1)
    order = court.order(right)
    paid, refused = court.receipt(order[0], right), court.receipt(order[0], posted)
    kept = replace(court.proof(order, right, paid), disputed=(refused,))
    kept.save(court.folder / "answers" / "answer.json")
    watcher = court.watcher(TRUST)
    for _ in range(6):
        watcher.round()
        court.chain.advance(1)
    (case,) = watcher.report()["cases"]
    assert (case["kind"], case["outcome"]) == ("equivocation", "convicted elsewhere")
    assert court.user.nodes.is_convicted(refused[0].node)
    watcher.close()


def test_a_refused_receipt_alone_convicts(court: Courtroom) -> None:
    posted = with_lie(court.right_trace(9, 4), "sequence", -1)
    order = court.order(posted)
    refused = court.receipt(order[0], posted)
    kept = replace(court.proof(order, posted, refused), receipts=(), disputed=(refused,))
    kept.save(court.folder / "answers" / "answer.json")
    watcher = court.watcher()
    court.play(watcher, court.defence(order[0], refused[0], posted))
    (case,) = watcher.report()["cases"]
    assert (case["kind"], case["outcome"]) == ("step", "convicted")
    assert court.user.nodes.is_convicted(refused[0].node)
    watcher.close()


def test_housekeeping_that_fails_costs_no_answer(court: Courtroom, caplog: pytest.LogCaptureFixture) -> None:
    """Regression: traces that could not be looked through kept the node from answering until its stake was lost."""
    posted = court.right_trace(9, 4)
    order = court.order(posted)
    signed = court.receipt(order[0], posted)
    watcher, _ = court.accuse(court.proof(order, posted, signed))
    defence = court.defence(order[0], signed[0], posted)
    court.play(watcher, defence, until=GameState.TRACE)
    (court.folder / "traces").rmdir()
    (court.folder / "traces").write_text("a file where the folder has to be")
    (said,) = defence.round()
    assert "answered with the roots" in said
    assert "housekeeping has to wait" in caplog.text
    watcher.close()


def test_a_verdict_that_is_reorganised_away_is_reached_again(court: Courtroom) -> None:
    """Both sides had put the game away; its opening lies deeper than the blocks that are looked at every round."""
    posted = with_lie(court.right_trace(9, 4), "layers.1.mlp.hidden", 5)
    order = court.order(posted)
    signed = court.receipt(order[0], posted)
    watcher, _ = court.accuse(court.proof(order, posted, signed))
    defence = court.defence(order[0], signed[0], posted)
    court.play(watcher, defence, until=GameState.BYTES)
    court.request("anvil_mine", 100)
    before = court.request("evm_snapshot")
    court.play(watcher, defence)
    defence.round()
    assert court.user.nodes.is_convicted(signed[0].node)
    court.request("evm_revert", before)
    assert not court.user.nodes.is_convicted(signed[0].node)
    watcher.round()
    assert not watcher.idle
    court.play(watcher, defence)
    assert watcher.report()["cases"][0]["outcome"] == "convicted"
    assert court.user.nodes.is_convicted(signed[0].node)
    watcher.close()


def test_a_restarted_watcher_looks_back_as_well(court: Courtroom) -> None:
    posted = with_lie(court.right_trace(9, 4), "layers.0.mlp.hidden", 0)
    order = court.order(posted)
    signed = court.receipt(order[0], posted)
    watcher, _ = court.accuse(court.proof(order, posted, signed))
    defence = court.defence(order[0], signed[0], posted)
    before = court.request("evm_snapshot")
    court.play(watcher, defence)
    watcher.close()
    court.request("evm_revert", before)
    again = court.watcher()
    assert again.round()
    court.play(again, defence)
    assert again.report()["cases"][0]["outcome"] == "convicted"
    assert court.user.nodes.is_convicted(signed[0].node)
    again.close()


def test_a_second_trace_of_one_receipt_convicts_in_one_transaction(court: Courtroom) -> None:
    """The first one disappeared in a re-organisation; the watcher had seen its signature."""
    lie = with_lie(court.right_trace(9, 4), "sequence", -1)
    first, second = (with_lie(lie, f"layers.{layer}.mlp.hidden", 5) for layer in (0, 1))
    order = court.order(lie)
    signed = court.receipt(order[0], lie)
    watcher, _ = court.accuse(court.proof(order, lie, signed))
    before = court.request("evm_snapshot")
    court.play(watcher, court.defence(order[0], signed[0], first), until=GameState.ROWS)
    court.request("evm_revert", before)
    forgetful = court.defence(order[0], signed[0], second, "other")
    for _ in range(8):
        watcher.round()
        court.chain.advance(1)
        if len(watcher.report()["cases"]) == 1:
            forgetful.round()
    cases = {case["kind"]: case["outcome"] for case in watcher.report()["cases"]}
    assert cases == {"step": "void", "contradiction": "convicted elsewhere"}
    (shown,) = court.finder.disputes.events("Equivocated", where={"node": signed[0].node})
    assert shown.arguments["finder"] == court.finder.sender.wallet.address
    watcher.close()


def test_an_rpc_server_that_is_away_does_not_end_the_defence(court: Courtroom) -> None:
    """Regression: looking at the chain's head raised what the thread did not expect, and it answered no game again."""
    posted = with_lie(court.right_trace(9, 4), "layers.0.mlp.hidden", 0)
    order = court.order(posted)
    signed = court.receipt(order[0], posted)
    defence = court.defence(order[0], signed[0], posted)
    provider = court.node.connection.provider
    there, provider.urls = provider.urls, ("http://127.0.0.1:9",)  # type: ignore[attr-defined]
    rounds = BackgroundDuty("defence", 0.01, defence.round, "disputes could not be looked at")
    rounds.start()
    rounds._ended.wait(1.0)
    provider.urls = there  # type: ignore[attr-defined]
    assert rounds._thread.is_alive()
    watcher, _ = court.accuse(court.proof(order, posted, signed))
    for _ in range(100):
        watcher.round()
        court.chain.advance(1)
        rounds._ended.wait(0.2)
        if watcher.idle:
            break
    assert watcher.report()["cases"][0]["outcome"] == "convicted"
    assert list(court.finder.disputes.events("BytesPosted")), "the node answered to the end"
    rounds.stop()
    watcher.close()
