"""all-MiniLM-L6-v2 through real nodes: what the script says must be true. It fetches the model first."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.timeout(600)


def test_real_sentences_are_embedded_by_nodes_bit_for_bit() -> None:
    facts = ROOT / "build" / "demo-embeddings.json"
    facts.unlink(missing_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "scripts.runs.demo_embeddings"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(facts.read_text())
    assert (said["same_bits"], said["verified"], said["width"]) == (True, True, 384)
    assert said["shards"] == ["layers-0-6.safetensors", "layers-6-7.safetensors"]
    assert said["receipts"] == 2 * said["sentences"] == 16
    assert said["paid_wei"] > 0
