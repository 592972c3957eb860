"""What this user's watcher learnt about nodes, as a file that routing reads.

The watcher writes the whole book whenever a record changed, at once or not at all; the client reads it
before every route. It holds counts by node address and nothing else.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nexus_chain.json_text import parse_json
from nexus_chain.market.documents import checksum
from nexus_chain.market.errors import DocumentFormatError
from nexus_chain.routing.errors import ReputationFileError
from nexus_chain.routing.reputation import ReputationBook, TrackRecord

_FORMAT = "nexus.reputation.v1"


def save_reputation(path: Path, book: ReputationBook) -> None:
    """Replace the file. Raises ReputationFileError."""
    records = {node: asdict(record) for node, record in book.records.items()}
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft.write_text(json.dumps({"format": _FORMAT, "records": records}, indent=1) + "\n")
        draft.replace(path)
    except OSError as error:
        raise ReputationFileError(
            f"{path} cannot be written: {error.strerror}", advice="Choose a place you can write to."
        ) from error


def load_reputation(path: Path) -> ReputationBook:
    """The book in the file; an empty one while no watcher wrote any. Raises ReputationFileError."""
    if not path.exists():
        return ReputationBook()
    try:
        data = parse_json(path.read_bytes())
        if data["format"] != _FORMAT:
            raise ValueError(f"format {data['format']!r} is not {_FORMAT}")
        return ReputationBook({checksum(node): _record(entry) for node, entry in data["records"].items()})
    except (OSError, KeyError, TypeError, ValueError, AttributeError, DocumentFormatError) as error:
        raise ReputationFileError(
            f"{path} is not a reputation file ({error})", advice="Delete it; the watcher writes it again."
        ) from error


def _record(entry: Any) -> TrackRecord:
    counts = {name: entry[name] for name in ("verified", "failed", "invalid")}
    if any(type(count) is not int or count < 0 for count in counts.values()) or type(entry["convicted"]) is not bool:
        raise ValueError("a record is not made of counts")
    return TrackRecord(**counts, convicted=entry["convicted"])
