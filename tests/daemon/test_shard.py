"""A node's shard: which engine runs it, what is verified and proven at a start, and what is remembered."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from math import inf, prod
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from nexus_chain.byte_sizes import ByteSizeError
from nexus_chain.chain.contracts import Contracts
from nexus_chain.commitments.errors import TamperedTensorError
from nexus_chain.commitments.established_facts import EstablishedFacts
from nexus_chain.commitments.mapped_file import CLOCK_STEP_NS, MappedFile
from nexus_chain.commitments.tensor_block import load_tensor_block, write_tensor_block
from nexus_chain.commitments.weights import ModelCommitment
from nexus_chain.engine.engine import Engine
from nexus_chain.engine.errors import MemoryLimitError
from nexus_chain.engine.streaming import StreamedEngine
from nexus_chain.market.pricing import calculate_cost, complexity_of
from nexus_chain.program import IntegerModel, overflow
from nexus_chain.program.errors import UnreproducibleProgramError
from nexus_chain.program.sampling import Sampling
from nexus_chain.workflows.inspection import verify_place
from node.daemon import asking_price
from node.daemon import configuration as settings
from node.daemon.asking_price import latency_ms, policy_price
from node.daemon.configuration import NodeConfiguration
from node.daemon.errors import ConfigurationError, RegistrationError
from node.daemon.shard_loading import load_shard, prove_once, resident_weights, shard_engine
from tests.support.workplace import MODEL, VERSION

COMMITMENT = ModelCommitment.of(MODEL)


@dataclass(frozen=True)
class Registered:
    """The registry's entry for the model."""

    weights_root: bytes = COMMITMENT.weights_root
    program_root: bytes = COMMITMENT.program_root
    layers: int = MODEL.program.shape.layers


def chain(version: Registered | None = None) -> Contracts:
    """Contracts that know one version."""
    found = version or Registered()
    return cast(Contracts, SimpleNamespace(models=SimpleNamespace(version=lambda _: found)))


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    block = tmp_path_factory.mktemp("shard") / "layers-1-3.safetensors"
    write_tensor_block(MODEL, block, 1, 3, COMMITMENT)
    time.sleep(1.2 * CLOCK_STEP_NS / 1e9)  # a younger file is not remembered
    return block


@pytest.fixture
def configuration(path: Path, tmp_path: Path) -> NodeConfiguration:
    return NodeConfiguration(tmp_path, block=path, model_version="0x" + VERSION.hex(), price=7, threads=1)


def test_without_a_price_the_policy_sets_it_by_weights_and_speed(
    configuration: NodeConfiguration, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = iter([0.5, 0.25] * 8)
    monkeypatch.setattr(asking_price, "_seconds_of", lambda engine, row: next(seconds))
    block, model = load_shard(chain(), configuration)
    assert model.wei_per_token == 7
    weights = sum(prod(spec.shape) for spec in MODEL.program.weights_of(1, 3))
    engine = shard_engine(block, configuration)
    assert latency_ms(block, engine) == 250.0
    assert policy_price(block, engine) == calculate_cost(1, 250, complexity_of(weights))
    streamed = shard_engine(block, replace(configuration, memory_limit="100kB"))
    assert isinstance(streamed, StreamedEngine)
    assert policy_price(block, streamed) == calculate_cost(1, inf, complexity_of(weights))


class Work:
    """Counts bytes hashed and proofs made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.hashed = self.proven = 0
        pieces, prove = MappedFile.pieces, overflow.prove_no_overflow

        def counted_pieces(file: MappedFile, offset: int, length: int, unit: int = 1) -> Any:
            self.hashed += length
            return pieces(file, offset, length, unit)

        def counted_proof(program: Any) -> Any:
            self.proven += 1
            return prove(program)

        monkeypatch.setattr(MappedFile, "pieces", counted_pieces)
        monkeypatch.setattr(overflow, "prove_no_overflow", counted_proof)

    def taken(self) -> tuple[int, int]:
        found = self.hashed, self.proven
        self.hashed = self.proven = 0
        return found


def test_second_start_neither_hashes_nor_proves(
    configuration: NodeConfiguration, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Work(monkeypatch)
    block, model = load_shard(chain(), configuration)
    assert work.taken() == (block.nbytes, 1)
    assert (model.layer_start, model.layer_end, model.wei_per_token) == (1, 3, 7)
    load_shard(chain(), configuration)
    assert work.taken() == (0, 0)
    load_shard(chain(), replace(configuration, verification="eager"))
    assert work.taken() == (block.nbytes, 1)


def test_lazy_start_leaves_verification_to_the_engine(
    configuration: NodeConfiguration, monkeypatch: pytest.MonkeyPatch
) -> None:
    lazy, work = replace(configuration, verification="lazy"), Work(monkeypatch)
    block, _ = load_shard(chain(), lazy)
    engine = shard_engine(block, lazy)
    assert work.taken() == (0, 1)
    state = engine.open(2, Sampling(), 4)
    engine.forward([(state, torch.ones(2, MODEL.program.shape.width, dtype=torch.int32))])
    assert work.taken() == (block.nbytes, 0)
    load_shard(chain(), configuration)
    assert work.taken() == (0, 0), "what was verified lazily is remembered too"


def test_lazy_node_refuses_a_tampered_layer_when_it_comes_to_it(
    configuration: NodeConfiguration, path: Path, tmp_path: Path
) -> None:
    for source in path.parent.iterdir():
        (tmp_path / source.name).write_bytes(source.read_bytes())
    copy = tmp_path / path.name
    raw = bytearray(copy.read_bytes())
    raw[raw.find(MODEL.weights["layers.2.mlp.up.weight"].numpy().tobytes()) + 5] ^= 1
    copy.write_bytes(raw)
    lazy = replace(configuration, block=copy, verification="lazy")
    engine = shard_engine(load_shard(chain(), lazy)[0], lazy)
    state = engine.open(2, Sampling(), 4)
    with pytest.raises(TamperedTensorError, match=r"layers\.2\.mlp\.up\.weight"):
        engine.forward([(state, torch.ones(2, MODEL.program.shape.width, dtype=torch.int32))])
    with pytest.raises(TamperedTensorError):
        load_shard(chain(), replace(lazy, verification="cached"))


@pytest.mark.parametrize(
    ("limit", "verification", "kind"),
    [("", "cached", Engine), ("1GiB", "eager", Engine), ("100kB", "cached", StreamedEngine),
     ("", "lazy", StreamedEngine)],
)  # fmt: skip
def test_memory_limit_decides_the_engine(
    configuration: NodeConfiguration, limit: str, verification: str, kind: type
) -> None:
    chosen = replace(configuration, memory_limit=limit, verification=verification)
    block = load_shard(chain(), chosen)[0]
    engine = shard_engine(block, chosen)
    assert type(engine) is kind
    if verification == "lazy" and isinstance(engine, StreamedEngine):
        assert engine.plan.pass_bytes == 0


def test_limits_that_do_not_work_say_what_does(configuration: NodeConfiguration) -> None:
    block = load_shard(chain(), configuration)[0]
    with pytest.raises(MemoryLimitError, match="Allow at least") as caught:
        shard_engine(block, replace(configuration, memory_limit="10k"))
    shard_engine(block, replace(configuration, memory_limit=str(caught.value.least)))
    with pytest.raises(ByteSizeError):
        shard_engine(block, replace(configuration, memory_limit="little"))
    with pytest.raises(ConfigurationError, match="Choose eager, cached, lazy"):
        load_shard(chain(), replace(configuration, verification="never"))


def test_settings_are_read_and_kept(tmp_path: Path) -> None:
    flags = {"memory_limit": "2GiB", "verification": "lazy", "resident": "hot.txt"}
    settings.load(tmp_path, flags).save()
    found = settings.load(tmp_path, {}, environment={"NEXUS_NODE_VERIFICATION": "eager"})
    assert (found.memory_limit_bytes, found.verification_policy) == (2 << 30, "eager")
    assert found.resident == Path("hot.txt")


def test_resident_weights_are_listed_by_name_or_beginning(path: Path, tmp_path: Path) -> None:
    block, listing = load_tensor_block(path, COMMITMENT.weights_root), tmp_path / "hot"
    listing.write_text("layers.0.mlp.*\nlayers.1.mlp.up.*\nlayers.2.mlp.gate.weight\n")
    expected = ["layers.1.mlp.up.scale", "layers.1.mlp.up.weight", "layers.2.mlp.gate.weight"]
    assert resident_weights(block, listing) == expected
    assert resident_weights(block, None) == []
    listing.write_text("layers.7.mlp.up.weight")
    with pytest.raises(ConfigurationError, match=r"layers\.7\.mlp\.up\.weight"):
        resident_weights(block, listing)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        resident_weights(block, tmp_path / "absent")


def test_proof_is_made_again_for_other_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts, work = EstablishedFacts(tmp_path / "facts"), Work(monkeypatch)
    for _ in range(2):
        prove_once(MODEL.program, COMMITMENT.program_root, facts)
    assert work.taken() == (0, 1)
    monkeypatch.setattr("node.daemon.shard_loading._prover", lambda: "other code")
    prove_once(MODEL.program, COMMITMENT.program_root, facts)
    assert work.taken() == (0, 1)


def test_version_registered_with_other_layers_is_not_served(configuration: NodeConfiguration) -> None:
    with pytest.raises(RegistrationError, match="registered with 4 layers and its program has 3"):
        load_shard(chain(Registered(layers=4)), configuration)


def test_a_program_that_no_builder_makes_is_not_served(configuration: NodeConfiguration, tmp_path: Path) -> None:
    """Its roots, its bytes and each of its ops are right: it is wired to convict whoever serves it."""
    at = max(i for i, op in enumerate(MODEL.program.ops) if op.layer == 0)
    unread = replace(
        MODEL.program.ops[at], name="unread", outputs=(replace(MODEL.program.ops[at].outputs[0], name="unread.output"),)
    )
    ops = (*MODEL.program.ops[: at + 1], unread, *MODEL.program.ops[at + 1 :])
    hostile = IntegerModel(replace(MODEL.program, ops=ops), MODEL.weights)
    hostile.program.validate()
    commitment = ModelCommitment.of(hostile)
    path = tmp_path / "hostile.safetensors"
    write_tensor_block(hostile, path, 1, 3, commitment)
    version = chain(Registered(commitment.weights_root, commitment.program_root))
    with pytest.raises(UnreproducibleProgramError, match=r"op unread stands where they have layers\.1"):
        load_shard(version, replace(configuration, block=path))
    with pytest.raises(UnreproducibleProgramError):
        verify_place(path, commitment.weights_root, commitment.program_root)
    hostile.save(tmp_path / "whole")
    with pytest.raises(UnreproducibleProgramError):
        verify_place(tmp_path / "whole", commitment.weights_root, commitment.program_root)
