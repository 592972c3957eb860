"""CIDs against golden vectors made by an independent importer, and hostile blocks."""

from __future__ import annotations

import io
import json
from pathlib import Path

import cid as other_implementation
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_chain.content.cid import DAG_PB, RAW, Cid
from nexus_chain.content.errors import BlockTamperedError, CidFormatError
from nexus_chain.content.unixfs import _encode_node, _Link, blocks_of, children, cid_of, read_chunks, read_file

VECTORS = [json.loads(line) for line in (Path(__file__).parents[1] / "vectors" / "cid.jsonl").read_text().splitlines()]


def content(vector: dict[str, object]) -> bytes:
    if "text" in vector:
        return str(vector["text"]).encode()
    size = int(str(vector["size"]))
    return (bytes(range(251)) * (size // 251 + 1))[:size]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: f"{v['size']}-{v['chunk_bytes']}")
def test_address_is_the_one_ipfs_gives(vector: dict[str, object]) -> None:
    assert str(cid_of(content(vector), int(str(vector["chunk_bytes"])))) == vector["cid"]


@given(st.binary(max_size=3000), st.sampled_from([1, 7, 16, 4096]))
@settings(max_examples=60)
def test_file_comes_back_from_its_blocks(data: bytes, chunk: int) -> None:
    blocks = {block.cid: block.data for block in blocks_of(io.BytesIO(data), chunk)}
    root = cid_of(data, chunk)
    assert read_file(blocks.__getitem__, root) == data
    pieces = list(read_chunks(blocks.__getitem__, root))
    assert b"".join(pieces) == data
    assert all(len(piece) <= chunk for piece in pieces)
    reached = {root}
    for cid in list(reached):
        reached |= {child for child, _ in children(cid, blocks[cid])}
    assert reached <= set(blocks)


@given(st.binary(min_size=32, max_size=32), st.sampled_from([RAW, DAG_PB]))
def test_text_form_round_trips_and_agrees_with_py_cid(digest: bytes, codec: int) -> None:
    cid = Cid(codec, digest)
    assert Cid.parse(str(cid)) == cid
    theirs = other_implementation.from_bytes(cid.to_bytes())
    assert theirs.encode("base32").decode() == str(cid)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "b",
        "QmZfF6C9j4VtoCsTp4KSrhYH47QMd3DNXVZBKaxJdhaPab",
        "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5",
        "BAFKREIFZJUT3TE2NHYEKKLSS27NH3K72YSCO7Y32KOAO5EEI66WOF36N5E",
        "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e ",
        "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5f",
        "bafyreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy",
        "b!fkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e",
        "bé",
    ],
)
def test_anything_but_the_canonical_text_is_refused(text: str) -> None:
    with pytest.raises(CidFormatError, match=r"Give a CIDv1|Use CIDv1"):
        Cid.parse(text)


def test_tampered_block_is_refused() -> None:
    data = bytes(range(251)) * 40
    blocks = {block.cid: block.data for block in blocks_of(io.BytesIO(data), 1000)}
    root = cid_of(data, 1000)
    for victim in blocks:
        broken = {**blocks, victim: blocks[victim][:-1] + bytes([blocks[victim][-1] ^ 1])}
        with pytest.raises(BlockTamperedError, match="another source"):
            read_file(broken.__getitem__, root)


@pytest.mark.parametrize(
    "node",
    [
        b"\xff",
        b"\x0a\x05abc",
        b"\x12\x02\x12\x00",
        b"\x0a\x02\x08\x01",
        b"\x0a\x04\x08\x02\x12\x00",
        b"\x0a\x04\x08\x02\x20\x05",
        b"\x80" * 12,
    ],
)
def test_malformed_nodes_are_refused(node: bytes) -> None:
    with pytest.raises(CidFormatError):
        read_file(lambda _: node, Cid.of(node, DAG_PB))


def test_file_over_the_limit_is_refused() -> None:
    data = bytes(5000)
    blocks = {block.cid: block.data for block in blocks_of(io.BytesIO(data), 1000)}
    with pytest.raises(CidFormatError, match="larger than 4999"):
        read_file(blocks.__getitem__, cid_of(data, 1000), limit=4999)
    assert read_file(blocks.__getitem__, cid_of(data, 1000), limit=5000) == data


def test_a_file_that_lies_about_its_parts_is_refused() -> None:
    first, second = Cid.of(b"one"), Cid.of(b"second")
    node = _encode_node([_Link(first, 3, 3), _Link(second, 5, 6)])
    blocks = {first: b"one", second: b"second", Cid.of(node, DAG_PB): node}
    pieces = read_chunks(blocks.__getitem__, Cid.of(node, DAG_PB))
    assert [next(pieces), next(pieces)] == [b"one", b"second"]
    with pytest.raises(CidFormatError, match=f"states 5 bytes for {second}"):
        next(pieces)


def test_empty_children_are_refused() -> None:
    """174 to the power of eight blocks could be walked, and no byte would count towards a limit."""
    empty = Cid.of(b"")
    node = _encode_node([_Link(empty, 0, 0)] * 174)
    blocks = {empty: b"", Cid.of(node, DAG_PB): node}
    for _ in range(2):
        cid = Cid.of(node, DAG_PB)
        node = _encode_node([_Link(cid, 0, len(node))] * 174)
        blocks[Cid.of(node, DAG_PB)] = node
    asked: list[Cid] = []

    def get(cid: Cid) -> bytes:
        asked.append(cid)
        return blocks[cid]

    with pytest.raises(CidFormatError, match="an empty child"):
        read_file(get, Cid.of(node, DAG_PB), limit=100)
    assert len(asked) == 1
