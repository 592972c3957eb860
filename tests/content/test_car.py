"""CAR archives: blocks go in and come out verified; the header is the standard's, byte for byte."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_chain.content.block_store import BlockStore, fetch_file
from nexus_chain.content.car import CarFile, blocks_below, write_car
from nexus_chain.content.cid import Cid
from nexus_chain.content.errors import BlockMissingError, BlockTamperedError, CarFormatError
from nexus_chain.content.unixfs import Block, cid_of

LARGE = random.Random(5).randbytes(300_000)  # two leaves and a node


@pytest.fixture
def archive(tmp_path: Path) -> tuple[Path, tuple[Cid, ...]]:
    store = BlockStore(tmp_path / "store")
    roots = (store.add_bytes(LARGE), store.add_bytes(b"small"), store.add_bytes(b"small"))
    write_car(tmp_path / "a.car", roots, blocks_below(store, roots))
    return tmp_path / "a.car", roots


def test_files_come_out_as_they_went_in(archive: tuple[Path, tuple[Cid, ...]]) -> None:
    path, roots = archive
    car = CarFile(path)
    assert car.roots == roots
    assert fetch_file(car, roots[0]) == LARGE
    assert fetch_file(car, str(roots[1])) == b"small"
    assert len(car) == 4, "each block once"
    with pytest.raises(BlockMissingError):
        car.get(cid_of(b"other"))


def test_the_bytes_are_those_of_the_standard(tmp_path: Path) -> None:
    """Header of one root as the specification's first fixture has it, then the block with its address."""
    block = Block(Cid.of(b"aaaa"), b"aaaa")
    write_car(tmp_path / "b.car", [block.cid], [block])
    address = bytes.fromhex("01551220") + block.cid.digest
    expected = bytes.fromhex("3aa265726f6f747381d82a582500") + address + bytes.fromhex("6776657273696f6e01")
    assert (tmp_path / "b.car").read_bytes() == expected + bytes([40]) + address + b"aaaa"


def test_many_roots(tmp_path: Path) -> None:
    blocks = [Block(Cid.of(bytes([n])), bytes([n])) for n in range(30)]
    write_car(tmp_path / "c.car", [block.cid for block in blocks], blocks)
    assert CarFile(tmp_path / "c.car").roots == tuple(block.cid for block in blocks)


def test_a_changed_byte_shows_at_its_block(archive: tuple[Path, tuple[Cid, ...]]) -> None:
    path, roots = archive
    data = path.read_bytes()
    path.write_bytes(data.replace(b"small", b"smell"))
    car = CarFile(path)
    with pytest.raises(BlockTamperedError):
        car.get(roots[1])
    assert fetch_file(car, roots[0]) == LARGE


@given(st.binary(max_size=200))
def test_no_bytes_do_harm(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("car") / "d.car"
    path.write_bytes(data)
    with pytest.raises(CarFormatError):
        CarFile(path)


def test_every_cut_is_noticed(archive: tuple[Path, tuple[Cid, ...]]) -> None:
    path, _ = archive
    data = path.read_bytes()
    for size in (0, 1, 20, 60, 170, len(data) - 1):
        path.write_bytes(data[:size])
        with pytest.raises(CarFormatError):
            CarFile(path)


def test_a_missing_block_leaves_no_archive(tmp_path: Path) -> None:
    store, missing = BlockStore(tmp_path / "store"), Cid.of(b"missing")
    with pytest.raises(BlockMissingError):
        write_car(tmp_path / "e.car", [missing], blocks_below(store, [missing]))
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
