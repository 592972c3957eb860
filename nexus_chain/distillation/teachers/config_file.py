"""``teachers.toml``: the teachers, the budget and the record, without a key in it.

    budget_usd = 5.00
    state_file = "teachers.sqlite"

    [[teacher]]
    name = "groq"
    preset = "groq"                 # or endpoint = "https://…", and protocol = "anthropic" where it is that
    model = "openai/gpt-oss-120b"
    api_key_env = "GROQ_API_KEY"    # or api_key_file = "groq.key"
    free = true
    rate_limit_rpm = 30
    requests_per_day = 1000

Every field of ``TeacherConfig`` and ``QuotaLimits`` is a setting of a teacher. Relative paths start at the file.
Without ``state_file`` the record is ``teachers.sqlite`` beside the file, as soon as there is a budget or a quota: they
hold for all starts together.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from pathlib import Path
from typing import Any

from nexus_chain.distillation.secret import Secret
from nexus_chain.distillation.teachers.config import QuotaLimits, TeacherConfig
from nexus_chain.distillation.teachers.errors import TeacherConfigError
from nexus_chain.distillation.teachers.presets import (
    TEACHER_PRESETS,
    LengthField,
    TeacherPreset,
    TeacherProtocol,
)

LARGEST_FILE = 1 << 20
"""Bytes."""
SPENDING_FILE = "teachers.sqlite"
_KINDS: Mapping[str, type] = {
    **{entry.name: int for entry in fields(QuotaLimits)},
    "name": str,
    "preset": str,
    "endpoint": str,
    "protocol": TeacherProtocol,
    "model": str,
    "api_key_env": str,
    "api_key_file": str,
    "cost_per_1k_tokens": Decimal,
    "input_cost_per_1k": Decimal,
    "output_cost_per_1k": Decimal,
    "rate_limit_rpm": int,
    "free": bool,
    "max_tokens": int,
    "length_field": LengthField,
    "temperature": float,
    "timeout_seconds": float,
    "max_answer_bytes": int,
    "max_text_characters": int,
    "prompt_overhead": int,
}
_NOT_FIELDS = ("preset", "api_key_env", "api_key_file")


@dataclass(frozen=True)
class TeachersFile:
    """What the file says; see ``TeacherAPIs`` for the fields."""

    configs: tuple[TeacherConfig, ...]
    budget_usd: Decimal | None
    state_file: Path | None


def read_teachers_file(path: Path) -> TeachersFile:
    """The teachers of a file. Raises TeacherConfigError, SecretError."""
    content = _content(path)
    if unknown := sorted(set(content) - {"budget_usd", "state_file", "teacher"}):
        raise _fault(
            path, f"there is no setting {unknown[0]!r}", "Settings are budget_usd, state_file and [[teacher]]."
        )
    entries = content.get("teacher", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise _fault(path, "teacher is no list of tables", "Begin each teacher with [[teacher]].")
    budget = content.get("budget_usd")
    configs = tuple(_config(path, entry) for entry in entries)
    limited = budget is not None or any(config.quota != QuotaLimits() for config in configs)
    state = content.get("state_file", SPENDING_FILE if limited else None)
    return TeachersFile(
        configs=configs,
        budget_usd=None if budget is None else _typed(path, "budget_usd", Decimal, budget),
        state_file=None if state is None else path.parent / _typed(path, "state_file", str, state),
    )


def _content(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
        if len(data) > LARGEST_FILE:
            raise ValueError("it is too large")
        return tomllib.loads(data.decode(), parse_float=Decimal)
    except OSError as error:
        told = error.strerror or "it cannot be opened"
    except (ValueError, RecursionError, ArithmeticError) as error:
        told = str(error)
    raise _fault(path, f"it cannot be read ({told})", "Write it as TOML, in UTF-8.")


def _config(path: Path, entry: Mapping[str, Any]) -> TeacherConfig:
    if "api_key" in entry:
        raise _fault(path, "it holds a key", "Name api_key_file or api_key_env instead, and make a new key.")
    for name in entry:
        if name not in _KINDS:
            raise _fault(path, f"a teacher has no setting {name!r}", f"Settings are {', '.join(sorted(_KINDS))}.")
    values = {name: _typed(path, name, _KINDS[name], value) for name, value in entry.items()}
    preset = _preset(path, values.get("preset"))
    quota = {entry.name for entry in fields(QuotaLimits)}
    given = {name: value for name, value in values.items() if name not in quota and name not in _NOT_FIELDS}
    start = {} if preset is None else {entry.name: getattr(preset, entry.name) for entry in fields(preset)}
    form = {"name": "", "endpoint": "", **start, **given}
    limits = QuotaLimits(**{name: value for name, value in values.items() if name in quota})
    return TeacherConfig(api_key=_key(path, values), quota=limits, **form)


def _preset(path: Path, name: str | None) -> TeacherPreset | None:
    if name is not None and name not in TEACHER_PRESETS:
        raise _fault(path, f"there is no preset {name!r}", f"Presets are {', '.join(TEACHER_PRESETS)}.")
    return None if name is None else TEACHER_PRESETS[name]


def _key(path: Path, values: Mapping[str, Any]) -> Secret | None:
    file, variable = values.get("api_key_file"), values.get("api_key_env")
    if file is not None and variable is not None:
        raise _fault(path, "a teacher has two keys", "Name api_key_file or api_key_env.")
    if file is not None:
        return Secret.from_file(path.parent / Path(file).expanduser())
    return None if variable is None else Secret.from_environment(variable)


def _typed(path: Path, name: str, kind: type, value: Any) -> Any:
    """A value of the file as a setting's type; nothing is guessed but whole numbers where a part is allowed."""
    if kind in (float, Decimal) and isinstance(value, int | Decimal) and not isinstance(value, bool):
        return kind(value)
    if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    if kind in (TeacherProtocol, LengthField) and value in [str(one) for one in kind]:
        return kind(value)
    raise _fault(path, f"the value of {name} is not understood", f"Give a value of the kind {kind.__name__}.")


def _fault(path: Path, what: str, advice: str) -> TeacherConfigError:
    return TeacherConfigError(f"{path}: {what}", advice=advice)
