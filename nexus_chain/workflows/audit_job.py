"""What the process of an audit is told: see ``audit_process``. Whoever starts one imports no solver and no engine."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from nexus_chain.settings import Settings, typed

AUDIT_PROCESS = (sys.executable, "-m", "nexus_chain.workflows.audit_process")
"""The command."""


@dataclass(frozen=True)
class AuditJob:
    """What is audited, with whose settings. ``sample``: see AuditRequest; nothing is trained again."""

    settings: Settings
    cid: str
    sample: int

    def to_json(self) -> bytes:
        """One line. It may hold secrets: an RPC address often has a key in it."""
        plain = {name: _plain(value) for name, value in asdict(self.settings).items()}
        return json.dumps({"settings": plain, "cid": self.cid, "sample": self.sample}).encode() + b"\n"

    @classmethod
    def from_json(cls, line: bytes) -> AuditJob:
        """Inverse of ``to_json``. Raises ValueError, LookupError, SettingsError for anything else."""
        found = json.loads(line)
        kinds = {entry.name: str(entry.type) for entry in fields(Settings)}
        given = {name: value for name, value in found["settings"].items() if value is not None}
        settings = Settings(**{name: typed(name, kinds[name], value) for name, value in given.items()})
        return cls(settings, str(found["cid"]), int(found["sample"]))


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value
