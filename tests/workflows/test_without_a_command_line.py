"""Tasks as another front would run them: typed inputs, results, an observer that is told, errors as errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.errors import DeploymentError, RpcUnreachableError, WalletPasswordError
from nexus_chain.commitments.weights import ModelCommitment
from nexus_chain.program import import_checkpoint
from nexus_chain.settings import Settings
from nexus_chain.versions.errors import ModelFilesError
from nexus_chain.versions.model_files import ModelFiles
from nexus_chain.workflows.importing import Measuring, import_named
from nexus_chain.workflows.inspection import read_place, verify_place
from nexus_chain.workflows.library import ModelLibrary
from nexus_chain.workflows.money import Balance, balance_of, create_wallet
from nexus_chain.workflows.observer import Advance, TaskObserver
from nexus_chain.workflows.sharding import write_shards
from nexus_chain.workflows.workspace import Workspace
from tests.support.tiny_publication import train


class Witness(TaskObserver):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.counts: list[tuple[int, int]] = []
        self.notes: list[str] = []

    @contextmanager
    def stage(self, title: str) -> Iterator[Advance]:
        self.stages.append(title)
        yield lambda done, total: self.counts.append((done, total))

    def note(self, line: str) -> None:
        self.notes.append(line)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints") / "tiny"
    folder.mkdir()
    train(folder)
    return folder


def registry_of(checkpoint: Path, versions: int = 1) -> Contracts:
    """A chain that registers the checkpoint's integer model, as often as wanted."""
    commitment = ModelCommitment.of(import_checkpoint(checkpoint))
    record = SimpleNamespace(
        tokenizer_hash=ModelFiles(checkpoint).tokenizer_hash, program_root=commitment.program_root,
        weights_root=commitment.weights_root, semver="1.0.0", manifest_cid="bafkqaaa",
    )  # fmt: skip
    ids = [bytes([0xA0 + number]) * 32 for number in range(versions)]
    models: Any = SimpleNamespace(versions=lambda: ids, version=lambda _: record)
    return cast(Contracts, SimpleNamespace(models=models))


def test_a_checkpoint_is_imported_sharded_and_verified(checkpoint: Path, tmp_path: Path) -> None:
    witness, workspace = Witness(), Workspace(Settings(tmp_path))
    found = import_named(str(checkpoint), workspace.home, None, Measuring(gate=0.005), witness)
    assert found.folder == tmp_path / "models" / "tiny"
    assert witness.stages == [f"Importing {checkpoint}", "Judging on other texts"]
    assert witness.notes[0].startswith("as it is: perplexity")
    written = write_shards(found.folder, 2, observer=witness)
    assert witness.counts == [(1, 2), (2, 2)]
    held = read_place(written[0].file)
    assert (held.kind, held.known, held.weights_root) == ("shard", False, found.commitment.weights_root)
    verified = verify_place(written[0].file, held.weights_root, None, witness)
    assert verified.layers == held.layers == (0, written[0].part.layer_end)
    assert verified.size == sum(spec.nbytes for spec in held.weights)
    assert witness.stages[2:] == ["Writing shards", f"Verifying {written[0].file}"]


def test_a_registered_checkpoint_is_imported_once(checkpoint: Path, tmp_path: Path) -> None:
    witness = Witness()
    library = ModelLibrary(registry_of(checkpoint), tmp_path / "kept", checkpoint, witness)
    for _ in range(2):
        version = library.choose(None)
        assert library.files_of(version).folder == tmp_path / "kept" / version.hex()[:16]
    assert witness.stages == ["Importing tiny for the first time"]


def test_a_version_is_chosen_by_the_beginning_of_its_id(checkpoint: Path, tmp_path: Path) -> None:
    library = ModelLibrary(registry_of(checkpoint, versions=2), tmp_path)
    assert library.choose("0xA1") == bytes([0xA1]) * 32
    for wanted, found in (("0xb0", 0), ("a", 2)):
        with pytest.raises(ModelFilesError, match=f"{found} registered model versions start with {wanted}"):
            library.choose(wanted)
    with pytest.raises(ModelFilesError, match="of no registered model version") as error:
        library.choose(None)
    assert "0xa0a0a0a0a0, 0xa1a1a1a1a1" in error.value.advice


def test_a_wallet_is_made_with_the_password_that_is_asked_for_twice(tmp_path: Path) -> None:
    typed = iter(["one", "another"])
    with pytest.raises(WalletPasswordError, match="differ"):
        create_wallet(Workspace(Settings(tmp_path), lambda prompt: next(typed)))
    workspace = Workspace(Settings(tmp_path), lambda prompt: "open sesame")
    assert create_wallet(workspace) == workspace.wallet.address


def test_what_a_workspace_cannot_open_is_said(tmp_path: Path) -> None:
    nowhere = Workspace(Settings(tmp_path, rpc="http://127.0.0.1:1"))
    assert isinstance(balance_of(nowhere, "0x" + "11" * 20), RpcUnreachableError)
    assert not isinstance(balance_of(nowhere, "0x" + "11" * 20), Balance)
    with pytest.raises(DeploymentError, match=r"deployments/7\.json"):
        _ = Workspace(Settings(tmp_path, chain_id=7)).deployment
    with pytest.raises(WalletPasswordError, match="no password"):
        create_wallet(nowhere)
