"""CIDv1: content addresses as IPFS writes them, for the two kinds of block a file consists of.

    binary = 0x01 || codec || 0x12 0x20 || SHA-256        text = "b" || base32 lower case, unpadded

codec 0x55 is a raw block (file bytes), 0x70 a dag-pb node (links). Anything else is refused:
an address that cannot be verified here is of no use to an auditor.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from hashlib import sha256

from nexus_chain.content.errors import BlockTamperedError, CidFormatError

RAW = 0x55
DAG_PB = 0x70
_PREFIX_BYTES = 4
_CID_BYTES = _PREFIX_BYTES + 32


@dataclass(frozen=True)
class Cid:
    """Address of one block. ``str`` gives its canonical text, ``Cid.parse`` reads it."""

    codec: int
    digest: bytes

    def __post_init__(self) -> None:
        if self.codec not in (RAW, DAG_PB) or len(self.digest) != 32:
            raise CidFormatError(
                f"codec {self.codec:#x} with a hash of {len(self.digest)} bytes is not supported",
                advice="Use CIDv1 with SHA-256, raw or dag-pb: `ipfs add --cid-version=1` makes those",
            )

    @classmethod
    def of(cls, block: bytes | memoryview, codec: int = RAW) -> Cid:
        """The address of a block."""
        return cls(codec, sha256(block).digest())

    @classmethod
    def parse(cls, text: str) -> Cid:
        """Read the text form; CidFormatError for anything but the one canonical spelling."""
        try:
            data = base64.b32decode(text[1:].upper() + "=" * (-(len(text) - 1) % 8))
            cid = cls.from_bytes(data)
        except (binascii.Error, ValueError) as error:
            raise _not_a_cid(text) from error
        if str(cid) != text:
            raise _not_a_cid(text)
        return cid

    @classmethod
    def from_bytes(cls, data: bytes) -> Cid:
        """Read the binary form (as links in dag-pb nodes have it)."""
        if len(data) != _CID_BYTES or data[0] != 1 or data[2:_PREFIX_BYTES] != b"\x12\x20":
            raise _not_a_cid(data.hex())
        return cls(data[1], data[_PREFIX_BYTES:])

    def to_bytes(self) -> bytes:
        """The binary form."""
        return bytes([1, self.codec, 0x12, 0x20]) + self.digest

    def check(self, block: bytes) -> bytes:
        """``block`` itself when it has this address; BlockTamperedError otherwise."""
        if sha256(block).digest() != self.digest:
            raise BlockTamperedError(
                f"the bytes received for {self} hash to {Cid.of(block, self.codec)}",
                advice="Fetch the block from another source; this one is damaged or lies",
            )
        return block

    def __str__(self) -> str:
        return "b" + base64.b32encode(self.to_bytes()).decode().lower().rstrip("=")


def _not_a_cid(text: str) -> CidFormatError:
    return CidFormatError(
        f"{text[:80]!r} is not a CID this program can verify",
        advice="Give a CIDv1 in base32 (it begins with bafkrei or bafybei); "
        "`ipfs cid format -v 1 -b base32` converts others",
    )
