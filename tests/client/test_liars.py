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
from test_pipeline import SESSION, Network
from toy_network import DOMAIN, ToyNode, ToyReferee, expected_tokens

from nexus_chain.client.chunks import chunk_positions
from nexus_chain.client.errors import AnswerWrongError, DisagreementError
from nexus_chain.client.peer import SignedReceipt
from nexus_chain.client.pipeline import Pipeline
from nexus_chain.client.proof import InferenceProof, generate_proof
from nexus_chain.market.documents import address_of, require_signer

SEGMENTS, PRICE = 3, 10
PROMPT = [9, 8, 7, 6, 5]
TOKENS = 45


@dataclass(frozen=True)
class Liar:
    """A node of ``segment``: the first choice, or with ``spare`` the first one to take over. ``number`` tells lies apart."""

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
    return spent(network) - SEGMENTS * PRICE * outcome.run._closed


def honest(network: Network, liars: Sequence[ToyNode]) -> Iterator[ToyNode]:
    return (node for node in network.by_address.values() if node not in liars)


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
