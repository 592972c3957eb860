"""Requests that schemathesis draws from the gateway's own OpenAPI document: none may end in a 500, none may hang.

The application is the whole one, over a service that answers at once. schemathesis has an environment of its own under
``build/conformance``; it is run from one seed after the other until there are enough cases. Writes
``build/bench/fuzz-gateway.json``: ``cases``, ``operations``, ``server_errors``, ``hangs``, ``statuses``.

    python -m scripts.runs.fuzz_gateway [--cases 10000] [--seed 1]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

from scripts.bench.record import FOLDER as REPORTS
from scripts.bench.record import write_record
from scripts.conformance.environments import FOLDER, python_with
from tests.support.gateway_server import KEY, served_gateway
from tests.support.scripted_service import ScriptedService, scripted_models

PINS = ("schemathesis==4.32.5",)
EXAMPLES = 100
"""Of an operation in one run."""
HANG_SECONDS = 20
"""No request of this application has anything to wait for."""


def operations_of(url: str) -> int:
    """How many pairs of a path and a method the document has."""
    paths: dict[str, Any] = httpx.get(f"{url}/openapi.json").raise_for_status().json()["paths"]
    return sum(len(methods) for methods in paths.values())


def fuzz(url: str, seed: int, folder: Path) -> list[dict[str, Any]]:
    """Run schemathesis; what it noted, an object a line."""
    report = folder / f"cases-{seed}.ndjson"
    command = [
        python_with("schemathesis", PINS).parent / "schemathesis", "run", f"{url}/openapi.json",
        "--checks", "not_a_server_error", "--phases", "fuzzing", "--max-examples", str(EXAMPLES), "--seed", str(seed),
        "--continue-on-failure", "--request-timeout", str(HANG_SECONDS), "--suppress-health-check", "all",
        "--warnings", "off", "--header", f"Authorization: Bearer {KEY}",
        "--report", "ndjson", "--report-ndjson-path", str(report),
    ]  # fmt: skip
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if not report.is_file():
        raise SystemExit(f"schemathesis ended with {ran.returncode}: {(ran.stdout + ran.stderr).strip()[-800:]}")
    return [json.loads(line) for line in report.read_text().splitlines()]


def statuses_of(events: list[dict[str, Any]]) -> Counter[int]:
    """How often each status came; 0: no response within the limit."""
    found: Counter[int] = Counter()
    for event in events:
        recorder = next(iter(event.values())).get("recorder") or {}
        for interaction in (recorder.get("interactions") or {}).values():
            response = interaction.get("response")
            found[0 if response is None else int(response["status_code"])] += 1
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with served_gateway(ScriptedService(scripted_models(folder))) as url:
            operations, statuses, seed = operations_of(url), Counter[int](), options.seed
            while sum(statuses.values()) < options.cases:
                statuses += statuses_of(fuzz(url, seed, folder))
                seed += 1
    figures = {
        "cases": sum(statuses.values()),
        "operations": operations,
        "server_errors": sum(count for status, count in statuses.items() if status >= 500),
        "hangs": statuses[0],
        "statuses": {str(status): count for status, count in sorted(statuses.items())},
    }
    print(json.dumps(write_record(REPORTS / "fuzz-gateway.json", figures), indent=2))
    return 1 if figures["server_errors"] or figures["hangs"] else 0


if __name__ == "__main__":
    sys.exit(main())
