"""The golden vectors of steps are what the script makes, and the compiled verifier returns what they say."""

from __future__ import annotations

import importlib.util
import json
from types import ModuleType

from tests.support.evm import ROOT, Machine

FILE = ROOT / "tests" / "vectors" / "steps.jsonl"


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_step_vectors", ROOT / "scripts" / "make_step_vectors.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_file_is_current() -> None:
    assert script().rendered() == FILE.read_text()


def test_the_contract_returns_what_the_vectors_say() -> None:
    verifier = Machine().deploy("StepVerifier")
    vectors = [json.loads(line) for line in FILE.read_text().splitlines()]
    for vector in vectors:
        returned = verifier.run(bytes.fromhex(vector["calldata"][2:]))
        assert returned.hex() == vector["returns"][2:], (vector["kind"], vector["step"], vector["convicts"])
    assert {vector["convicts"] for vector in vectors} == {True, False}
