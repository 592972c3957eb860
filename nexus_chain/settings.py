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
import os
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from nexus_chain.errors import SettingsError

log = logging.getLogger(__name__)

DEFAULT_RPC = "http://127.0.0.1:8545"
VARIABLE_PREFIX = "NEXUS_"
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
    ``chain_id``: the chain that it has to be; None: whichever answers at ``rpc``. ``deployment``: the file of
    addresses; None: the one of the chain in ``home``. ``wallet``: the keystore; None: ``wallet.json`` in ``home``.
    ``password_file``: None: the password is asked for. ``model_dir``: looked at before ``home``'s models.
    ``ipfs``: a Kubo daemon. ``operators``: addresses of the only nodes that may take part; empty: anybody.
    """

    home: Path = field(default_factory=nexus_home)
    rpc: str = DEFAULT_RPC
    confirmations: int = 1
    transaction_timeout: float = 120.0
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
    home = Path(given.get("home") or nexus_home(environment)).expanduser()
    named = config or (Path(environment["NEXUS_CONFIG"]) if environment.get("NEXUS_CONFIG") else None)
    file = read_toml(named or home / USER_FILE, required=named is not None)
    rest = {name: value for name, value in given.items() if name != "home"}
    return Settings(home=home, **merge(Settings, rest, file, environment, fixed=("home",)))


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
    kinds = {entry.name: str(entry.type) for entry in fields(form) if entry.name not in tuple(fixed)}
    olds = {name: [old for old, new in (old_names or {}).items() if new == name] for name in kinds}
    found: dict[str, Any] = {}
    for name, kind in kinds.items():
        current, former = list(variables(name)), [list(variables(old)) for old in olds[name]]
        ranked = [spelling for rank in zip(current, *former, strict=True) for spelling in rank]
        sources = (
            _pick(given, [name, *olds[name]], [name]),
            _pick({variable: value for variable, value in environment.items() if value}, ranked, current),
            _pick(file, [name, *olds[name]], [name]),
        )
        if (value := next((value for value in sources if value is not None), None)) is not None:
            found[name] = typed(name, kind, value)
    if unknown := sorted({*given, *file} - {*olds, *(old_names or {})}):
        raise SettingsError(f"there is no setting {unknown[0]!r}", advice=f"Settings are {', '.join(sorted(kinds))}.")
    return found


def _pick(source: Mapping[str, Any], spellings: list[str], current: list[str]) -> Any:
    """The value under the first of ``spellings`` that has one; says so where that is none of the ``current`` ones."""
    for spelling in spellings:
        if (value := source.get(spelling)) is not None:
            if spelling not in current:
                log.warning("the setting %s is now spelled %s; the old spelling still works", spelling, current[0])
            return value
    return None


def typed(name: str, kind: str, value: Any) -> Any:
    """A value from a flag, variable or file as a field's type. Raises SettingsError."""
    try:
        if kind.startswith("Path"):
            return Path(value).expanduser()
        if kind.startswith("tuple"):
            words = value.split(",") if isinstance(value, str) else value
            return tuple(word.strip() for entry in words for word in str(entry).split(",") if word.strip())
        if kind.startswith("int"):
            return int(value)
        if kind == "float":
            return float(value)
        return ",".join(map(str, value)) if isinstance(value, list) else str(value)
    except (TypeError, ValueError):
        article = "an" if kind.startswith("int") else "a"
        expected = kind.removesuffix(" | None")
        raise SettingsError(
            f"{name} = {value!r} is not {article} {expected}", advice=f"Give {article} {expected}."
        ) from None


def read_toml(path: Path, *, required: bool) -> dict[str, Any]:
    """What a settings file says; nothing where it is absent and not ``required``. Raises SettingsError."""
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        if not required:
            return {}
        raise SettingsError(f"there is no file {path}", advice="Give the path of a TOML file.") from None
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path} cannot be read ({error})", advice="Write name = value lines (TOML).") from error
