"""Foreign clients and checkers against a gateway, each in an environment of its own; JSON in build/conformance.json.

By itself it is the whole application over a service that says the same to everybody, so only interfaces are judged.
With ``--live`` it is a network that ``nexus up`` brings up in ``build/conformance/network``, with a text model, a chat
model and an encoder, and a key that has credit. With ``--url``, ``--key-file`` and the models' names it is whatever
gateway runs there. ``--lm-eval`` and ``--open-webui`` ask these two besides (see ``scripts/runs``); the first knows
models of the catalogue only.

    python -m scripts.conformance [--live] [--lm-eval] [--open-webui]
    python -m scripts.conformance --url URL --key-file FILE --chat NAME [--text NAME] [--encoder NAME]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

from scripts.conformance.environments import FOLDER, node_with, python_with
from scripts.conformance.findings import LIVE, SCRIPTED, Finding, report_findings
from scripts.conformance.live import SERVED, add_gateway_flags, live_gateway
from scripts.runs.lm_eval_scores import lm_eval_findings
from scripts.runs.open_webui_chat import open_webui_findings
from tests.support.gateway_server import KEY, served_gateway
from tests.support.scripted_service import CHAT, ENCODER, TEXT, ScriptedService, scripted_models

CLIENTS = Path(__file__).parent / "clients"
COMPLY = ("llm-comply==0.5.0",)
OLDER_OPENAI = ("openai==2.54.0",)
OPENAI_NPM = {"openai": "7.55.0"}
AI_SDK = {"ai": "7.0.173", "@ai-sdk/openai-compatible": "3.0.92"}
FORMATS = ("openai-chat", "anthropic", "open-responses")

_TOOLS = "tools are refused by name (400): no program here is taught to call any, and none is made up"
_IMAGES = "images are refused by name (400): the models read text"
_NULL = "OpenAI's own chunks have no reason to finish before the last one; the document knows whole answers only"
ARGUED = {
    "chat-tool-calling": _TOOLS, "anth-tool-calling": _TOOLS, "tool-calling": _TOOLS,
    "/v1/completions streams CreateCompletionResponse": _NULL,
    "chat-image-input": _IMAGES, "anth-image-input": _IMAGES, "image-input": _IMAGES,
}  # fmt: skip
"""Checks that fail and are meant to, with the reason."""
OF_A_MODEL = {
    "expected status='completed', got 'incomplete'": "a small model may talk until its context ends; the status says so"
}
"""Problems that a live model may have where its gateway is right, with the reason."""


def main() -> int:
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--live", action="store_true", help="against a network that nexus up starts")
    add_gateway_flags(flags)
    for name in ("chat", "text", "encoder"):
        flags.add_argument(f"--{name}", default="", help="a model of the gateway that is given")
    for name in ("lm-eval", "open-webui"):
        flags.add_argument(f"--{name}", action="store_true", help="ask it too; needs a live gateway")
    given = flags.parse_args()
    is_live = bool(given.live or given.url)
    if (given.lm_eval or given.open_webui) and not is_live:
        flags.error("--lm-eval and --open-webui need --live, or --url and --key-file")
    if given.url and not (given.key_file and given.chat):
        flags.error("--url needs --key-file and --chat")
    with _gateway(given) as words:
        found = _findings(words, LIVE if is_live else SCRIPTED)
        return 0 if report_findings(chain(found, _programs(given, words))) else 1


@contextmanager
def _gateway(given: argparse.Namespace) -> Iterator[dict[str, str]]:
    """Where to ask, as programs are told by their environment."""
    if given.live or given.url:
        models = {"CHAT": given.chat, "TEXT": given.text, "ENCODER": given.encoder} if given.url else SERVED
        with live_gateway(given.url, given.key_file) as (url, key):
            yield _words(url, key, models)
        return
    with tempfile.TemporaryDirectory() as folder:
        service = ScriptedService(scripted_models(Path(folder)))
        with served_gateway(service) as url:
            yield _words(url, KEY, {"CHAT": CHAT, "TEXT": TEXT, "ENCODER": ENCODER})


def _programs(given: argparse.Namespace, words: Mapping[str, str]) -> Iterator[Finding]:
    """What whole programs find of a live gateway, each at its turn."""
    url, key, chat = words["NEXUS_URL"], words["NEXUS_KEY"], words["NEXUS_CHAT"]
    if given.lm_eval:
        yield from lm_eval_findings(url, key, chat)
    if given.open_webui:
        yield from open_webui_findings(url, key, chat, words["NEXUS_ENCODER"])


def _words(url: str, key: str, models: Mapping[str, str]) -> dict[str, str]:
    return {"NEXUS_URL": url, "NEXUS_KEY": key, **{f"NEXUS_{kind}": name for kind, name in models.items()}}


def _findings(words: Mapping[str, str], gateway: str) -> Iterator[Finding]:
    comply = python_with("llm-comply", COMPLY)
    for form in FORMATS:
        yield from _complied(comply, form, words, gateway)
    yield from _told("documents", [comply, CLIENTS / "documents.py"], words, gateway)
    yield from _told("openai 3.x", [sys.executable, CLIENTS / "openai_python.py"], words, gateway)
    yield from _told(
        "openai 2.x", [python_with("openai-2", OLDER_OPENAI), CLIENTS / "openai_python.py"], words, gateway
    )
    for name, pins, program in (("npm-openai", OPENAI_NPM, "openai_npm.mjs"), ("ai-sdk", AI_SDK, "ai_sdk.mjs")):
        place = node_with(name, pins)
        for file in (program, "reporting.mjs"):
            shutil.copy(CLIENTS / file, place)
        yield from _told(name, ["node", (place / program).resolve()], words, gateway)


def _complied(python: Path, form: str, words: Mapping[str, str], gateway: str) -> Iterator[Finding]:
    """What ``llm-comply`` says of one interface; what it skips is about models of others."""
    flags = ["--format", form, "-u", f"{words['NEXUS_URL']}/v1", "-k", words["NEXUS_KEY"], "-m", words["NEXUS_CHAT"]]
    program = python.parent / "llm-comply"
    ran = subprocess.run([program, *flags, "--json"], capture_output=True, text=True, timeout=1_800, check=False)
    for one in json.loads(ran.stdout)["results"]:
        if one["status"] != "skipped":
            passed = one["status"] == "passed"
            problem = "; ".join(one.get("errors") or [])
            reason = ARGUED.get(one["id"]) or (OF_A_MODEL.get(problem, "") if gateway == LIVE else "")
            yield Finding(f"llm-comply {form}", one["id"], passed, problem, reason, gateway)


def _told(client: str, command: list[str | Path], words: Mapping[str, str], gateway: str) -> Iterator[Finding]:
    """What a client's program prints, and whether it ended well."""
    environment = {**os.environ, **words}
    ran = subprocess.run(command, capture_output=True, text=True, timeout=1_800, env=environment, check=False)
    for line in ran.stdout.splitlines():
        one = json.loads(line)
        yield Finding(client, one["check"], one["passed"], one["problem"], ARGUED.get(one["check"], ""), gateway)
    yield Finding(client, "ran to its end", ran.returncode == 0, ran.stderr[-600:], gateway=gateway)


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    sys.exit(main())
