"""Where figures go: a JSON file for each benchmark, with the machine, the commit and the day that they are of.

Knows no figure. ``scripts/write_benchmarks.py`` makes a page of the files.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build" / "bench"
#: Instructions that decide a comparison: integers gain from VNNI, bfloat16 is emulated where there is none.
INSTRUCTIONS = ("avx2", "avx512_vnni", "avx512_bf16", "avx_vnni", "amx_int8", "amx_bf16")


def write_record(path: Path, figures: Mapping[str, Any]) -> dict[str, Any]:
    """Write ``figures`` and ``run`` (see ``circumstances``) to ``path``; returns what was written. Raises OSError."""
    record = {**figures, "run": circumstances()}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=2) + "\n")
    return record


def circumstances() -> dict[str, Any]:
    """Processor, its generation (``family.model``), those of its INSTRUCTIONS, its cores, their load at the end, the
    commit and the day (UTC)."""
    fields = _processor_fields()
    flags = fields.get("flags", "").split()
    return {
        "processor": fields.get("model name", "unknown"),
        "generation": f"{fields.get('cpu family', '?')}.{fields.get('model', '?')}",
        "instructions": [name for name in INSTRUCTIONS if name in flags],
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "commit": commit(),
        "date": datetime.now(UTC).date().isoformat(),
    }


def commit() -> str:
    """The checked out commit, seven digits, with ``+`` where tracked files differ from it; ``unknown`` without git."""
    try:
        return _git("rev-parse", "--short=7", "HEAD") + ("+" if _git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*words: str) -> str:
    run = subprocess.run(["git", "-C", str(ROOT), *words], check=True, capture_output=True, text=True)
    return run.stdout.strip()


def _processor_fields() -> dict[str, str]:
    """The last processor's entry in /proc/cpuinfo; empty where there is no such file."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return {}
    pairs = (line.split(":", 1) for line in text.splitlines() if ":" in line)
    return {name.strip(): value.strip() for name, value in pairs}
