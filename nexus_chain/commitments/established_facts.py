"""What this machine has already checked, so that a restart need not check it again.

There is one small file for each subject, in a folder that only its owner can enter. A fact is remembered word for
word. If a subject's circumstances changed, such as a file's size or the prover's code, the subject is unknown again.
This file knows nothing of tensors or proofs; whoever asks decides what belongs into a fact.

Threat model: **whoever can write to this folder owns the node**, because a forged fact lets unchecked weights
through. The same is true of all of a node's data folder: its wallet could be replaced there. So the folder is created
with mode 0700. A folder that belongs to somebody else, or that others may write to, is refused. A fact about a file
holds against accidents: a copy cut short, a new download, an edit. All of these change the file's size, inode or
times. It does not hold against somebody who may set the system clock and write beneath the file system.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from nexus_chain.commitments.errors import EstablishedFactsError

Fact = Mapping[str, object]


class EstablishedFacts:
    """Facts in ``folder``, which is created if needed. Safe for several processes: the last writer wins."""

    def __init__(self, folder: Path) -> None:
        """Raises EstablishedFactsError when the folder is not private to this user."""
        self._folder = folder
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = folder.lstat()
        except OSError as error:
            raise EstablishedFactsError(
                f"{folder} cannot be used ({error})", advice="Free the path, or start with another data folder"
            ) from error
        # INVARIANT: nobody else can say that weights were verified.
        private = stat.S_ISDIR(found.st_mode) and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if not private or found.st_uid != os.getuid():
            raise EstablishedFactsError(
                f"others than you can write {folder}, where checks already done are remembered",
                advice=f"Delete it and start again, or run: chmod 700 {folder}",
            )

    def known(self, subject: str, fact: Fact) -> bool:
        """Whether exactly ``fact`` was established about ``subject``."""
        try:
            return self._path(subject).read_bytes() == _canonical(subject, fact)
        except OSError:
            return False

    def establish(self, subject: str, fact: Fact) -> None:
        """Remember ``fact``, forgetting what was known about ``subject``. A full disk forgets: it is no error."""
        path = self._path(subject)
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        try:
            partial.write_bytes(_canonical(subject, fact))
            partial.replace(path)
        except OSError:
            partial.unlink(missing_ok=True)

    def _path(self, subject: str) -> Path:
        return self._folder / f"{sha256(subject.encode()).hexdigest()}.json"


def _canonical(subject: str, fact: Fact) -> bytes:
    return json.dumps({"subject": subject, "fact": fact}, sort_keys=True).encode()
