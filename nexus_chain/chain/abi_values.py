"""Values of Solidity types as bytes, and back: the codec that every read uses.

``eth_abi`` encodes and decodes. Three things differ from its defaults: text of any bytes is shown as far as it is text,
addresses have their checksum, and bytesN are never filled up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eth_abi.codec import ABICodec
from eth_abi.decoding import AddressDecoder, StringDecoder
from eth_abi.encoding import BytesEncoder
from eth_abi.exceptions import DecodingError, EncodingError, ParseError
from eth_abi.registry import BaseEquals, registry
from eth_utils.abi import abi_to_signature, collapse_if_tuple

from nexus_chain.address import checksummed
from nexus_chain.keccak import keccak256

WORD_BYTES = 32
"""What a contract takes and returns is whole words."""


class AbiError(ValueError):
    """Raised when a value is none of its type, or bytes are no values of theirs."""


class AnyTextDecoder(StringDecoder):
    """Solidity strings are any bytes: one stranger's bad text must not hide everybody else's."""

    def __init__(self) -> None:
        super().__init__(handle_string_errors="replace")  # type: ignore[no-untyped-call]


class _CheckedAddressDecoder(AddressDecoder):
    decoder_fn = staticmethod(checksummed)  # type: ignore[assignment]


class _ExactBytesEncoder(BytesEncoder):
    """INVARIANT: who gives a hash that is too short made a mistake, and asks about nothing else."""

    def validate_value(self, value: Any) -> None:
        super().validate_value(value)  # type: ignore[no-untyped-call]
        if len(value) * 8 != self.value_bit_size:
            self.invalidate_value(value)


def encode_abi(types: Sequence[str], values: Sequence[Any]) -> bytes:
    """``abi.encode`` of ``values``. Raises AbiError."""
    try:
        return _CODEC.encode(types, values)
    except (EncodingError, ParseError, TypeError, ValueError) as error:
        raise AbiError(str(error)[:300]) from error


def decode_abi(types: Sequence[str], data: bytes, *, strict: bool = True) -> tuple[Any, ...]:
    """``abi.decode``: integers, bool, checksummed addresses, bytes, text, tuples. Raises AbiError.

    ``strict``: bytes and text end in zeros, as Solidity packs them. Contracts take them packed otherwise, too.
    """
    try:
        return _CODEC.decode(types, data, strict)
    except (DecodingError, ParseError, ValueError, OverflowError) as error:
        raise AbiError(str(error)[:300]) from error


def abi_types(entries: Sequence[Any]) -> list[str]:
    """The canonical types of a JSON ABI's inputs or outputs, structs spelled out."""
    return [collapse_if_tuple(entry) for entry in entries]


def signature_hash(entry: Any) -> bytes:
    """What a JSON ABI's event is known by on the chain; of functions and errors, it begins with their selector."""
    return keccak256(abi_to_signature(entry).encode())


def _codec() -> ABICodec:
    known = registry.copy()  # type: ignore[no-untyped-call]
    for label, decoder in (("string", AnyTextDecoder), ("address", _CheckedAddressDecoder)):
        known.unregister_decoder(label)
        known.register_decoder(label, decoder, label=label)
    known.unregister_encoder("bytes<M>")
    sized = BaseEquals("bytes", with_sub=True)  # type: ignore[no-untyped-call]
    known.register_encoder(sized, _ExactBytesEncoder, label="bytes<M>")
    return ABICodec(known)


_CODEC = _codec()
