"""Nodes that lie, die or sign nothing: what a user can lose, who is blamed, and what is kept.

The bounds here are those that README and SECURITY state. A *chunk* is what is prepaid at once: after the last
receipts, or with the prompt before the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path

import pytest

from nexus_chain.client.chunks import chunk_positions
from nexus_chain.client.errors import AnswerWrongError, DisagreementError
from nexus_chain.client.pipeline import Pipeline
from nexus_chain.evidence.proof import InferenceProof, generate_proof
from nexus_chain.market.documents import address_of
from tests.client.test_pipeline import SESSION, SESSION_KEY, Network
from tests.support.toy_network import DOMAIN, ToyNode, ToyReferee, expected_tokens

SEGMENTS, PRICE = 3, 10
PROMPT = [9, 8, 7, 6, 5]
TOKENS = 45


@dataclass(frozen=True)
class Liar:
    """A node of ``segment``: the first choice, or with ``spare`` the first one to take over."""

    kind: str
    segment: int
    spare: bool = False

    def spoil(self, network: Network) -> ToyNode:
        node = network.spares[self.segment][0] if self.spare else network.nodes[self.segment]
        match self.kind:
            case "lies and signs nothing":
                node.lies, node.signs = 1 + self.spare, False
            case "dies":
                node.dies_after = 3
            case "dies later":
                node.dies_after = 20
            case "signs a wrong root":
                node.forges = "out_root"
            case "replays wrongly":
                node.lies = 3
        return node


FIRST = ("lies and signs nothing", "dies", "dies later", "signs a wrong root")
ALONE = [Liar(kind, segment) for kind, segment in product(FIRST, range(SEGMENTS))]
SPARE = [Liar(kind, segment, spare=True) for kind, segment in product((*FIRST, "replays wrongly"), range(SEGMENTS))]
COALITIONS: list[tuple[Liar, ...]] = [
    *((one,) for one in ALONE),
    *(pair for pair in combinations(ALONE, 2) if pair[0].segment != pair[1].segment),
    *((one, other) for one, other in product(ALONE, SPARE) if one.segment == other.segment),
]


@dataclass
class Outcome:
    """What a run ended with: tokens that were told, and the error, if it did not end well."""

    run: Pipeline
    told: list[int]
    error: AnswerWrongError | DisagreementError | None


def carried_out(network: Network) -> Outcome:
    run, told = network.pipeline(PROMPT, TOKENS), []
    try:
        for token in run.run():
            told.append(token)
    except (AnswerWrongError, DisagreementError) as error:
        return Outcome(run, told, error)
    return Outcome(run, told, None)


def spent(network: Network) -> int:
    """Wei that nodes may collect."""
    return sum(line.used for line in network.store.lines(SESSION).values())


def lost(network: Network, outcome: Outcome) -> int:
    """Wei spent beyond the price of what is receipted everywhere."""
    return spent(network) - SEGMENTS * PRICE * outcome.run._state.closed


def honest(network: Network, liars: Sequence[ToyNode]) -> Iterator[ToyNode]:
    return (node for node in network.by_address.values() if node not in liars)


def assert_consistent(network: Network, run: Pipeline) -> None:
    """Receipts are over the rows of the answer, and the store holds the same."""
    for receipt, _ in run.receipts:
        assert receipt.in_root == run.seen.in_root(receipt.segment, receipt.to_position)
        assert receipt.out_root == run.seen.out_root(receipt.segment, receipt.to_position)
    stored = network.store.order(run.digest)
    assert sorted(s for _, s in stored.receipts) == sorted(s for _, s in run.receipts)
    assert list(stored.tokens) == run.seen.tokens


@pytest.mark.parametrize("signed", [0, 9], ids=["newcomers", "known"])
@pytest.mark.parametrize("receipted", [False, True], ids=["at once", "receipted"])
@pytest.mark.parametrize("weights", [False, True], ids=["no weights", "weights"])
def test_no_one_or_two_liars_cost_more_than_is_stated(
    tmp_path: Path, signed: int, receipted: bool, weights: bool
) -> None:
    chunk = chunk_positions(signed)
    for number, coalition in enumerate(COALITIONS):
        (tmp_path / str(number)).mkdir()
        network = Network(tmp_path / str(number), SEGMENTS, spares=4, signed=signed)
        network.receipted = receipted
        network.referee = ToyReferee(SEGMENTS, len(PROMPT)) if weights else None
        liars = [liar.spoil(network) for liar in coalition]
        outcome = carried_out(network)
        right = expected_tokens(PROMPT, TOKENS, SEGMENTS)

        # Text: right to the end, or an error that says from where it is not.
        wrong = [i for i, token in enumerate(outcome.told) if token != right[i]]
        if outcome.error is None:
            assert outcome.told == right, coalition
            assert_consistent(network, outcome.run)
        if wrong:
            assert isinstance(outcome.error, AnswerWrongError), coalition
            assert outcome.error.token <= wrong[0], coalition
            assert outcome.error.told, coalition
        assert len(outcome.told) - (wrong[0] if wrong else len(outcome.told)) <= (0 if receipted else 32 + 1), coalition
        assert not (wrong and receipted), coalition
        if not receipted and outcome.error is not None and signed == 0:
            assert len(outcome.told) <= chunk + 1, coalition

        # Money: for each liar one chunk of every segment, and one more of its own; two more without weights.
        whole = PRICE * (len(PROMPT) + 32)
        assert lost(network, outcome) <= len(liars) * whole * (SEGMENTS + (1 if weights else 2)), coalition
        if all(liar.kind.startswith(("dies", "signs")) for liar in coalition):
            assert lost(network, outcome) <= len(liars) * whole, coalition

        # Blame: nobody honest, ever.
        tracks = network.store.tracks()
        for node in honest(network, liars):
            assert node.address not in {event.failed for event in outcome.run.failovers}, coalition
            assert node.address not in {n for case in outcome.run.disagreements for n in case.wrong}, coalition
            track = tracks.get(node.address)
            assert track is None or (track.failed, track.invalid) == (0, 0), coalition
        network.store.close()


# ------------------------------------------------------------------- short first chunks


def chunks_of(run: Pipeline) -> list[tuple[int, int]]:
    return [(r.from_position, r.to_position) for r, _ in run.receipts if r.segment == 0]


def test_chunks_grow_with_what_a_node_signed_and_do_so_across_sessions(tmp_path: Path) -> None:
    network = Network(tmp_path, signed=0)
    run = network.pipeline(PROMPT, 70)
    assert list(run.run()) == expected_tokens(PROMPT, 70, 2)
    assert chunks_of(run) == [(0, 9), (9, 17), (17, 33), (33, 65), (65, 74)]
    network.store.close()
    again = Network.__new__(Network)
    again.__dict__.update(network.__dict__)
    again.store = network.store.__class__(tmp_path / "client.sqlite")
    again.purse = network.purse.__class__(again.store, SESSION, SESSION_KEY, DOMAIN)
    run = again.pipeline(PROMPT, 40, bytes([1]) * 32)
    assert list(run.run()) == expected_tokens(PROMPT, 40, 2)
    assert chunks_of(run) == [(0, 37), (37, 44)]


def test_the_route_goes_at_the_pace_of_its_newest_node(tmp_path: Path) -> None:
    network = Network(tmp_path, spares=2)
    network.store.count_failure(network.nodes[1].address)
    run = network.pipeline(PROMPT, 20)
    assert list(run.run()) == expected_tokens(PROMPT, 20, 2)
    assert chunks_of(run) == [(0, 9), (9, 17), (17, 24)]


def test_who_signs_nothing_gets_a_short_chunk_once_and_starts_anew(tmp_path: Path) -> None:
    network = Network(tmp_path, signed=0)
    liar = network.nodes[1]
    liar.signs = False
    run = network.pipeline(PROMPT, 40)
    assert list(run.run()) == expected_tokens(PROMPT, 40, 2)
    assert liar.paid == (len(PROMPT) + 4) * liar.ask
    assert network.store.track(liar.address).failed == 1
    assert network.store.book().of(liar.address) == 0.8
    network.store.count_failure(liar.address)
    assert network.store.track(liar.address).signed == 0


@pytest.mark.parametrize("segment", [0, 1])
def test_a_node_without_room_is_replaced_and_not_blamed(tmp_path: Path, segment: int) -> None:
    network = Network(tmp_path, spares=2)
    busy, dead = network.nodes[segment], network.spares[segment][0]
    busy.busy, dead.dies_after = True, -1
    run = network.pipeline(PROMPT, 20)
    assert list(run.run()) == expected_tokens(PROMPT, 20, 2)
    assert [event.failed for event in run.failovers] == [busy.address, dead.address]
    assert (network.store.track(busy.address).failed, network.store.track(busy.address).signed) == (0, 9)
    assert network.store.track(dead.address).failed == 1


@pytest.mark.parametrize("segment", [0, 1])
def test_a_node_that_signs_nothing_is_blamed_though_it_says_that_it_is_busy(tmp_path: Path, segment: int) -> None:
    network = Network(tmp_path)
    network.nodes[segment].signs = False
    run = network.pipeline(PROMPT, 20)
    assert list(run.run()) == expected_tokens(PROMPT, 20, 2)
    assert network.store.track(network.nodes[segment].address).failed == 1


# ------------------------------------------------------------------------- evidence


def answer_file(network: Network, run: Pipeline) -> InferenceProof:
    """As it is read from the file."""
    proof = generate_proof(network.store.order(run.digest), address_of(SESSION_KEY), DOMAIN, lambda node: node)
    return InferenceProof.from_dict(proof.to_dict())


@pytest.mark.parametrize("forged", ["in_root", "out_root", "price"])
def test_a_refused_receipt_is_kept_and_neither_paid_nor_counted(tmp_path: Path, forged: str) -> None:
    network = Network(tmp_path)
    forger = network.nodes[0]
    forger.forges = forged
    run = network.pipeline(PROMPT, 20)
    list(run.run())
    proof = answer_file(network, run)
    assert [receipt.node for receipt, _ in proof.disputed] == [forger.address]
    assert forger.address not in {receipt.node for receipt, _ in proof.receipts}
    assert forger.address in proof.receipt_keys
    assert len(proof.with_disputed.receipts) == len(proof.receipts) + 1
    (signed,) = proof.disputed
    assert (signed[0].in_root == run.seen.in_root(0, signed[0].to_position)) == (forged != "in_root")
    assert network.store.track(forger.address).failed == 1


def test_a_file_from_before_has_no_refused_receipts(tmp_path: Path) -> None:
    network = Network(tmp_path)
    run = network.pipeline(PROMPT, 5)
    list(run.run())
    written = answer_file(network, run).to_dict()
    del written["disputed"]
    assert InferenceProof.from_dict(written).disputed == ()


def test_without_weights_both_rows_are_kept_and_nobody_is_called_wrong(tmp_path: Path) -> None:
    network = Network(tmp_path, spares=1)
    dead, spare = network.nodes[0], network.spares[0][0]
    dead.dies_after, spare.lies = 20, 1
    run = network.pipeline(PROMPT, 30)
    with pytest.raises(DisagreementError):
        list(run.run())
    (case,) = run.disagreements
    assert (case.segment, case.position, case.earlier, case.later, case.wrong) == (
        0,
        0,
        dead.address,
        spare.address,
        (),
    )
    rows = {node: row for _, _, node, row in network.store.disagreements(run.digest)}
    assert set(rows) == {dead.address, spare.address}
    assert rows[dead.address] != rows[spare.address]
    assert network.store.track(spare.address).invalid == 0 == network.store.track(spare.address).failed


def test_weights_say_who_lied_and_the_reader_from_where(tmp_path: Path) -> None:
    network = Network(tmp_path, signed=0)
    liar, spare = network.nodes[0], network.spares[0][0]
    liar.lies, liar.signs = 1, False
    network.referee = ToyReferee(2, len(PROMPT))
    outcome = carried_out(network)
    assert isinstance(outcome.error, AnswerWrongError)
    assert (outcome.error.token, outcome.error.told, len(outcome.told)) == (0, True, 5)
    assert [case.wrong for case in outcome.run.disagreements] == [(liar.address,)]
    assert network.store.book().of(liar.address) == 0.0
    assert network.store.book().of(spare.address) == 1.0


def test_text_that_waits_for_its_receipts_is_computed_again_and_never_wrong(tmp_path: Path) -> None:
    network = Network(tmp_path, spares=2, signed=0)
    network.nodes[0].lies, network.nodes[0].signs = 1, False
    network.referee, network.receipted = ToyReferee(2, len(PROMPT)), True
    outcome = carried_out(network)
    assert outcome.error is None
    assert outcome.told == expected_tokens(PROMPT, TOKENS, 2)


def test_receipted_text_comes_chunk_by_chunk(tmp_path: Path) -> None:
    network = Network(tmp_path)
    network.receipted = True
    run = network.pipeline(PROMPT, 50)
    for told, token in enumerate(run.run(), 1):
        assert token == run.seen.tokens[len(PROMPT) + told - 1]
        assert len(PROMPT) + told <= run._state.closed + 1
    assert told == 50


# ------------------------------------------------------------------------- failover


@pytest.mark.parametrize("dies_in", [0, 3, 20, 34, 100, 294])
def test_a_failover_costs_the_failed_nodes_open_chunk_and_no_more(tmp_path: Path, dies_in: int) -> None:
    network = Network(tmp_path)
    primary, spare = network.nodes[1], network.spares[1][0]
    primary.dies_after = dies_in
    run = network.pipeline(list(range(1, 61)), 300)
    assert list(run.run()) == expected_tokens(list(range(1, 61)), 300, 2)
    price = 10 * (60 + 299)
    lines = network.store.lines(SESSION)
    chunk = 10 * (60 + 32) if dies_in < 33 else 10 * 32
    assert price < lines[primary.address].used + lines[spare.address].used <= price + chunk
    assert network.store.lines(SESSION)[network.nodes[0].address].used == price


def test_whoever_owns_both_nodes_is_not_paid_twice_for_dying(tmp_path: Path) -> None:
    """Each of an operator's nodes hands over to the next one, again and again."""
    network = Network(tmp_path, spares=3)
    owned = [network.nodes[0], *network.spares[0]]
    for node in owned[:-1]:
        node.dies_after = 70
    run = network.pipeline(PROMPT, 260)
    assert list(run.run()) == expected_tokens(PROMPT, 260, 2)
    price = 10 * (len(PROMPT) + 259)
    assert len(run.failovers) == 3
    lines = network.store.lines(SESSION)
    assert sum(lines[node.address].used for node in owned) <= price + 3 * 10 * 32
    assert sum(r.price for r, _ in run.receipts if r.segment == 0) == price
