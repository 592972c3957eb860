"""Disputes that take long between processes: wide tensors, equivocation, verdicts that a re-organisation takes back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from courtroom import Courtroom, courtroom

from nexus_chain.chain.dispute_game import GameState
from nexus_chain.client.reputation_file import load_reputation
from nexus_chain.client.verify import TRUST
from nexus_chain.disputes.defender import SUBTREE
from nexus_chain.disputes.stored_trace import StoredTrace
from nexus_chain.program import PRESETS, ModelShape, random_model

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
    assert shown.arguments["committer"] == court.finder.sender.wallet.address
    assert shown.arguments["reward"] > 0
    assert court.user.nodes.node(signed[0].node).stake == 0
    watcher.close()


def test_a_stripped_file_does_not_shield_the_whole_one(court: Courtroom) -> None:
    """Regression: whoever handed in the order without the liar's receipts first had it judged for ever."""
    posted = with_lie(court.right_trace(9, 4), "layers.1.mlp.hidden", 5)
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


def test_an_rpc_server_that_is_away_does_not_end_the_defence(court: Courtroom) -> None:
    """Regression: looking at the chain's head raised what the thread did not expect, and it answered no game again."""
    posted = with_lie(court.right_trace(9, 4), "layers.0.mlp.hidden", 0)
    order = court.order(posted)
    signed = court.receipt(order[0], posted)
    defence = court.defence(order[0], signed[0], posted)
    provider = court.node.web3.provider
    there, provider.endpoint_uri = provider.endpoint_uri, "http://127.0.0.1:9"  # type: ignore[attr-defined]
    defence._interval = 0.01
    defence.start()
    defence._stop.wait(1.0)
    provider.endpoint_uri = there  # type: ignore[attr-defined]
    assert defence._thread.is_alive()
    watcher, _ = court.accuse(court.proof(order, posted, signed))
    for _ in range(100):
        watcher.round()
        court.chain.advance(1)
        defence._stop.wait(0.2)
        if watcher.idle:
            break
    assert watcher.report()["cases"][0]["outcome"] == "convicted"
    assert list(court.finder.disputes.events("BytesPosted")), "the node answered to the end"
    defence.stop()
    watcher.close()
