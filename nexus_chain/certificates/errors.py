"""What can go wrong between a trained folder, its certificate and the blocks that hold both.

CertificateError
├── CertificateFormatError      a document is not canonical JSON of its schema
├── TrainedFolderError          a trained folder lacks something or contradicts itself
├── MeasurementError            a sample or a metric is not what is certified
└── BlockError
    ├── CidFormatError          not an address this project can verify
    ├── BlockMissingError       nobody asked has the block
    ├── BlockTamperedError      bytes that do not hash to their address
    ├── BlockStoreError         the embedded store's folder cannot be used
    ├── IpfsDaemonError         the daemon is down or refuses; the store keeps everything
    └── PinMismatchError        the daemon says it stored something else
"""

from __future__ import annotations

from nexus_chain.errors import NexusError


class CertificateError(NexusError):
    """Root of this package's errors."""


class CertificateFormatError(CertificateError):
    """A document is not canonical JSON, or not of its schema; the message names the field."""


class TrainedFolderError(CertificateError):
    """A trained folder lacks a file, or its files contradict each other."""


class MeasurementError(CertificateError):
    """A held-out sample or a measured figure is not what is certified."""


class BlockError(CertificateError):
    """Root of the errors about content-addressed blocks."""


class CidFormatError(BlockError):
    """A string is not a CIDv1 (base32, SHA-256, raw or dag-pb), or a block not a UnixFS file."""


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
