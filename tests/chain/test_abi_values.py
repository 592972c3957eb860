"""Values as the ABI has them: refused where they are bent, shown as far as they can be where they are strange."""

from __future__ import annotations

from typing import Any

import pytest
from eth_abi.abi import encode
from hypothesis import given
from hypothesis import strategies as st

from nexus_chain.chain.abi_values import AbiError, abi_types, decode_abi, encode_abi
from nexus_chain.chain.interfaces import CONTRACTS, abi

pytestmark = pytest.mark.fast

KINDS = [
    "uint8", "uint256", "int64", "address", "bool", "bytes", "string", "bytes1", "bytes32", "uint8[]", "string[2]",
    "(uint8,bytes)", "(address,bool)[]",
]  # fmt: skip


@given(st.lists(st.sampled_from(KINDS), min_size=1, max_size=3), st.binary(max_size=400))
def test_any_bytes_are_values_or_an_abi_error(types: list[str], data: bytes) -> None:
    try:
        found = decode_abi(types, data)
    except AbiError:
        return
    assert decode_abi(types, encode_abi(types, found)) == found


def test_addresses_have_their_checksum() -> None:
    address = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
    values = (address, (address,), ((address, True),))
    types = ["address", "address[]", "(address,bool)[]"]
    assert decode_abi(types, encode(types, values)) == values


def test_every_type_of_every_contract_is_known() -> None:
    entries: list[Any] = [entry for contract in CONTRACTS for entry in abi(contract)]
    for entry in entries:
        for kind in abi_types([*entry.get("inputs", []), *entry.get("outputs", [])]):
            with pytest.raises(AbiError, match=r"."):
                decode_abi([kind], b"\xff" * 31)


def test_a_structs_type_is_spelled_out() -> None:
    parts = [{"type": "uint8"}, {"type": "tuple[]", "components": [{"type": "address"}, {"type": "bytes"}]}]
    assert abi_types([{"type": "tuple[2]", "components": parts}]) == ["(uint8,(address,bytes)[])[2]"]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("uint8", 256), ("uint8", -1), ("uint8", True), ("uint8", "1"), ("int8", 128), ("bool", 1),
        ("bytes32", b"short"), ("bytes32", bytes(33)), ("bytes32", "0x" + "00" * 32), ("bytes", "text"),
        ("string", b"bytes"), ("address", "0x12"), ("uint8[2]", [1]), ("uint8[]", 1), ("(uint8,uint8)", (1,)),
        ("(uint8,uint8)", None), ("uint7", 1), ("bytes33", b""), ("uint8[", [1]), ("tuple", ()),
    ],
)  # fmt: skip
def test_what_is_no_value_of_its_type_is_refused(kind: str, value: object) -> None:
    with pytest.raises(AbiError):
        encode_abi([kind], [value])


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


def test_bytes_that_end_otherwise_than_solidity_packs_them_are_read_on_request() -> None:
    data = encode(["bytes"], [b"\x07" * 65])[:-1] + b"\x01"
    with pytest.raises(AbiError):
        decode_abi(["bytes"], data)
    assert decode_abi(["bytes"], data, strict=False) == (b"\x07" * 65,)
