"""Requests that schemathesis draws from the gateway's own OpenAPI document: none may end in a 500, none may hang.

The application is the whole one, over a service that answers at once. schemathesis has an environment of its own under
``build/conformance``. Drawing a case takes it fifty times as long as the application takes to answer, so several of it
run at once, each with a seed of its own, until there are enough cases. None shrinks or keeps what it drew: a seed draws
the same again. Writes ``build/bench/fuzz-gateway.json``: ``cases``, ``operations``, ``server_errors``, ``hangs``,
``statuses``, ``failed`` (the first requests without a right answer), ``seconds``.

    python -m scripts.runs.fuzz_gateway [--cases 10000] [--seed 1] [--workers 2]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import httpx

from scripts.bench.record import FOLDER as REPORTS
from scripts.bench.record import write_record
from scripts.conformance.environments import FOLDER, python_with
from tests.support.gateway_server import KEY, served_gateway
from tests.support.scripted_service import ScriptedService, scripted_models

PINS = ("schemathesis==4.32.5",)
EXAMPLES = 50
"""Of an operation in one run."""
HANG_SECONDS = 20
"""No request of this application has anything to wait for."""
SHOWN = 20
"""Requests without a right answer that are written down."""


def operations_of(url: str) -> int:
    """How many pairs of a path and a method the document has."""
    paths: dict[str, Any] = httpx.get(f"{url}/openapi.json").raise_for_status().json()["paths"]
    return sum(len(methods) for methods in paths.values())


def fuzz(url: str, seed: int, folder: Path) -> list[dict[str, Any]]:
    """Run schemathesis; what it noted, an object a line."""
    report = folder / f"cases-{seed}.ndjson"
    command = [
        str(python_with("schemathesis", PINS).parent / "schemathesis"), "run", f"{url}/openapi.json",
        "--checks", "not_a_server_error", "--phases", "fuzzing", "--max-examples", str(EXAMPLES), "--seed", str(seed),
        "--continue-on-failure", "--request-timeout", str(HANG_SECONDS), "--suppress-health-check", "all",
        "--generation-database", "none", "--no-shrink",
        "--warnings", "off", "--header", f"Authorization: Bearer {KEY}",
        "--report", "ndjson", "--report-ndjson-path", str(report),
    ]  # fmt: skip
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if not report.is_file():
        raise SystemExit(f"schemathesis ended with {ran.returncode}: {(ran.stdout + ran.stderr).strip()[-800:]}")
    events = [json.loads(line) for line in report.read_text().splitlines()]
    report.unlink()
    return events


def answers_in(events: list[dict[str, Any]]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The status of each answer, and its request; 0: no answer within the limit."""
    for event in events:
        recorder = next(iter(event.values())).get("recorder") or {}
        for interaction in (recorder.get("interactions") or {}).values():
            response = interaction.get("response")
            yield 0 if response is None else int(response["status_code"]), interaction.get("request") or {}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1, help="of the first run; each has the next")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="runs at once")
    options = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    python_with("schemathesis", PINS)
    began, statuses, failed = time.monotonic(), Counter[int](), list[dict[str, Any]]()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with served_gateway(ScriptedService(scripted_models(folder))) as url:
            operations, seeds = operations_of(url), count(options.seed)

            def work() -> None:
                while sum(statuses.values()) < options.cases:
                    found = list(answers_in(fuzz(url, next(seeds), folder)))
                    statuses.update(status for status, _ in found)
                    failed.extend(request for status, request in found if not 0 < status < 500)
                    print(f"{sum(statuses.values())} cases, {time.monotonic() - began:.0f} s", flush=True)

            with ThreadPoolExecutor(options.workers) as pool:
                for one in [pool.submit(work) for _ in range(options.workers)]:
                    one.result()
    figures = {
        "cases": sum(statuses.values()),
        "operations": operations,
        "server_errors": sum(number for status, number in statuses.items() if status >= 500),
        "hangs": statuses[0],
        "statuses": {str(status): number for status, number in sorted(statuses.items())},
        "failed": failed[:SHOWN],
        "workers": options.workers,
        "seconds": round(time.monotonic() - began, 1),
    }
    print(json.dumps(write_record(REPORTS / "fuzz-gateway.json", figures), indent=2))
    return 1 if figures["server_errors"] or figures["hangs"] else 0


if __name__ == "__main__":
    sys.exit(main())
