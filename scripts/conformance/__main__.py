"""Foreign clients and checkers against a gateway, each in an environment of its own; JSON in build/conformance.json.

By itself it is the whole application over a service that says the same to everybody, so only interfaces are judged.
With ``--live`` it is a network that ``nexus up`` brings up in ``build/conformance/network``, with a text model, a chat
model and an encoder, and a key that has credit. With ``--url``, ``--key-file`` and the models' names it is whatever
gateway runs there.

    python -m scripts.conformance [--live | --url URL --key-file FILE --chat NAME --text NAME --encoder NAME]
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
from pathlib import Path

from scripts.conformance.environments import FOLDER, node_with, python_with
from scripts.conformance.findings import LIVE, SCRIPTED, Finding, report_findings
from scripts.runs.network_up import network_up
from tests.support.gateway_server import KEY, served_gateway
from tests.support.scripted_service import CHAT, ENCODER, TEXT, ScriptedService, scripted_models

CLIENTS = Path(__file__).parent / "clients"
NETWORK = FOLDER / "network"
COMPLY = ("llm-comply==0.5.0",)
OLDER_OPENAI = ("openai==2.54.0",)
OPENAI_NPM = {"openai": "7.55.0"}
AI_SDK = {"ai": "7.0.173", "@ai-sdk/openai-compatible": "3.0.92"}
FORMATS = ("openai-chat", "anthropic", "open-responses")
SERVED = {"TEXT": "python-stdlib", "CHAT": "smollm2-135m-instruct", "ENCODER": "all-minilm-l6-v2"}

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
    flags.add_argument("--live", action="store_true")
    for name in ("url", "key-file", "chat", "text", "encoder"):
        flags.add_argument(f"--{name}")
    given = flags.parse_args()
    gateway = LIVE if given.live or given.url else SCRIPTED
    with _gateway(given) as words:
        return 0 if report_findings(_findings(words, gateway)) else 1


@contextmanager
def _gateway(given: argparse.Namespace) -> Iterator[dict[str, str]]:
    """Where to ask, as programs are told by their environment."""
    if given.url:
        named = {"CHAT": given.chat, "TEXT": given.text, "ENCODER": given.encoder}
        key = Path(given.key_file).read_text().strip()
        yield _words(given.url.rstrip("/"), key, {kind: name or "" for kind, name in named.items()})
        return
    if given.live:
        with network_up(NETWORK.resolve(), list(SERVED.values()), "--copies", "1") as network:
            yield _words(network.address, network.key, SERVED)
        return
    with tempfile.TemporaryDirectory() as folder:
        service = ScriptedService(scripted_models(Path(folder)))
        with served_gateway(service) as url:
            yield _words(url, KEY, {"CHAT": CHAT, "TEXT": TEXT, "ENCODER": ENCODER})


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
