"""Values as the ABI has them: to the byte as ``eth_abi`` encodes them, and refused where they are bent."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError
from eth_utils.abi import event_abi_to_log_topic, function_abi_to_4byte_selector
from eth_utils.address import to_checksum_address
from hypothesis import given
from hypothesis import strategies as st

from nexus_chain.address import checksummed
from nexus_chain.chain.abi_values import AbiError, abi_types, decode_abi, encode_abi, signature_hash
from nexus_chain.chain.interfaces import CONTRACTS, abi

pytestmark = pytest.mark.fast

WORDS = st.sampled_from([f"uint{bits}" for bits in (8, 16, 40, 64, 128, 256)] + ["int8", "int64", "int256"])
PLAIN = st.one_of(WORDS, st.sampled_from(["address", "bool", "bytes", "string", "bytes1", "bytes32"]))
TYPES = st.recursive(
    PLAIN,
    lambda inner: st.one_of(
        inner.map(lambda kind: f"{kind}[]"),
        inner.map(lambda kind: f"{kind}[2]"),
        st.lists(inner, min_size=1, max_size=3).map(lambda kinds: f"({','.join(kinds)})"),
    ),
    max_leaves=5,
)


def members(kind: str) -> list[str]:
    found, depth = [""], 0
    for letter in kind:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and not depth:
            found.append("")
        else:
            found[-1] += letter
    return found


def values_of(kind: str) -> st.SearchStrategy[Any]:
    if kind.endswith("[]"):
        return st.lists(values_of(kind[:-2]), max_size=3).map(tuple)
    if kind.endswith("[2]"):
        return st.tuples(values_of(kind[:-3]), values_of(kind[:-3]))
    if kind.startswith("("):
        return st.tuples(*map(values_of, members(kind[1:-1])))
    if kind.startswith("uint"):
        return st.integers(0, (1 << int(kind[4:])) - 1)
    if kind.startswith("int"):
        return st.integers(-(1 << int(kind[3:]) - 1), (1 << int(kind[3:]) - 1) - 1)
    if kind.startswith("bytes") and kind != "bytes":
        return st.binary(min_size=int(kind[5:]), max_size=int(kind[5:]))
    address = st.binary(min_size=20, max_size=20).map(checksummed)
    return {"address": address, "bool": st.booleans(), "bytes": st.binary(max_size=70), "string": st.text()}[kind]


@given(st.data())
def test_every_value_is_encoded_as_by_eth_abi_and_comes_back(data: st.DataObject) -> None:
    types = data.draw(st.lists(TYPES, min_size=1, max_size=4))
    values = tuple(data.draw(values_of(kind)) for kind in types)
    encoded = encode_abi(types, values)
    assert encoded == encode(types, values)
    assert decode_abi(types, encoded) == values


@given(st.lists(TYPES, min_size=1, max_size=3), st.binary(max_size=400))
def test_any_bytes_are_values_or_an_abi_error(types: list[str], data: bytes) -> None:
    try:
        found = decode_abi(types, data)
    except AbiError:
        return
    assert decode_abi(types, encode_abi(types, found)) == found or "string" in str(types)


@given(st.lists(TYPES, min_size=1, max_size=3), st.binary(max_size=400), st.booleans())
def test_whatever_it_reads_eth_abi_reads_the_same(types: list[str], data: bytes, strict: bool) -> None:
    try:
        found = decode_abi(types, data, strict=strict)
    except AbiError:
        return
    with suppress(DecodingError, UnicodeDecodeError):  # it takes no text that is none
        assert repr(decode(types, data, strict)).lower() == repr(found).lower()  # but for addresses' checksums


@given(st.binary(min_size=20, max_size=20))
def test_addresses_are_spelled_with_their_checksum(address: bytes) -> None:
    assert checksummed(address) == to_checksum_address(address)


def test_signatures_of_all_contracts_hash_to_their_selectors_and_topics() -> None:
    for entry in (entry for contract in CONTRACTS for entry in abi(contract)):
        found: Any = entry
        if entry["type"] == "event":
            assert signature_hash(entry) == event_abi_to_log_topic(found)
        elif entry["type"] in ("function", "error"):
            assert signature_hash(entry)[:4] == function_abi_to_4byte_selector(found)


def test_a_structs_type_is_spelled_out() -> None:
    parts = [{"type": "uint8"}, {"type": "tuple[]", "components": [{"type": "address"}, {"type": "bytes"}]}]
    assert abi_types([{"type": "tuple[2]", "components": parts}]) == ["(uint8,(address,bytes)[])[2]"]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("uint8", 256), ("uint8", -1), ("uint8", True), ("uint8", "1"), ("int8", 128), ("bool", 1),
        ("bytes32", b"short"), ("bytes32", bytes(33)), ("bytes32", "0x" + "00" * 32), ("bytes", "text"),
        ("string", b"bytes"), ("address", "0x12"), ("address", bytes(20)), ("uint8[2]", [1]), ("uint8[]", 1),
        ("uint8[]", b"12"), ("(uint8,uint8)", (1,)), ("(uint8,uint8)", None), ("bytes[]", b"ab"),
    ],
)  # fmt: skip
def test_what_is_no_value_of_its_type_is_refused(kind: str, value: object) -> None:
    with pytest.raises(AbiError):
        encode_abi([kind], [value])


@pytest.mark.parametrize("kind", ["uint7", "uint264", "bytes33", "function", "()", "uint8[0]", "uint8[", "tuple"])
def test_types_that_are_not_known_are_refused(kind: str) -> None:
    with pytest.raises(AbiError, match="no type"):
        decode_abi([kind], bytes(64))


@pytest.mark.parametrize(
    ("kind", "word"),
    [("uint8", 256), ("bool", 2), ("address", 1 << 160), ("bytes1", 1), ("int8", 128), ("bytes", 1 << 255),
     ("bytes", 64), ("string", 1 << 200), ("uint8[]", 1 << 255)],
)  # fmt: skip
def test_words_that_solidity_reverts_on_are_refused(kind: str, word: int) -> None:
    with pytest.raises(AbiError):
        decode_abi([kind], word.to_bytes(32, "big"))


def test_text_that_is_no_text_is_shown_as_far_as_it_is() -> None:
    assert decode_abi(["string"], encode(["bytes"], [b"host\xff:1"])) == ("host\ufffd:1",)


def test_a_little_that_states_much_is_refused() -> None:
    """Offsets that all lead to one long value would make gigabytes of it."""
    count = 20_000
    words = [32, count] + [count * 32] * count + [640_000]
    data = b"".join(word.to_bytes(32, "big") for word in words) + bytes(640_000)
    with pytest.raises(AbiError):
        decode_abi(["bytes[]"], data)


def test_every_type_of_every_contract_is_known() -> None:
    entries: list[Any] = [entry for contract in CONTRACTS for entry in abi(contract)]
    for entry in entries:
        for kind in abi_types([*entry.get("inputs", []), *entry.get("outputs", [])]):
            with pytest.raises(AbiError, match=r"."):
                decode_abi([kind], b"\xff" * 31)


def test_bytes_that_end_otherwise_than_solidity_packs_them_are_read_on_request() -> None:
    data = encode(["bytes"], [b"\x07" * 65])[:-1] + b"\x01"
    with pytest.raises(AbiError):
        decode_abi(["bytes"], data)
    assert decode_abi(["bytes"], data, strict=False) == (b"\x07" * 65,)
