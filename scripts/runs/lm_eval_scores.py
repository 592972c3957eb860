"""``lm_eval`` scores a model through a gateway, and the same model in float32 by ``transformers``: do they agree?

``lm_eval`` has an environment of its own under ``build/conformance``. Through the gateway it is its unchanged model
``local-completions``, which asks ``/v1/completions`` to echo a prompt with log-probabilities. The float32 model is
written out from the same file that the network's import read. Both are asked two tasks of our own: facts of Python
and grammar of English, 40 items of two choices each, in ``scripts/runs/lm_eval_tasks``. Without ``--url`` the gateway
is one that ``nexus up`` starts.

Writes ``build/bench/lm-eval.json``: ``tasks.<name>.{gateway,float32}`` (accuracies) and ``tasks.<name>.nats`` (how far
the log-likelihoods of the choices are apart), ``bounds``, ``seconds``; and what is as it should be to
``build/conformance.json``.

    python -m scripts.runs.lm_eval_scores [--url URL --key-file FILE] [--model smollm2-135m-instruct]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nexus_chain.client.home import ClientHome
from nexus_chain.quality.comparison import MOST_DIVERGENCE
from nexus_chain.workflows.checkpoints import opened_checkpoint
from scripts.bench.record import FOLDER as REPORTS
from scripts.bench.record import ROOT, write_record
from scripts.conformance.environments import FOLDER, python_with
from scripts.conformance.findings import Finding, report_findings
from scripts.conformance.live import SERVED, add_gateway_flags, live_gateway
from scripts.fetched import fetched

PINS = ("lm_eval[api,hf]==0.4.13", "torch==2.13.0", "transformers==5.17.0")
TASKS = ("nexus_python_facts", "nexus_grammar")
DESCRIPTIONS = "scripts/runs/lm_eval_tasks"
CLIENT = "lm_eval"
BATCH = 4
"""Prompts of one request."""
MOST_ITEMS_APART = 2
"""Of a task's items: those whose two choices are nearly as likely may go the other way."""
MOST_MEAN_NATS = round(2 * math.sqrt(2 * MOST_DIVERGENCE), 2)
"""How far the log-likelihoods of a choice may be apart on average. An import may diverge by MOST_DIVERGENCE nats a
prediction. Then the two log-likelihoods of a token are about the root of twice that apart, and those of four tokens
twice as far. The choices have one to five tokens.
"""
MOST_NATS = 1.0
"""The same of any one choice."""


class LmEvalError(Exception):
    """``lm_eval`` did not come to an end."""


def scored(kind: str, arguments: Mapping[str, str], out: Path, key: str = "") -> dict[str, list[dict[str, Any]]]:
    """What ``lm_eval`` found of a model: each task's items. Raises LmEvalError."""
    command = [
        str(python_with("lm-eval", PINS).absolute()), "-m", "lm_eval", "--model", kind,
        "--model_args", ",".join(f"{name}={value}" for name, value in arguments.items()),
        "--include_path", DESCRIPTIONS, "--tasks", ",".join(TASKS), "--batch_size", str(BATCH), "--device", "cpu",
        "--log_samples", "--output_path", str(out),
    ]  # fmt: skip
    offline = {"HF_HOME": str((FOLDER / "lm-eval-cache").absolute()), "HF_HUB_OFFLINE": "1", "OPENAI_API_KEY": key}
    environment = {**os.environ, **offline, "TOKENIZERS_PARALLELISM": "false", "PYTHONPATH": ""}
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    found = {task: sorted(out.rglob(f"samples_{task}_*.jsonl")) for task in TASKS}
    if ran.returncode or not all(found.values()):
        raise LmEvalError(f"lm_eval --model {kind} ended with {ran.returncode}: {ran.stderr.strip()[-1500:]}")
    return {task: [json.loads(line) for line in files[-1].read_text().splitlines()] for task, files in found.items()}


def compared(asked: list[dict[str, Any]], real: list[dict[str, Any]]) -> dict[str, Any]:
    """Accuracies of a task, and how far its choices' log-likelihoods are apart."""
    by_item = {one["doc_id"]: one for one in real}
    pairs = [(one, by_item[one["doc_id"]]) for one in asked]
    apart = [
        mine - theirs
        for left, right in pairs
        for mine, theirs in zip(_likelihoods(left), _likelihoods(right), strict=True)
    ]
    sizes = sorted(map(abs, apart))
    return {
        "items": len(pairs),
        "gateway": statistics.fmean(left["acc"] for left, _ in pairs),
        "float32": statistics.fmean(right["acc"] for _, right in pairs),
        "items_apart": sum(left["acc"] != right["acc"] for left, right in pairs),
        "nats": {
            "mean": statistics.fmean(apart),
            "mean_size": statistics.fmean(sizes),
            "median_size": statistics.median(sizes),
            "largest_size": sizes[-1],
        },
    }


def _likelihoods(item: Mapping[str, Any]) -> list[float]:
    return [float(likelihood) for likelihood, _ in item["filtered_resps"]]


def scores(url: str, key: str, model: str) -> dict[str, dict[str, Any]]:
    """Each task, asked of the gateway and of the float32 model. Raises LmEvalError."""
    home = ClientHome(FOLDER / "lm-eval-home")
    with opened_checkpoint(str(fetched(model)), home) as folder, tempfile.TemporaryDirectory() as name:
        through = {
            "model": model, "base_url": f"{url}/v1/completions", "tokenizer": str(folder),
            "tokenizer_backend": "huggingface", "num_concurrent": "1", "max_retries": "1",
        }  # fmt: skip
        asked = scored("local-completions", through, Path(name) / "gateway", key)
        real = scored("hf", {"pretrained": str(folder), "dtype": "float32"}, Path(name) / "float32")
    return {task: compared(asked[task], real[task]) for task in TASKS}


def lm_eval_findings(url: str, key: str, model: str) -> Iterator[Finding]:
    """Score the model both ways, write the figures, and say whether they are within the bounds."""
    began = time.monotonic()
    try:
        found = scores(url, key, model)
    except LmEvalError as error:
        yield Finding(CLIENT, "ran to its end", False, str(error))
        return
    yield Finding(CLIENT, "ran to its end", True)
    bounds = {"items_apart": MOST_ITEMS_APART, "mean_size": MOST_MEAN_NATS, "largest_size": MOST_NATS}
    figures = {"model": model, "tasks": found, "bounds": bounds, "seconds": round(time.monotonic() - began, 1)}
    write_record(REPORTS / "lm-eval.json", figures)
    for task, figure in found.items():
        yield from _within_bounds(task, figure)


def _within_bounds(task: str, figures: Mapping[str, Any]) -> Iterator[Finding]:
    apart, nats = figures["items_apart"], figures["nats"]
    words = ", ".join(f"{name.replace('_', ' ')} {size:+.4f}" for name, size in nats.items())
    print(f"\n  {task}: accuracy {figures['gateway']:.3f} through the gateway, {figures['float32']:.3f} in float32")
    print(f"    log-likelihoods of the choices apart, in nats: {words}", flush=True)
    most = f"{task}: at most {MOST_ITEMS_APART} items go the other way"
    yield Finding(CLIENT, most, apart <= MOST_ITEMS_APART, f"{apart} do")
    within = nats["mean_size"] <= MOST_MEAN_NATS and nats["largest_size"] <= MOST_NATS
    bounds = f"{MOST_MEAN_NATS} nats apart on average, {MOST_NATS} at most"
    yield Finding(CLIENT, f"{task}: log-likelihoods are {bounds}", within, words)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_gateway_flags(parser)
    parser.add_argument("--model", default=SERVED["CHAT"], help="of the catalogue, and imported from its file")
    given = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    with live_gateway(given.url, given.key_file) as (url, key):
        return 0 if report_findings(lm_eval_findings(url, key, given.model)) else 1


if __name__ == "__main__":
    sys.exit(main())
