"""The embedded block store: blocks as files named by their CID; and what a source of blocks is.

A block is written whole or not at all and re-hashed whenever it is read, so neither a crash nor a
bad disk can pass off other bytes. Blocks are immutable: two processes may share one folder.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Protocol

from nexus_chain.content.cid import Cid
from nexus_chain.content.errors import BlockError, BlockMissingError, BlockStoreError
from nexus_chain.content.unixfs import blocks_of, children, read_chunks, read_file


class BlockSource(Protocol):
    """Anything that may have blocks: this store, an IPFS daemon, a gateway."""

    def get(self, cid: Cid) -> bytes:
        """The block's bytes (verified or not: readers verify). BlockMissingError where it has none."""


class BlockStore:
    """Blocks in the folder ``root``, created where it is missing."""

    def __init__(self, root: Path) -> None:
        self._root = root
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BlockStoreError(
                f"{root} cannot be created ({error})", advice="Choose a folder you may write"
            ) from error

    def put(self, cid: Cid, data: bytes) -> None:
        """Keep a block durably; BlockTamperedError when ``data`` is not what ``cid`` says."""
        path = self._path(cid)
        cid.check(data)
        if path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data:
            return
        partial = path.with_name(f".{path.name}.{os.getpid()}.{id(data):x}")
        try:
            path.parent.mkdir(exist_ok=True)
            with partial.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except OSError as error:
            raise BlockStoreError(
                f"{path} cannot be written ({error})", advice="Free some space, then retry"
            ) from error
        finally:
            partial.unlink(missing_ok=True)

    def get(self, cid: Cid) -> bytes:
        """A verified block; BlockMissingError where there is none, BlockTamperedError where it is damaged."""
        try:
            return cid.check(self._path(cid).read_bytes())
        except FileNotFoundError as error:
            raise BlockMissingError(
                f"the block store {self._root} has no {cid}",
                advice="Fetch it from an IPFS daemon or from its publisher",
            ) from error
        except OSError as error:
            raise BlockStoreError(f"{cid} cannot be read ({error})", advice="Check the disk and permissions") from error

    def add(self, source: BinaryIO) -> Cid:
        """Import a file as IPFS would; returns its address."""
        root = Cid.of(b"")
        for block in blocks_of(source):
            self.put(block.cid, block.data)
            root = block.cid
        return root

    def add_bytes(self, data: bytes) -> Cid:
        """Import bytes as a file."""
        return self.add(BytesIO(data))

    def add_path(self, path: Path) -> Cid:
        """Import the file at ``path``."""
        with path.open("rb") as source:
            return self.add(source)

    def _path(self, cid: Cid) -> Path:
        # The last characters are uniformly distributed, the first ones are all alike.
        name = str(cid)
        return self._root / name[-2:] / name


class FirstOf:
    """Several sources, asked in order until one has a block that fits its address."""

    def __init__(self, sources: Sequence[BlockSource]) -> None:
        self._sources = tuple(sources)

    def get(self, cid: Cid) -> bytes:
        """A verified block from the first source that has it."""
        problems = []
        for source in self._sources:
            try:
                return cid.check(source.get(cid))
            except (OSError, BlockError) as error:
                problems.append(str(error))
        raise BlockMissingError(
            f"no source has {cid} ({'; '.join(problems) or 'there is no source'})",
            advice="Ask the publisher for it, or name an IPFS daemon that can find it",
        )


class UntilLate:
    """``source`` until ``is_late`` says so; from then on it has nothing: many blocks may each come ever so slowly."""

    def __init__(self, source: BlockSource, is_late: Callable[[], bool]) -> None:
        self._source, self._is_late = source, is_late

    def get(self, cid: Cid) -> bytes:
        """As the source's. BlockMissingError when it is late."""
        if self._is_late():
            raise BlockMissingError("its blocks did not come in time", advice="Ask again later.")
        return self._source.get(cid)


def copy_file(source: BlockSource, root: Cid, store: BlockStore) -> None:
    """Bring every block of the file at ``root`` into ``store``, children first."""
    data = root.check(source.get(root))
    for child, _ in children(root, data):
        copy_file(source, child, store)
    store.put(root, data)


def fetch_file(source: BlockSource, cid: str | Cid, limit: int = 1 << 32) -> bytes:
    """The verified bytes of a file of at most ``limit`` bytes."""
    return read_file(source.get, Cid.parse(cid) if isinstance(cid, str) else cid, limit)


def fetch_chunks(source: BlockSource, cid: str | Cid, limit: int | None = None) -> Iterator[bytes]:
    """As ``fetch_file`` piece by piece, for files that may be larger than memory."""
    return read_chunks(source.get, Cid.parse(cid) if isinstance(cid, str) else cid, limit)
