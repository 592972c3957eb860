"""docs/wire.md is held against the code: messages, limits, errors, contract calls, examples, the answer file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from nexus_chain.chain.interfaces import abi
from nexus_chain.commitments.tensor import commit, tensor_tree
from nexus_chain.evidence.proof import InferenceProof
from nexus_chain.market import errors as market_errors
from nexus_chain.market.documents import (
    CHUNK_POSITIONS,
    DISCARDS_PER_POSITION,
    MAX_LINES,
    AuditOrder,
    Document,
    Order,
    Receipt,
    Scores,
    TokenFeed,
    TraceDocument,
    Voucher,
)
from nexus_chain.market.eip712 import LONGEST_JSON
from nexus_chain.program.errors import SamplingError
from nexus_chain.wire import shard_pb2
from nexus_chain.wire.digests import CLOCK_TOLERANCE, access_digest, description_digest, rows_request_digest
from nexus_chain.wire.frames import LARGEST_FRAME
from node.daemon import errors as daemon_errors
from node.daemon.serving import serving, shard_server
from scripts.second_client import TYPES, leaves, root, tree

ROOT = Path(__file__).resolve().parents[2]
WIRE = (ROOT / "docs" / "wire.md").read_text()
PROTOCOL = (ROOT / "docs" / "protocol.md").read_text()


def section(number: int) -> str:
    """The text of one numbered section."""
    return WIRE.split(f"\n## {number}. ")[1].split("\n## ")[0]


def rows(number: int, columns: int) -> Iterator[list[str]]:
    """The cells of the rows of a section's tables that have so many columns, without their heads."""
    for table in re.findall(r"(?:^\|.*\n?)+", section(number), re.MULTILINE):
        lines = [re.split(r"(?<!\\)\|", line.strip("|")) for line in table.strip().splitlines()]
        for cells in lines[2:]:
            if len(cells) == columns:
                yield [cell.strip() for cell in cells]


# ------------------------------------------------------------------------------ messages

KINDS = {
    FieldDescriptor.TYPE_BYTES: "bytes",
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_UINT32: "uint32",
    FieldDescriptor.TYPE_UINT64: "uint64",
    FieldDescriptor.TYPE_BOOL: "bool",
}


def described(message: Descriptor) -> set[tuple[str, int, str]]:
    """(name, number, kind) of every field."""
    return {(one.name, one.number, kind_of(one)) for one in message.fields}


def kind_of(one: FieldDescriptor) -> str:
    kind = one.message_type.name if one.message_type else KINDS[one.type]
    return f"repeated {kind}" if one.is_repeated else str(kind)


def test_messages() -> None:
    written = {
        name.strip("`"): {
            (field, int(number), kind)
            for field, number, kind in re.findall(r"`(\w+)` (\d+) ((?:repeated )?\w+)", fields)
        }
        for name, fields in rows(5, 2)
    }
    assert written == {name: described(one) for name, one in shard_pb2.DESCRIPTOR.message_types_by_name.items()}
    assert shard_pb2.DESCRIPTOR.package == "nexus.shard.v2"


# -------------------------------------------------------------------------------- limits

LIMITS = {
    "bytes of a message": LARGEST_FRAME,
    "bytes of rows in a call, recommended": 2 << 20,
    "bytes of rows in an answer to `boundary_rows`, at most": serving._BLOCK_BYTES,
    "characters of a document's JSON": LONGEST_JSON,
    "lines of a voucher": MAX_LINES,
    "positions of a chunk after the last closed one": CHUNK_POSITIONS,
    "rows dropped, for each position of the order": DISCARDS_PER_POSITION,
    "orders of a session that wait for their prompt": serving.MOST_UNFED,
    "orders of a session that were opened with a credit and have no receipt yet": serving.MOST_CREDITS,
    "connections of a node": shard_server.CONNECTIONS,
    "connections of a session that never have to make room": shard_server.PLACES,
    "seconds for the handshake, and for the next call of a stranger": shard_server.FIRST_SECONDS,
    "seconds for the next call of an owner": shard_server.IDLE_SECONDS,
    "seconds from the first byte of a message to its last, either way": shard_server.FRAME_SECONDS,
    "seconds that the clocks may differ in `boundary_rows`": CLOCK_TOLERANCE,
}


def test_limits() -> None:
    assert {limit: float(value) for limit, value in rows(4, 2)} == LIMITS


# -------------------------------------------------------------------------------- errors


def kinds_below(base: type[Exception]) -> set[str]:
    """Names of the classes without children under ``base``, and of those that are raised themselves."""
    children = base.__subclasses__()
    return {base.__name__} if not children else set().union(*(kinds_below(child) for child in children))


def test_refusals() -> None:
    written = {name for errors, _, _ in rows(12, 3) for name in re.findall(r"`(\w+Error)`", errors)}
    served = kinds_below(daemon_errors.ServingError) | {daemon_errors.StoppingError.__name__, SamplingError.__name__}
    documents = {"DocumentFormatError", "BadSignatureError", "WrongSignerError"}
    orders = kinds_below(market_errors.OrderError)
    vouchers = kinds_below(market_errors.VoucherError) - kinds_below(market_errors.StaleVoucherError)
    assert written == served | documents | orders | vouchers | {"RpcUnreachableError"}


# ------------------------------------------------------------------------------ contracts


def parsed(text: str) -> str:
    """A declaration without names: "bytes32 a, (address n, uint16 l)[] b" becomes "bytes32,(address,uint16)[]"."""
    bare = re.sub(r"(\w+|\]|\))( indexed)? \w+", r"\1", text.replace("indexed ", ""))
    return re.sub(r"\s", "", bare)


def abi_type(entry: dict[str, Any]) -> str:
    if not entry["type"].startswith("tuple"):
        return str(entry["type"])
    return f"({','.join(map(abi_type, entry['components']))}){entry['type'].removeprefix('tuple')}"


def signatures(contract: str, kind: str) -> dict[str, tuple[str, str]]:
    """(inputs, outputs) of a contract's functions or events, by name."""
    entries = abi(contract)
    return {
        entry["name"]: (
            ",".join(map(abi_type, entry["inputs"])),
            ",".join(map(abi_type, entry.get("outputs", []))),
        )
        for entry in entries
        if entry["type"] == kind
    }


@pytest.mark.parametrize("number", [2, 3])
def test_contract_calls(number: int) -> None:
    found = 0
    for contract, calls, answer in rows(number, 3):
        known = signatures(contract, "function")
        for name, inputs in re.findall(r"`(\w+)\((.*?)\)`", calls):
            assert parsed(inputs) == known[name][0], name
            found += 1
            returned = re.match(r"`(\(.*?\)(?:\[\])?)`", answer)
            if returned:
                assert parsed(returned[1]) == known[name][1], name
    assert found == {2: 5, 3: 16}[number]


def test_events() -> None:
    known = signatures("InferenceMarket", "event")
    events = [re.match(r"`(\w+)\((.*)\)`", event) for event, _ in rows(2, 2)]
    assert len(events) == 4
    for event in events:
        assert event
        assert parsed(event[2]) == known[event[1]][0], event[1]


# ------------------------------------------------------------------------------ documents


def test_types_of_documents() -> None:
    """protocol.md has the strings; section 7 says how they are read, and the second client has them too."""
    block = PROTOCOL.split("## 2. Signed documents")[1].split("```")[1]
    joined = re.sub(r"\s*\n\s+", "", block)
    strings = dict(re.findall(r"^(\w+)(\(.*?\))(?: .*)?$", joined, re.MULTILINE))
    documents: tuple[type[Document], ...] = (Order, TokenFeed, Receipt, Voucher, AuditOrder, TraceDocument, Scores)
    for document in documents:
        members = "".join(name + strings[name] for name in document.MEMBERS)
        assert document.STRUCT + strings[document.STRUCT] + members == document.encode_type()
    for name, members in TYPES.items():
        assert f"({members})" == strings[name]


# ------------------------------------------------------------------------------- examples

EXAMPLES = {what: bytes.fromhex(value.strip("`")) for what, value in rows(16, 2)}
SALT = bytes([7]) * 32
SHAPES = [what for what in EXAMPLES if what.startswith("root of")]


def shape_of(what: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", what.split("[")[1])))


@pytest.mark.parametrize("what", SHAPES)
def test_examples_of_roots(what: str) -> None:
    shape = shape_of(what)
    numbers = np.arange(prod(shape), dtype=np.int32).reshape(shape)
    assert commit(torch.from_numpy(numbers), SALT) == EXAMPLES[what]
    assert root(numbers, SALT) == "0x" + EXAMPLES[what].hex()


def test_examples_of_digests() -> None:
    assert len(EXAMPLES) == len(SHAPES) + 5 == 11
    order, node = bytes([1]) * 32, bytes([2]) * 20
    found = shard_pb2.NodeDescription(
        node=node, model_version=bytes([4]) * 32, layer_start=0, layer_end=3, wei_per_token="1000000000", context=512,
        active_orders=2, time=1_700_000_000,
    )  # fmt: skip
    plain = description_digest(found, bytes([3]) * 32)
    found.audit_wei_per_token = "5"
    tokens = np.arange(5, dtype=np.int32)
    assert [EXAMPLES[what] for what in EXAMPLES if what not in SHAPES] == [
        tensor_tree(torch.from_numpy(tokens)).root(),
        access_digest(order, node),
        rows_request_digest(order, node, 1_700_000_000),
        plain,
        description_digest(found, bytes([3]) * 32),
    ]
    assert tree(leaves(tokens)) == EXAMPLES["`prompt_tree` of i32[5]"]


# ---------------------------------------------------------------------------- answer file


def test_fields_of_the_answer_file() -> None:
    source = Path(InferenceProof.to_dict.__code__.co_filename).read_text()
    written = re.findall(r'^ {12}"(\w+)":', source.split("def to_dict")[1].split("def from_dict")[0], re.MULTILINE)
    assert sorted(field.strip("`") for field, _ in rows(15, 2)) == sorted(written)
