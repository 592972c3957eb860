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
from dataclasses import dataclass, field, fields, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from nexus_chain.errors import SettingsError
from nexus_chain.log_output import without_secrets

log = logging.getLogger(__name__)

DEFAULT_RPC = "http://127.0.0.1:8545"
VARIABLE_PREFIX = "NEXUS_"
DEFAULT, FILE = "default", "file"
"""Sources of a setting that are no flag and no variable."""
USER_FILE = "config.toml"
"""The user's TOML file in NEXUS_HOME."""


def nexus_home(environment: Mapping[str, str] = os.environ) -> Path:
    """The folder of everything that is kept: ``$NEXUS_HOME``, or ``~/.nexus``."""
    configured = environment.get("NEXUS_HOME")
    return Path(configured).expanduser() if configured else Path.home() / ".nexus"


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
    confirmations: int = 1
    transaction_timeout: float = 120.0
    max_fee: int = 10**18
    chain_id: int | None = None
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
    home, _, lines = _home_and_file(given, config, environment)
    return Settings(home=home, **merge(Settings, rest, lines, environment, fixed=("home",)))


def explain_settings(
    given: Mapping[str, Any], config: Path | None = None, environment: Mapping[str, str] = os.environ
) -> list[Explained]:
    """The values that ``load_settings`` takes, and where each one comes from. Raises SettingsError."""
    rest = {name: value for name, value in given.items() if name != "home"}
    home, file, lines = _home_and_file(given, config, environment)
    found = resolve(Settings, rest, lines, environment, fixed=("home",))
    return [Explained("home", home, home_source(given, environment)), *explain(Settings(home), found, file)]


def _home_and_file(
    given: Mapping[str, Any], config: Path | None, environment: Mapping[str, str]
) -> tuple[Path, Path, dict[str, Any]]:
    """The home, the TOML file and what it says."""
    home = Path(given.get("home") or nexus_home(environment)).expanduser()
    named = config or (Path(environment["NEXUS_CONFIG"]) if environment.get("NEXUS_CONFIG") else None)
    file = named or home / USER_FILE
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
) -> dict[str, Any]:
    """The values that something gives to fields of the dataclass ``form``, as the fields' types.

    ``fixed``: fields that are no settings. ``variables``: environment variables of a name, the most special one first.
    ``old_names``: spellings that are still read, with the name that each has now. Raises SettingsError.
    """
    found = resolve(form, given, file, environment, fixed=fixed, variables=variables, old_names=old_names)
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
) -> dict[str, Explained]:
    """As ``merge``, each value with its source: a flag, a variable, or FILE. Raises SettingsError."""
    kinds = {entry.name: str(entry.type) for entry in fields(form) if entry.name not in tuple(fixed)}
    olds = {name: [old for old, new in (old_names or {}).items() if new == name] for name in kinds}
    set_variables = {variable: value for variable, value in environment.items() if value}
    found: dict[str, Explained] = {}
    for name, kind in kinds.items():
        current, former = list(variables(name)), [list(variables(old)) for old in olds[name]]
        ranked = [spelling for rank in zip_longest(current, *former) for spelling in rank if spelling is not None]
        spellings = [name, *olds[name]]
        if flag := _pick(given, spellings, [name]):
            found[name] = Explained(name, typed(name, kind, flag[1]), "--" + flag[0].replace("_", "-"))
        elif variable := _pick(set_variables, ranked, current):
            found[name] = Explained(name, typed(name, kind, variable[1]), variable[0])
        elif line := _pick(file, spellings, [name]):
            found[name] = Explained(name, typed(name, kind, line[1]), FILE)
    if unknown := sorted({*given, *file} - {*olds, *(old_names or {})}):
        raise SettingsError(f"there is no setting {unknown[0]!r}", advice=f"Settings are {', '.join(sorted(kinds))}.")
    return found


def _pick(source: Mapping[str, Any], spellings: list[str], current: list[str]) -> tuple[str, Any] | None:
    """The first of ``spellings`` that has a value, with it; says so where that is none of the ``current`` ones."""
    for spelling in spellings:
        if (value := source.get(spelling)) is not None:
            if spelling not in current:
                log.warning("the setting %s is now spelled %s; the old spelling still works", spelling, current[0])
            return spelling, value
    return None


def typed(name: str, kind: str, value: Any) -> Any:
    """A value from a flag, variable or file as a field's type. Raises SettingsError."""
    try:
        if kind.startswith("Path"):
            return Path(value).expanduser()
        if kind.startswith("tuple"):
            words = value.split(",") if isinstance(value, str) else value
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
        article = "an" if kind.startswith("int") else "a"
        expected = kind.removesuffix(" | None")
        raise SettingsError(
            f"{name} = {value!r} is not {article} {expected}", advice=f"Give {article} {expected}."
        ) from None


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError
    return number


def read_toml(path: Path, *, required: bool) -> dict[str, Any]:
    """What a settings file says; nothing where it is absent and not ``required``. Raises SettingsError."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if not required:
            return {}
        raise SettingsError(f"there is no file {path}", advice="Give the path of a TOML file.") from None
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path} cannot be read ({error})", advice="Write name = value lines (TOML).") from error
