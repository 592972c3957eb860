"""Documents hash as EIP-712 says, sign with low s, and have exactly one JSON spelling."""

from __future__ import annotations

from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils.crypto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_chain.market.documents import (
    Ask,
    Document,
    Domain,
    Line,
    Order,
    Receipt,
    TokenFeed,
    Voucher,
    address_of,
    recover,
    require_signer,
    sign,
)
from nexus_chain.market.eip712 import SECP256K1_ORDER
from nexus_chain.market.errors import BadSignatureError, DocumentFormatError, WrongSignerError

KEY = bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
DOMAIN = Domain(31337, "0x5FbDB2315678afecb367f032d93F642f64180aa3")


def uint(bits: int) -> st.SearchStrategy[int]:
    return st.integers(0, 2**bits - 1)


bytes32 = st.binary(min_size=32, max_size=32)
addresses = st.binary(min_size=20, max_size=20).map(lambda raw: "0x" + raw.hex())
asks = st.builds(Ask, uint(16), uint(16), uint(128))
lines = st.builds(Line, addresses, uint(128))
DOCUMENTS: dict[type[Document], st.SearchStrategy[Any]] = {
    Ask: asks,
    Line: lines,
    Order: st.builds(
        Order,
        bytes32,
        bytes32,
        bytes32,
        bytes32,
        uint(32),
        bytes32,
        uint(32),
        uint(128),
        st.lists(asks, max_size=4).map(tuple),
        uint(64),
    ),
    TokenFeed: st.builds(TokenFeed, bytes32, uint(32), bytes32),
    Receipt: st.builds(
        Receipt,
        bytes32,
        addresses,
        uint(16),
        uint(32),
        uint(32),
        bytes32,
        bytes32,
        st.lists(bytes32, max_size=4).map(tuple),
        uint(128),
    ),
    Voucher: st.builds(Voucher, bytes32, st.lists(lines, max_size=5).map(tuple)),
}
any_document = st.one_of(*DOCUMENTS.values())
domains = st.builds(Domain, uint(64), addresses)


@settings(max_examples=200, deadline=None)
@given(document=any_document, domain=domains)
def test_digest_is_what_eth_account_computes(document: Document, domain: Domain) -> None:
    message = document.to_typed_data(domain)
    signable = encode_typed_data(full_message=message)
    assert signable.header == domain.separator
    assert signable.body == document.struct_hash()
    assert document.digest(domain) == keccak(b"\x19\x01" + signable.header + signable.body)


@settings(max_examples=50, deadline=None)
@given(document=any_document)
def test_json_round_trip_is_exact(document: Document) -> None:
    assert type(document).from_dict(document.to_dict()) == document
    assert type(document).from_json(document.to_json()) == document


@settings(max_examples=25, deadline=None)
@given(document=any_document, key=st.integers(1, SECP256K1_ORDER - 1).map(lambda k: k.to_bytes(32, "big")))
def test_signature_recovers_and_equals_eth_account(document: Document, key: bytes) -> None:
    signature = sign(document, key, DOMAIN)
    assert recover(document, signature, DOMAIN) == address_of(key) == Account.from_key(key).address
    signable = encode_typed_data(full_message=document.to_typed_data(DOMAIN))
    assert signature == bytes(Account.sign_message(signable, key).signature)


def feed(to: int = 3) -> TokenFeed:
    return TokenFeed(bytes(32), to, b"\x01" * 32)


def test_high_s_is_refused() -> None:
    signature = sign(feed(), KEY, DOMAIN)
    s = SECP256K1_ORDER - int.from_bytes(signature[32:64], "big")
    flipped = signature[:32] + s.to_bytes(32, "big") + bytes([55 - signature[64]])
    with pytest.raises(BadSignatureError, match="upper half"):
        recover(feed(), flipped, DOMAIN)


@pytest.mark.parametrize("mutate", [lambda s: s[:64], lambda s: s[:64] + b"\x01", lambda s: bytes(64) + s[64:]])
def test_malformed_signature_is_refused(mutate: Any) -> None:
    with pytest.raises(BadSignatureError):
        recover(feed(), mutate(sign(feed(), KEY, DOMAIN)), DOMAIN)


def test_another_document_chain_or_key_is_a_wrong_signer() -> None:
    signature, signer = sign(feed(), KEY, DOMAIN), address_of(KEY)
    require_signer(feed(), signature, DOMAIN, signer.lower())
    for document, domain, expected in [
        (feed(4), DOMAIN, signer),
        (feed(), Domain(1, DOMAIN.verifying_contract), signer),
        (feed(), DOMAIN, address_of(b"\x02" * 32)),
    ]:
        with pytest.raises(WrongSignerError, match="signed by"):
            require_signer(document, signature, domain, expected)


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ("to", -1),
        ("to", 2**32),
        ("to", True),
        ("to", "3"),
        ("to", 3.0),
        ("root", "0x00"),
        ("root", "0x" + "AB" * 32),
        ("root", 5),
        ("extra", 1),
    ],
)
def test_other_spellings_of_a_document_are_refused(change: str, value: Any) -> None:
    with pytest.raises(DocumentFormatError):
        TokenFeed.from_dict(feed().to_dict() | {change: value})


def test_large_integers_are_decimal_strings_and_only_those() -> None:
    large = Line(address_of(KEY), 2**53)
    assert large.to_dict()["cumulative"] == str(2**53)
    assert Line(address_of(KEY), 2**53 - 1).to_dict()["cumulative"] == 2**53 - 1
    for wrong in (2**53, "7", "0" + str(2**60)):
        with pytest.raises(DocumentFormatError):
            Line.from_dict(large.to_dict() | {"cumulative": wrong})


def test_address_must_be_checksummed_in_json() -> None:
    line = Line(address_of(KEY).lower(), 1)
    assert line.node == address_of(KEY)
    with pytest.raises(DocumentFormatError):
        Line.from_dict(line.to_dict() | {"node": line.node.lower()})


@pytest.mark.parametrize("text", ["", "[]", "3", "{", '{"to":1}', "[" * 100_000])
def test_hostile_json_is_a_format_error(text: str) -> None:
    with pytest.raises(DocumentFormatError):
        Voucher.from_json(text)


def test_fields_are_checked_at_construction() -> None:
    with pytest.raises(DocumentFormatError, match=r"Ask\.layerStart"):
        Ask(2**16, 1, 1)
    with pytest.raises(DocumentFormatError, match=r"Voucher\.session"):
        Voucher(b"short", ())
    with pytest.raises(DocumentFormatError, match="not an address"):
        Line("0x12", 1)
    with pytest.raises(DocumentFormatError, match=r"Order\.asks"):
        Order(bytes(32), bytes(32), bytes(32), bytes(32), 1, bytes(32), 0, 1, (3,), 1)  # type: ignore[arg-type]


def test_amount_for_takes_the_highest_line() -> None:
    node = address_of(KEY)
    voucher = Voucher(bytes(32), (Line(node, 5), Line(node, 9), Line(address_of(b"\x03" * 32), 11)))
    assert voucher.amount_for(node.lower()) == 9
    assert voucher.amount_for(address_of(b"\x04" * 32)) == 0
