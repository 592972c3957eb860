"""Which model an answer has to be of, by what its caller trusts: what a gateway calls a model proves nothing.

A gateway gives its models their names. So a request for a large model could be answered by a small one, and every
receipt would be right. The caller says which version is meant. The package's catalogue says it of the names that it
knows, as far as weights go: it knows neither their tokenizers nor their programs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from nexus_chain.chain.model_registry import ModelVersion
from nexus_chain.evidence.errors import ProofFileError
from nexus_chain.workflows.catalogue import catalogue
from nexus_chain.workflows.workspace import Workspace

_WHOLE_ID = re.compile(r"(?:0x)?([0-9a-f]{64})")


@dataclass(frozen=True)
class ExpectedModel:
    """A ``version`` by its id; where it is None, any version with the weights that the catalogue has for ``name``."""

    version: bytes | None = None
    name: str = ""
    weights_root: bytes | None = None

    def difference(self, version: bytes, record: ModelVersion | None) -> str:
        """How ``version``, which the order is over, is another model; empty where it is this one.

        ``record``: what the chain says of it; None: it is not asked.

        INVARIANT: a version that is not told to be the expected one is another.
        """
        found = f"the answer is of model version 0x{version.hex()}"
        if self.version is not None:
            return "" if version == self.version else f"{found} instead of 0x{self.version.hex()}"
        if record is not None and record.weights_root == self.weights_root is not None:
            return ""
        return f"{found}, whose weights are not those that the catalogue has for {self.name}"

    @property
    def unseen(self) -> str:
        """What was not compared although there is no difference; empty: nothing."""
        if self.version is not None:
            return ""
        return f"the weights are those of the catalogue's {self.name}; tokenizer and program only --version compares"


def expected_model(
    workspace: Workspace, name: str | None, version: str | None, judged: bytes, *, offline: bool
) -> ExpectedModel:
    """What the caller expects: ``version`` (an id or its beginning), else the catalogue's model of that ``name``.

    ``judged``: the version of the order, for the message. Raises ProofFileError where nothing tells, and
    ModelFilesError for a beginning that is none, or of several ids.
    """
    if version is not None:
        return ExpectedModel(_version(workspace, version, offline))
    entry = None if name is None or offline else catalogue().get(name)
    if entry is None or entry.weights_root is None:
        raise ProofFileError(
            f"the model was not compared, so nothing was: the answer is of version 0x{judged.hex()}, "
            f"and nothing here says whether that is {name!r}",
            advice="Give --version, the id of the version that you expect. `nexus models` lists those of the chain.",
        )
    return ExpectedModel(name=entry.name, weights_root=entry.weights_root)


def _version(workspace: Workspace, named: str, offline: bool) -> bytes:
    """The id that ``named`` is the beginning of; offline nothing says whether a beginning is that of one id only."""
    if (whole := _WHOLE_ID.fullmatch(named.lower())) is not None:
        return bytes.fromhex(whole[1])
    if offline:
        raise ProofFileError(
            f"{named} is no whole id of a model version", advice="Give all 64 digits: --offline asks no chain."
        )
    return workspace.library.choose(named)
