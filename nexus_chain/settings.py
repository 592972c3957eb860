"""Which value a setting has, the same way in ``nexus``, in ``nexus-node`` and in ``nexus_chain.connect``.

The first of these that gives a value wins:

1. the flag of a command, or the argument in Python: ``--password-file``, ``password_file=``
2. the environment variable: ``NEXUS_PASSWORD_FILE``
3. the TOML file: ``password_file = "..."``
4. the default

A setting has one name in all of them. Knows neither chains nor wallets: it only says where they are.
"""

from __future__ import annotations

import logging
import math
import os
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import Field, dataclass, field, fields, replace
from difflib import get_close_matches
from itertools import zip_longest
from pathlib import Path
from typing import Any

from nexus_chain.errors import SettingsError
from nexus_chain.log_output import without_secrets

log = logging.getLogger(__name__)

DEFAULT_RPC = "http://127.0.0.1:8545"
VARIABLE_PREFIX = "NEXUS_"
SHORTEST_WAIT_SECONDS = 1.0
"""Of waiting for a transaction: a shorter wait is a mistake."""
DEFAULT, FILE = "default", "file"
"""Sources of a setting that are no flag and no variable."""
USER_FILE = "config.toml"
"""The user's TOML file in NEXUS_HOME."""


def nexus_home(environment: Mapping[str, str] = os.environ) -> Path:
    """The folder of everything that is kept: ``$NEXUS_HOME``, or ``~/.nexus``."""
    configured = environment.get("NEXUS_HOME")
    return expanded(configured) if configured else Path.home() / ".nexus"


def expanded(path: str | Path) -> Path:
    """The path with ``~`` spelled out. Raises SettingsError where it names a user who does not exist."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise SettingsError(f"{path}: there is no such user", advice="Write the folder without ~.") from None


def at_least(least: float, default: Any, *, most: float = math.inf) -> Any:
    """A field of settings that is a number of [least, most]."""
    return field(default=default, metadata={"least": least, "most": most})


@dataclass(frozen=True)
class Settings:
    """Where a user's chain, wallet and files are. Paths are absolute or relative to the working directory.

    ``rpc``: one address, or several with commas between, each asked where those before it fail. ``confirmations``:
    blocks, its own included, after which a transaction counts. ``transaction_timeout``: seconds to wait until it does.
    ``max_fee``: wei that one transaction's gas may cost.
    ``chain_id``: the chain that it has to be; None: whichever answers at ``rpc``. ``deployment``: the file of
    addresses; None: the one of the chain in ``home``. ``wallet``: the keystore; None: ``wallet.json`` in ``home``.
    ``password_file``: None: the password is asked for. ``model_dir``: looked at before ``home``'s models.
    ``ipfs``: a Kubo daemon. ``operators``: addresses of the only nodes that may take part; empty: anybody.
    """

    home: Path = field(default_factory=nexus_home)
    rpc: str = DEFAULT_RPC
    confirmations: int = at_least(1, 1)
    transaction_timeout: float = at_least(SHORTEST_WAIT_SECONDS, 120.0)
    max_fee: int = at_least(0, 10**18)
    chain_id: int | None = at_least(1, None)
    deployment: Path | None = None
    wallet: Path | None = None
    password_file: Path | None = None
    model_dir: Path | None = None
    ipfs: str | None = None
    operators: tuple[str, ...] = ()


SHARED = tuple(entry.name for entry in fields(Settings))
"""Names of the settings that have one spelling in every program."""


def load_settings(
    given: Mapping[str, Any], config: Path | None = None, environment: Mapping[str, str] = os.environ
) -> Settings:
    """A user's settings; ``given`` by flags or arguments, None where they were not.

    ``config``: the TOML file; None: ``NEXUS_CONFIG``, else ``config.toml`` in the home, which may be absent.
    Raises SettingsError.
    """
    rest = {name: value for name, value in given.items() if name != "home"}
    home, file, lines = _home_and_file(given, config, environment)
    return Settings(home=home, **merge(Settings, rest, lines, environment, fixed=("home",), path=file))


def explain_settings(
    given: Mapping[str, Any], config: Path | None = None, environment: Mapping[str, str] = os.environ
) -> list[Explained]:
    """The values that ``load_settings`` takes, and where each one comes from. Raises SettingsError."""
    rest = {name: value for name, value in given.items() if name != "home"}
    home, file, lines = _home_and_file(given, config, environment)
    found = resolve(Settings, rest, lines, environment, fixed=("home",), path=file)
    return [Explained("home", home, home_source(given, environment)), *explain(Settings(home), found, file)]


def _home_and_file(
    given: Mapping[str, Any], config: Path | None, environment: Mapping[str, str]
) -> tuple[Path, Path, dict[str, Any]]:
    """The home, the TOML file and what it says."""
    home = expanded(given.get("home") or nexus_home(environment))
    named = config or environment.get("NEXUS_CONFIG") or None
    file = expanded(named) if named else home / USER_FILE
    return home, file, read_toml(file, required=named is not None)


def home_source(given: Mapping[str, Any], environment: Mapping[str, str]) -> str:
    """What named the home."""
    return "--home" if given.get("home") else "NEXUS_HOME" if environment.get("NEXUS_HOME") else DEFAULT


@dataclass(frozen=True)
class Explained:
    """A setting's value and its ``source``: a flag, a variable, a file, or DEFAULT."""

    name: str
    value: Any
    source: str

    @property
    def shown(self) -> str:
        """The value as people see it: RPC addresses without the keys that stand in them."""
        return ",".join(without_secrets(part) for part in str(self.value).split(","))


def explain(defaults: Any, found: Mapping[str, Explained], file: Path) -> list[Explained]:
    """Every setting of the dataclass object ``defaults``, those that nothing gives too; ``file``: the TOML file."""
    every = [Explained(entry.name, getattr(defaults, entry.name), DEFAULT) for entry in fields(defaults)]
    chosen = [found.get(one.name, one) for one in every if one.name not in ("home", "data")]
    return [replace(one, source=str(file)) if one.source == FILE else one for one in chosen]


def merge(
    form: type[Any],
    given: Mapping[str, Any],
    file: Mapping[str, Any],
    environment: Mapping[str, str],
    *,
    fixed: Iterable[str] = (),
    variables: Callable[[str], Iterable[str]] = lambda name: [VARIABLE_PREFIX + name.upper()],
    old_names: Mapping[str, str] | None = None,
    path: Path | None = None,
) -> dict[str, Any]:
    """The values that something gives to fields of the dataclass ``form``, as the fields' types.

    ``fixed``: fields that are no settings. ``variables``: environment variables of a name, the most special one first.
    ``old_names``: spellings that are still read, with the name that each has now. ``path``: where ``file`` was read,
    for messages. Raises SettingsError.
    """
    found = resolve(form, given, file, environment, fixed=fixed, variables=variables, old_names=old_names, path=path)
    return {name: one.value for name, one in found.items()}


def resolve(
    form: type[Any],
    given: Mapping[str, Any],
    file: Mapping[str, Any],
    environment: Mapping[str, str],
    *,
    fixed: Iterable[str] = (),
    variables: Callable[[str], Iterable[str]] = lambda name: [VARIABLE_PREFIX + name.upper()],
    old_names: Mapping[str, str] | None = None,
    path: Path | None = None,
) -> dict[str, Explained]:
    """As ``merge``, each value with its source: a flag, a variable, or FILE. Raises SettingsError."""
    entries = {entry.name: entry for entry in fields(form) if entry.name not in tuple(fixed)}
    olds = {name: [old for old, new in (old_names or {}).items() if new == name] for name in entries}
    set_variables = {variable: value for variable, value in environment.items() if value}
    found: dict[str, Explained] = {}
    for name, entry in entries.items():
        current, former = list(variables(name)), [list(variables(old)) for old in olds[name]]
        ranked = [spelling for rank in zip_longest(current, *former) for spelling in rank if spelling is not None]
        spellings = [name, *olds[name]]
        if flag := _pick(given, spellings, [name]):
            source = "--" + flag[0].replace("_", "-")
            found[name] = Explained(name, _checked(entry, flag[1], source), source)
        elif variable := _pick(set_variables, ranked, current):
            found[name] = Explained(name, _checked(entry, variable[1], variable[0]), variable[0])
        elif line := _pick(file, spellings, [name]):
            found[name] = Explained(name, _checked(entry, line[1], str(path or FILE)), FILE)
    known = {*olds, *(old_names or {})}
    if unknown := sorted({*given, *file} - known):
        place = f" in {path}" if path and unknown[0] in file else ""
        near = get_close_matches(unknown[0].replace("-", "_"), known, 1)
        raise SettingsError(
            f"there is no setting {unknown[0]!r}{place}",
            advice=f"Did you mean {near[0]}?" if near else f"Settings are {', '.join(sorted(entries))}.",
        )
    return found


def _checked(entry: Field[Any], value: Any, source: str) -> Any:
    """A value as its field's type, within the field's range. Raises SettingsError, which names the source."""
    try:
        found = typed(entry.name, str(entry.type), value)
    except SettingsError as error:
        raise SettingsError(f"{error.message.rstrip('.')} ({source})", advice=error.advice) from None
    least, most = (entry.metadata.get(name) for name in ("least", "most"))
    if least is not None and not least <= found <= most:
        limit = f"{most:.0f} or less" if found > most else f"{least} or more"
        raise SettingsError(f"{entry.name} = {found} is out of range ({source})", advice=f"Give {limit}.")
    return found


def _pick(source: Mapping[str, Any], spellings: list[str], current: list[str]) -> tuple[str, Any] | None:
    """The first of ``spellings`` that has a value, with it; says so where that is none of the ``current`` ones."""
    for spelling in spellings:
        if (value := source.get(spelling)) is not None:
            if spelling not in current:
                log.warning("the setting %s is now spelled %s; the old spelling still works", spelling, current[0])
            return spelling, value
    return None


_KINDS = {"int": "a whole number", "float": "a number", "str": "a text", "Path": "a path", "tuple": "a list of texts"}


def typed(name: str, kind: str, value: Any) -> Any:
    """A value from a flag, variable or file as a field's type. Raises SettingsError."""
    try:
        if kind.startswith("Path"):
            return expanded(value)
        if kind.startswith("tuple"):
            words = value.split(",") if isinstance(value, str) else value
            if not isinstance(words, list | tuple):
                raise TypeError
            return tuple(word.strip() for entry in words for word in str(entry).split(",") if word.strip())
        if name == "rpc" and isinstance(value, list):
            return ",".join(map(str, value))
        if isinstance(value, bool | list | dict):
            raise TypeError
        if kind.startswith("int"):
            if isinstance(value, float):  # a part of a wei is no wei: never rounded
                raise TypeError
            return int(value)
        return _finite(value) if kind == "float" else str(value)
    except (TypeError, ValueError):
        wanted = next(words for beginning, words in _KINDS.items() if kind.startswith(beginning))
        raise SettingsError(f"{name} = {value!r} is not {wanted}", advice=f"Give {wanted}.") from None


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError
    return number


def read_toml(path: Path, *, required: bool) -> dict[str, Any]:
    """What a settings file says; nothing where it is absent and not ``required``. Raises SettingsError."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))  # as editors of Windows write it
    except FileNotFoundError:
        if not required:
            return {}
        raise SettingsError(f"there is no file {path}", advice="Give the path of a TOML file.") from None
    except NotADirectoryError:
        raise SettingsError(f"{path.parent} is no folder", advice="Give the path of a folder.") from None
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path} cannot be read ({error})", advice="Write name = value lines (TOML).") from error
