"""Which model an answer has to be of: what its caller says, else what the catalogue does; never a gateway's name."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from nexus_chain.chain.model_registry import ModelVersion, SemVer
from nexus_chain.evidence.errors import ProofFileError
from nexus_chain.versions.errors import ModelFilesError
from nexus_chain.workflows.catalogue import catalogue
from nexus_chain.workflows.expected_models import expected_model
from nexus_chain.workflows.library import ModelLibrary

pytestmark = pytest.mark.fast

VERSION, OTHER = bytes([7]) * 32, bytes([7, 8]) * 16
KNOWN = next(entry for entry in catalogue().values() if entry.weights_root is not None)
UNFIXED = next(entry for entry in catalogue().values() if entry.weights_root is None)


def record(weights_root: bytes) -> ModelVersion:
    return ModelVersion(weights_root, bytes(32), bytes(32), 1, 2, SemVer(1, 0, 0), "cid")


class Registered(ModelLibrary):
    """Two versions, whose ids begin alike."""

    def __init__(self) -> None:
        pass

    def versions(self) -> Any:
        return iter([(VERSION, record(bytes(32))), (OTHER, record(bytes(32)))])


WORKSPACE: Any = SimpleNamespace(library=Registered())


@pytest.mark.parametrize("named", ["0x" + VERSION.hex(), VERSION.hex().upper(), "0x0707"])
def test_the_caller_says_the_version(named: str) -> None:
    found = expected_model(WORKSPACE, KNOWN.name, named, OTHER, offline=False)
    assert (found.difference(VERSION, record(bytes(32))), found.unseen) == ("", "")
    assert "instead of 0x0707" in found.difference(OTHER, record(KNOWN.weights_root or b""))


def test_a_beginning_that_may_mean_several_is_refused() -> None:
    with pytest.raises(ModelFilesError, match="2 registered"):
        expected_model(WORKSPACE, None, "0x07", VERSION, offline=False)
    with pytest.raises(ProofFileError, match="no whole id"):
        expected_model(WORKSPACE, None, "0x0707", VERSION, offline=True)


def test_the_catalogue_says_the_weights_and_no_more() -> None:
    found = expected_model(WORKSPACE, KNOWN.name, None, VERSION, offline=False)
    assert found.difference(VERSION, record(KNOWN.weights_root or b"")) == ""
    assert "tokenizer and program only --version compares" in found.unseen
    assert f"not those that the catalogue has for {KNOWN.name}" in found.difference(VERSION, record(bytes(32)))
    assert found.difference(VERSION, None)


@pytest.mark.parametrize(
    ("name", "offline"), [("llama-405b", False), (UNFIXED.name, False), (None, False), (KNOWN.name, True)]
)
def test_where_nothing_tells_nothing_is_compared(name: str | None, offline: bool) -> None:
    with pytest.raises(ProofFileError, match="the model was not compared, so nothing was") as told:
        expected_model(WORKSPACE, name, None, VERSION, offline=offline)
    assert "--version" in told.value.advice
    assert VERSION.hex() in told.value.message
