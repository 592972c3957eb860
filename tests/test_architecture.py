"""ARCHITECTURE.md is a map: every place it names is there, and so is the vocabulary of the first sketch."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nexus_chain.chain.earnings import get_node_earnings
from nexus_chain.evidence.proof import InferenceProof, generate_proof
from nexus_chain.evidence.verify import VerifiedFragment, verify_proof
from nexus_chain.market.pricing import ComputePrice, calculate_cost
from nexus_chain.market.settlement import ComputeTransaction
from nexus_chain.planning.shards import ModelShard, shard_model
from nexus_chain.routing.registry_view import ShardNode, discover_nodes
from nexus_chain.routing.route import InferenceRoute, find_route
from tests.test_layers import ROOMS, Room

ROOT = Path(__file__).resolve().parents[1]
MAP = (ROOT / "ARCHITECTURE.md").read_text()
#: What the paths of the tables start from.
BASES = (ROOT, ROOT / "nexus_chain")
VOCABULARY = (
    ModelShard, ShardNode, InferenceRoute, InferenceProof, VerifiedFragment, ComputePrice, ComputeTransaction,
    shard_model, discover_nodes, find_route, generate_proof, verify_proof, calculate_cost, get_node_earnings,
)  # fmt: skip


def rows() -> list[tuple[str, str]]:
    """(concept, places) of every row of every table."""
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in MAP.splitlines() if line[:1] == "|"]
    return [(row[0], row[1]) for row in cells if row[1] != "place" and not set(row[0]) <= {"-"}]


def rule(name: str, room: Room) -> str:
    """The line that states a room's rule; a room is a folder, or one file."""
    place = name.replace(".", "/") if "." in name else f"nexus_chain/{name}"
    place += "/" if (ROOT / place).is_dir() else ".py"
    return f"| {name} | `{place}` | {', '.join(room.may_know) or 'nobody'} | {room.ignorance} |"


def test_layer_rules_are_stated_as_they_are_tested() -> None:
    stated = [
        line for line in MAP.splitlines() if re.match(r"\| [\w.]+ \| `(nexus_chain|node)/(\w+/|flags\.py)` \| ", line)
    ]
    assert stated == [rule(name, room) for name, room in ROOMS.items()]


@pytest.mark.parametrize(("concept", "places"), rows(), ids=[concept[:40] for concept, _ in rows()])
def test_every_place_exists(concept: str, places: str) -> None:
    folder: Path | None = None
    for place in re.findall(r"`([\w./]*\w\.(?:py|sol|md)|[\w/]+/)`", places):
        # "`certificates/cid.py`, `unixfs.py`": a bare name lies beside the one before.
        candidates = [base / place for base in BASES] + ([folder / place] if folder else [])
        found = [path for path in candidates if path.exists()]
        assert found, f"{concept}: {place}"
        folder = found[0].parent
    assert folder is not None, concept


def test_the_vocabulary_of_the_sketch_is_mapped() -> None:
    table = dict(rows())
    for thing in VOCABULARY:
        (places,) = [places for names, places in table.items() if f"`{thing.__name__}`" in names]
        assert thing.__module__.rsplit(".", 1)[-1] + ".py" in places
    assert "GenesisVault.sol" in table["Genesis Vault"]
