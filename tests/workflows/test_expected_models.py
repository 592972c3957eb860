"""Which model an answer has to be of: what its caller says, else what the catalogue does; never a gateway's name."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nexus_chain.chain.model_registry import ModelVersion, SemVer
from nexus_chain.evidence.errors import ProofFileError
from nexus_chain.evidence.verify import TRUST
from nexus_chain.versions.errors import ModelFilesError
from nexus_chain.versions.model_files import ModelFiles
from nexus_chain.workflows.catalogue import catalogue
from nexus_chain.workflows.expected_models import expected_model
from nexus_chain.workflows.library import ModelLibrary
from nexus_chain.workflows.observer import SILENT
from nexus_chain.workflows.verification import AskedOfGateway, verify_asked
from tests.support.engine_answers import DOMAIN, answer_of, small_model

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


@pytest.mark.parametrize("is_known", [True, False])
def test_an_answer_to_a_name_of_the_catalogue_has_its_weights(tmp_path: Path, is_known: bool) -> None:
    model = small_model()
    model.save(tmp_path)
    proof, body = answer_of(model, [1, 2, 3], 4), tmp_path / "body.json"
    asked = {"model": KNOWN.name, "prompt": [1, 2, 3], "max_tokens": 4, "temperature": 0}
    body.write_text(json.dumps(asked))
    root = KNOWN.weights_root if is_known else bytes(32)
    library = SimpleNamespace(files_of=lambda _: ModelFiles(tmp_path), record_of=lambda _: record(root or b""))
    nodes = SimpleNamespace(receipt_key_of=lambda node: proof.receipt_keys[node])
    workspace: Any = SimpleNamespace(
        library=library, chain=SimpleNamespace(domain=DOMAIN, nodes=nodes), observer=SILENT
    )
    report = verify_asked(workspace, proof, TRUST, AskedOfGateway(body, "/v1/completions"))
    found = {step.name: step for step in report.steps[5:]}
    assert (found["model"].passed, found["request"].passed, report.passed) == (is_known, True, is_known)
    assert ("tokenizer" if is_known else "not those that the catalogue has") in found["model"].reason
