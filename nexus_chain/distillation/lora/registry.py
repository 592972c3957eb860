"""Every version of a model, which of them is deployed, and which were before it: one file, written whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from nexus_chain.distillation.lora.errors import LearnedVersionError
from nexus_chain.distillation.lora.version import BASE_VERSION, LearnedVersion
from nexus_chain.errors import DataFolderBusyError
from nexus_chain.folder_lock import exclusive
from nexus_chain.json_text import parse_json
from nexus_chain.staging import write_whole

REGISTRY_FILE = "versions.json"


@dataclass(frozen=True)
class RegistryState:
    """``deployed``: numbers of versions in the order they were deployed; the last one is in use."""

    versions: tuple[LearnedVersion, ...] = ()
    deployed: tuple[int, ...] = (BASE_VERSION,)

    @property
    def in_use(self) -> int:
        """The number of the deployed version; 0: the base model."""
        return self.deployed[-1]


@dataclass(frozen=True)
class VersionRegistry:
    """The versions kept in ``folder``. Methods that change it read it again first, and hold its lock.

    All raise LearnedVersionError; those that write raise OSError besides.
    """

    folder: Path

    def state(self) -> RegistryState:
        """As it is on the disk."""
        path = self.folder / REGISTRY_FILE
        if not path.exists():
            return RegistryState()
        try:
            document = parse_json(path.read_bytes())
            versions = tuple(LearnedVersion.from_json(one) for one in document["versions"])
            return RegistryState(versions, tuple(int(one) for one in document["deployed"]) or (BASE_VERSION,))
        except (OSError, ValueError, KeyError, TypeError) as cause:
            raise LearnedVersionError(
                f"the registry {path} cannot be read ({cause})", advice="Restore it from a backup."
            ) from cause

    def get(self, number: int) -> LearnedVersion:
        """The version of that number."""
        for one in self.state().versions:
            if one.version == number:
                return one
        known = ", ".join(str(one.version) for one in self.state().versions) or "none"
        raise LearnedVersionError(f"there is no version {number}", advice=f"Known are: {known}.")

    def add(self, version: LearnedVersion) -> LearnedVersion:
        """Keep a new version; returns it with its number, the next that is free (0 stays the base model's)."""
        with self._changing() as state:
            if version.version != BASE_VERSION:
                numbers = [one.version for one in state.versions]
                version = replace(version, version=max([BASE_VERSION, *numbers]) + 1)
            elif any(one.version == BASE_VERSION for one in state.versions):
                raise LearnedVersionError("the base model is a version already", advice="Update it instead.")
            self._write(replace(state, versions=(*state.versions, version)))
        return version

    def update(self, version: LearnedVersion) -> None:
        """Replace the record of the version of that number."""
        self.get(version.version)
        with self._changing() as state:
            versions = tuple(version if one.version == version.version else one for one in state.versions)
            self._write(replace(state, versions=versions))

    def set_deployed(self, number: int) -> None:
        """Put a version to use; the base model may be unrecorded."""
        if number != BASE_VERSION:
            self.get(number)
        with self._changing() as state:
            if number != state.in_use:
                self._write(replace(state, deployed=(*state.deployed, number)))

    @contextmanager
    def _changing(self) -> Iterator[RegistryState]:
        try:
            with exclusive(self.folder):
                yield self.state()
        except DataFolderBusyError as cause:
            raise LearnedVersionError(
                f"another program changes {self.folder}", advice="Try again in a moment."
            ) from cause

    def _write(self, state: RegistryState) -> None:
        document = {"deployed": list(state.deployed), "versions": [one.to_json() for one in state.versions]}
        write_whole(self.folder / REGISTRY_FILE, json.dumps(document, indent=1) + "\n")
