"""Node profiles and experts' histograms as people write them: JSON files for ``nexus model plan``.

    [{"node": "a", "memory": "8GiB", "tokens_per_second": 12.5,
      "measured_layers": [0, 11], "hop_ms": 4, "disk": "1GB"}, ...]

The last three may be left out; ``disk`` is read per second. A histogram is {"LAYER": [uses, ...], ...}.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nexus_chain.byte_sizes import parse_size
from nexus_chain.errors import NexusError
from nexus_chain.json_text import parse_json
from nexus_chain.planning.errors import PlanInputError
from nexus_chain.planning.experts import Histogram
from nexus_chain.planning.placement import NodeProfile

_FIELDS = {"node", "memory", "tokens_per_second", "measured_layers", "hop_ms", "disk"}


def read_profiles(path: Path) -> list[NodeProfile]:
    """The nodes of a JSON file. Raises PlanInputError, which names the entry."""
    entries = _read(path)
    if not isinstance(entries, list):
        raise PlanInputError(f"{path} holds no list of nodes", advice=f"Write [{{{_example()}}}, ...].")
    return [_profile(path, number, entry) for number, entry in enumerate(entries, 1)]


def read_histogram(path: Path) -> Histogram:
    """Expert uses by layer of a JSON file. Raises PlanInputError."""
    content = _read(path)
    try:
        return {int(layer): [_whole(count) for count in row] for layer, row in content.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise PlanInputError(
            f"{path} is no histogram of experts ({error})", advice='Write {"0": [uses of expert 0, of expert 1, ...]}.'
        ) from error


def write_histogram(uses: Histogram, path: Path) -> None:
    """Write what ``read_histogram`` reads."""
    path.write_text(json.dumps({str(layer): list(row) for layer, row in sorted(uses.items())}) + "\n")


def _read(path: Path) -> Any:
    try:
        return parse_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise PlanInputError(f"{path} cannot be read ({error})", advice="Give a JSON file.") from error


def _profile(path: Path, number: int, entry: Any) -> NodeProfile:
    try:
        if unknown := sorted(set(entry) - _FIELDS):
            raise ValueError(f"unknown field {unknown[0]!r}")
        return _parsed(entry)
    except (LookupError, TypeError, ValueError, AttributeError, NexusError) as error:
        why = f"no field {error}" if isinstance(error, KeyError) else str(error)
        raise PlanInputError(f"node {number} of {path}: {why}", advice=f"Write {{{_example()}}}.") from error


def _parsed(entry: Mapping[str, Any]) -> NodeProfile:
    layers = entry.get("measured_layers")
    return NodeProfile(
        node_id=str(entry["node"]),
        memory_bytes=parse_size(str(entry["memory"])),
        tokens_per_second=float(entry["tokens_per_second"]),
        measured_layers=None if layers is None else (_whole(layers[0]), _whole(layers[1])),
        hop_seconds=float(entry.get("hop_ms", 0)) / 1000,
        disk_bytes_per_second=parse_size(str(entry.get("disk", 0))),
    )


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{value!r} is no whole number")
    return value


def _example() -> str:
    return '"node": "a", "memory": "8GiB", "tokens_per_second": 12.5'
