"""What can go wrong with content-addressed documents and blocks.

ContentError
├── CanonicalFormatError        a document is not canonical JSON of its schema
└── BlockError
    ├── CidFormatError          not an address this project can verify
    ├── CarFormatError          a file is no CAR archive of version 1
    ├── BlockMissingError       nobody asked has the block
    ├── BlockTamperedError      bytes that do not hash to their address
    ├── BlockStoreError         the embedded store's folder cannot be used
    ├── IpfsDaemonError         the daemon is down or refuses; the store keeps everything
    └── PinMismatchError        the daemon says it stored something else
"""

from __future__ import annotations

from nexus_chain.errors import NexusError


class ContentError(NexusError):
    """Root of this package's errors."""


class CanonicalFormatError(ContentError):
    """A document is not canonical JSON, or not of its schema; the message names the field."""


class BlockError(ContentError):
    """Root of the errors about content-addressed blocks."""


class CidFormatError(BlockError):
    """A string is not a CIDv1 (base32, SHA-256, raw or dag-pb), or a block not a UnixFS file."""


class CarFormatError(BlockError):
    """A file is no CAR archive of version 1, or holds addresses that cannot be verified."""


class BlockMissingError(BlockError):
    """A block is in none of the sources asked."""


class BlockTamperedError(BlockError):
    """Bytes do not hash to the CID under which they were kept or sent."""


class BlockStoreError(BlockError):
    """The embedded block store's folder cannot be read or written."""


class IpfsDaemonError(BlockError):
    """The IPFS daemon is unreachable or answered with an error."""


class PinMismatchError(BlockError):
    """The IPFS daemon reports another CID than the one computed here."""
