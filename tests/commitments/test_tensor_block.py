"""Shard files: written, mapped without a copy, and refused when a byte is not the committed one."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from nexus_chain.commitments.block_index import index_path, leaves_path
from nexus_chain.commitments.errors import EstablishedFactsError, TamperedTensorError, TensorBlockError
from nexus_chain.commitments.established_facts import EstablishedFacts
from nexus_chain.commitments.mapped_file import CLOCK_STEP_NS, FileIdentity, MappedFile
from nexus_chain.commitments.merkle import verify_inclusion
from nexus_chain.commitments.tensor_block import load_tensor_block, write_tensor_block
from nexus_chain.commitments.weights import ModelCommitment, program_root, weight_leaf, weights_root, weights_tree
from nexus_chain.program import PRESETS, IntegerModel, random_model


@pytest.fixture(scope="module")
def model() -> IntegerModel:
    return random_model(PRESETS["tiny"], seed=7)


@pytest.fixture(scope="module")
def commitment(model: IntegerModel) -> ModelCommitment:
    return ModelCommitment.of(model)


@pytest.fixture(scope="module")
def written(model: IntegerModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("blocks") / "tiny.safetensors"
    write_tensor_block(model, path, 0, 2)
    return path


@pytest.fixture
def block(written: Path, tmp_path: Path) -> Path:
    for source in (written, index_path(written), leaves_path(written)):
        shutil.copy(source, tmp_path / source.name)
    return tmp_path / written.name


def place_of(path: Path, tensor: str) -> tuple[int, int]:
    """File offset and length of a tensor's bytes."""
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    begin, end = json.loads(raw[8 : 8 + length])[tensor]["data_offsets"]
    return 8 + length + begin, end - begin


def flip(path: Path, offset: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[offset] ^= 0x40
    path.write_bytes(raw)


@pytest.mark.parametrize(("start", "end"), [(0, 1), (1, 3), (0, 3)])
def test_written_shard_loads_with_the_same_bits(
    model: IntegerModel, commitment: ModelCommitment, tmp_path: Path, start: int, end: int
) -> None:
    path = tmp_path / "shards" / "part.safetensors"
    write_tensor_block(model, path, start, end, commitment)
    block = load_tensor_block(path, commitment.weights_root, commitment.program_root)
    assert (block.layer_start, block.layer_end, block.program) == (start, end, model.program)
    assert set(block.weights) == {spec.name for spec in model.program.weights_of(start, end)}
    assert all(torch.equal(tensor, model.weights[name]) for name, tensor in block.weights.items())
    assert block.nbytes == sum(spec.nbytes for spec in model.program.weights_of(start, end))
    names = ["part.safetensors", "part.safetensors.index.json", "part.safetensors.leaves"]
    assert sorted(p.name for p in path.parent.iterdir()) == names


def test_block_is_a_plain_safetensors_file(model: IntegerModel, block: Path) -> None:
    loaded = load_file(block)
    assert all(torch.equal(tensor, model.weights[name]) for name, tensor in loaded.items())
    assert (8 + int.from_bytes(block.read_bytes()[:8], "little")) % 64 == 0


def test_tensors_are_views_of_one_mapping_and_private(block: Path, commitment: ModelCommitment) -> None:
    before = block.read_bytes()
    weights = load_tensor_block(block, commitment.weights_root).weights
    base = min(tensor.data_ptr() for tensor in weights.values())
    data_start = 8 + int.from_bytes(before[:8], "little")
    for name, tensor in weights.items():
        assert tensor.data_ptr() - base == place_of(block, name)[0] - data_start
    next(iter(weights.values())).fill_(1)
    assert block.read_bytes() == before


def test_every_tensor_is_proven_under_the_weights_root(commitment: ModelCommitment) -> None:
    tree = weights_tree(commitment.tensor_roots)
    for index, (name, root) in enumerate(commitment.tensor_roots):
        leaf = weight_leaf(name, root)
        verify_inclusion(leaf, index, len(tree), tree.inclusion(index), commitment.weights_root)


def test_roots_depend_on_every_weight_and_on_the_program(model: IntegerModel, commitment: ModelCommitment) -> None:
    other = random_model(PRESETS["tiny"], seed=8)
    assert ModelCommitment.of(other).weights_root != commitment.weights_root
    assert program_root(other.program) == commitment.program_root, "descriptors do not contain the model's name"
    assert program_root(random_model(PRESETS["tiny-bias"]).program) != commitment.program_root
    swapped = list(commitment.tensor_roots)
    swapped[0], swapped[1] = swapped[1], swapped[0]
    assert weights_root(swapped) != commitment.weights_root


def test_flipped_byte_is_reported_with_tensor_and_row(block: Path, commitment: ModelCommitment) -> None:
    name = "embed.table"  # i16[640, 64]: rows of 128 bytes, 8 in a leaf
    offset, _ = place_of(block, name)
    flip(block, offset + 21 * 128 + 5)
    with pytest.raises(
        TamperedTensorError, match=r"'embed.table' differs from its commitment in rows 16 to 23"
    ) as caught:
        load_tensor_block(block, commitment.weights_root)
    assert (caught.value.tensor, caught.value.rows) == (name, ((16, 24),))


def test_every_flipped_tensor_is_noticed(block: Path, commitment: ModelCommitment) -> None:
    clean = block.read_bytes()
    for name in load_tensor_block(block, commitment.weights_root).weights:
        offset, length = place_of(block, name)
        flip(block, offset + length - 1)
        with pytest.raises(TamperedTensorError) as caught:
            load_tensor_block(block, commitment.weights_root)
        assert caught.value.tensor == name
        block.write_bytes(clean)


def test_truncated_file_names_tensor_and_rows(block: Path, commitment: ModelCommitment) -> None:
    raw = block.read_bytes()
    block.write_bytes(raw[:-100])
    with pytest.raises(TensorBlockError, match=r"truncated: tensor '.+' lacks rows \d+ to \d+"):
        load_tensor_block(block, commitment.weights_root)
    for keep in (0, 4, 100):
        block.write_bytes(raw[:keep])
        with pytest.raises(TensorBlockError, match="again"):
            load_tensor_block(block, commitment.weights_root)


def test_shard_of_another_model_is_refused(block: Path, commitment: ModelCommitment) -> None:
    with pytest.raises(TensorBlockError, match="the shard belongs to weights root"):
        load_tensor_block(block, bytes(32))
    with pytest.raises(TensorBlockError, match="program"):
        load_tensor_block(block, commitment.weights_root, bytes(32))


def test_missing_files_are_named(block: Path, commitment: ModelCommitment) -> None:
    index = index_path(block).read_bytes()
    index_path(block).unlink()
    with pytest.raises(TensorBlockError, match=r"index.json is missing"):
        load_tensor_block(block, commitment.weights_root)
    index_path(block).write_bytes(index)
    block.unlink()
    with pytest.raises(TensorBlockError, match=r"tiny.safetensors is missing"):
        load_tensor_block(block, commitment.weights_root)


@pytest.mark.parametrize("damage", ["format", "tensors", "layers", "program", "program_root"])
def test_damaged_index_is_refused(block: Path, commitment: ModelCommitment, damage: str) -> None:
    index = json.loads(index_path(block).read_text())
    index[damage] = {"format": "other", "tensors": index["tensors"][1:], "layers": [1, 9], "program": {},
                     "program_root": "00" * 32}[damage]  # fmt: skip
    index_path(block).write_text(json.dumps(index))
    with pytest.raises(TensorBlockError):
        load_tensor_block(block, commitment.weights_root)


def test_deeply_nested_index_and_header_are_refused(block: Path, commitment: ModelCommitment) -> None:
    index = index_path(block).read_bytes()
    deep = b"[" * 100_000
    index_path(block).write_bytes(deep)
    with pytest.raises(TensorBlockError, match="not a block index"):
        load_tensor_block(block, commitment.weights_root)
    index_path(block).write_bytes(index)
    block.write_bytes(len(deep).to_bytes(8, "little") + deep)
    with pytest.raises(TensorBlockError, match="not a safetensors file"):
        load_tensor_block(block, commitment.weights_root)


def test_index_cannot_point_to_other_layers_unnoticed(block: Path, commitment: ModelCommitment) -> None:
    index = json.loads(index_path(block).read_text())
    index["layers"] = [0, 3]
    index_path(block).write_text(json.dumps(index))
    with pytest.raises(TensorBlockError, match="lacks tensor"):
        load_tensor_block(block, commitment.weights_root)


@pytest.mark.parametrize("leaves", [None, b"", b"\0" * 4096])
def test_without_true_leaves_the_whole_tensor_is_named(
    block: Path, commitment: ModelCommitment, leaves: bytes | None
) -> None:
    leaves_path(block).unlink()
    if leaves is not None:
        leaves_path(block).write_bytes(leaves)
    load_tensor_block(block, commitment.weights_root)
    flip(block, place_of(block, "embed.table")[0])
    with pytest.raises(TamperedTensorError, match=r"'embed.table' .* rows 0 to 639"):
        load_tensor_block(block, commitment.weights_root)


def test_header_with_another_shape_is_refused(block: Path, commitment: ModelCommitment) -> None:
    raw = block.read_bytes()
    block.write_bytes(raw.replace(b'"shape":[640,64]', b'"shape":[64,640]', 1))
    with pytest.raises(TensorBlockError, match=r"'embed.table' should be i16 \[640, 64\]"):
        load_tensor_block(block, commitment.weights_root)


def count_reads(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Bytes hashed since the last call."""
    read = [0]
    pieces = MappedFile.pieces

    def counted(file: MappedFile, offset: int, length: int, unit: int = 1) -> object:
        read[0] += length
        return pieces(file, offset, length, unit)

    monkeypatch.setattr(MappedFile, "pieces", counted)

    def taken() -> int:
        found, read[0] = read[0], 0
        return found

    return taken


def settle() -> None:
    """Until a write would show in a file's times: younger files are not remembered."""
    time.sleep(1.2 * CLOCK_STEP_NS / 1e9)


def test_verified_file_is_not_read_again(
    block: Path, commitment: ModelCommitment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts, hashed = EstablishedFacts(tmp_path / "facts"), count_reads(monkeypatch)
    settle()
    loaded = load_tensor_block(block, commitment.weights_root, facts=facts)
    assert hashed() == loaded.nbytes
    again = load_tensor_block(block, commitment.weights_root, facts=EstablishedFacts(tmp_path / "facts"))
    assert all(torch.equal(tensor, loaded.weights[name]) for name, tensor in again.weights.items())
    assert hashed() == 0
    assert (tmp_path / "facts").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("change", ["write", "replace", "touch", "move"])
def test_changed_file_is_verified_again(
    block: Path, commitment: ModelCommitment, tmp_path: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = EstablishedFacts(tmp_path / "facts")
    settle()
    load_tensor_block(block, commitment.weights_root, facts=facts)
    hashed, times = count_reads(monkeypatch), block.stat()
    if change == "touch":
        os.utime(block)
    elif change == "move":  # same bytes in another file
        shutil.copy(block, tmp_path / "copy")
        (tmp_path / "copy").replace(block)
    else:
        copy = tmp_path / "copy" if change == "replace" else block
        shutil.copy(block, copy) if copy != block else None
        flip(copy, place_of(copy, "embed.table")[0])
        os.utime(copy, ns=(times.st_atime_ns, times.st_mtime_ns))  # a change time cannot be set back
        copy.replace(block)
        with pytest.raises(TamperedTensorError):
            load_tensor_block(block, commitment.weights_root, facts=facts)
        return
    load_tensor_block(block, commitment.weights_root, facts=facts)
    assert hashed() > 0


def test_fact_holds_for_one_version_and_its_layers_only(
    block: Path, commitment: ModelCommitment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = EstablishedFacts(tmp_path / "facts")
    settle()
    load_tensor_block(block, commitment.weights_root, facts=facts)
    with pytest.raises(TensorBlockError, match="belongs to weights root"):
        load_tensor_block(block, bytes(32), facts=facts)
    index, hashed = json.loads(index_path(block).read_text()), count_reads(monkeypatch)
    index["layers"] = [0, 1]
    index_path(block).write_text(json.dumps(index))
    loaded = load_tensor_block(block, commitment.weights_root, facts=facts)
    assert hashed() == loaded.nbytes


def test_young_file_is_not_remembered(
    block: Path, commitment: ModelCommitment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts, hashed = EstablishedFacts(tmp_path / "facts"), count_reads(monkeypatch)
    monkeypatch.setattr(FileIdentity, "is_settled", False)
    for _ in range(2):
        loaded = load_tensor_block(block, commitment.weights_root, facts=facts)
        assert hashed() == loaded.nbytes


def test_lazy_block_verifies_a_tensor_when_it_is_asked_for(
    block: Path, commitment: ModelCommitment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts, hashed = EstablishedFacts(tmp_path / "facts"), count_reads(monkeypatch)
    settle()
    lazy = load_tensor_block(block, commitment.weights_root, lazy=True, facts=facts)
    assert "embed.table" in lazy.weights
    assert len(lazy.weights) == len(list(lazy.weights))
    assert hashed() == 0
    table = lazy.weights["embed.table"]
    assert hashed() == table.nbytes
    assert torch.equal(table, lazy.weights["embed.table"])
    assert hashed() == 0
    load_tensor_block(block, commitment.weights_root, lazy=True, facts=facts).weights["embed.table"]
    assert hashed() == table.nbytes, "half a verification was remembered"
    assert sum(tensor.nbytes for tensor in lazy.weights.values()) == lazy.nbytes
    hashed()
    load_tensor_block(block, commitment.weights_root, facts=facts)
    assert hashed() == 0


def test_lazy_block_refuses_a_tampered_tensor_at_first_touch(
    model: IntegerModel, block: Path, commitment: ModelCommitment
) -> None:
    name = "layers.1.attention.query.weight"
    width = model.weights[name].shape[1]
    flip(block, place_of(block, name)[0] + 5 * width)
    lazy = load_tensor_block(block, commitment.weights_root, lazy=True)
    for other in lazy.weights:
        if other != name:
            assert torch.equal(lazy.weights[other], model.weights[other])
    for _ in range(2):  # refused once is refused for ever
        with pytest.raises(TamperedTensorError, match=name) as caught:
            lazy.weights[name]
        assert any(start <= 5 < stop for start, stop in caught.value.rows)


def test_lazy_block_sees_what_was_written_after_it_was_opened(block: Path, commitment: ModelCommitment) -> None:
    lazy = load_tensor_block(block, commitment.weights_root, lazy=True)
    lazy.check_unchanged()
    with block.open("r+b") as file:
        file.seek(place_of(block, "embed.table")[0])
        file.write(b"\xff" * 8)
    with pytest.raises(TamperedTensorError, match=r"embed\.table"):
        lazy.weights["embed.table"]
    with pytest.raises(TensorBlockError, match="was written to while it was in use"):
        lazy.check_unchanged()


def test_released_weights_come_back_with_the_same_bits(model: IntegerModel, block: Path) -> None:
    loaded = load_tensor_block(block, ModelCommitment.of(model).weights_root)
    for _ in range(2):
        loaded.release(list(loaded.weights))
        loaded.prefetch(list(loaded.weights))
        assert all(torch.equal(tensor, model.weights[name]) for name, tensor in loaded.weights.items())


def test_folder_of_facts_has_to_be_private(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    with pytest.raises(EstablishedFactsError, match="others than you can write"):
        EstablishedFacts(shared)
    (tmp_path / "file").write_text("")
    with pytest.raises(EstablishedFactsError, match="cannot be used"):
        EstablishedFacts(tmp_path / "file")
    (tmp_path / "link").symlink_to(shared)
    with pytest.raises(EstablishedFactsError):
        EstablishedFacts(tmp_path / "link")


def test_facts_are_word_for_word(tmp_path: Path) -> None:
    facts = EstablishedFacts(tmp_path / "facts")
    facts.establish("a", {"x": 1})
    assert facts.known("a", {"x": 1})
    assert not facts.known("b", {"x": 1})
    assert not facts.known("a", {"x": 2})
    facts.establish("a", {"x": 2})
    assert not facts.known("a", {"x": 1})
    (only,) = (tmp_path / "facts").iterdir()
    only.write_bytes(only.read_bytes()[:-1])
    assert not facts.known("a", {"x": 2})
