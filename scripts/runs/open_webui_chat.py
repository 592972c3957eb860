"""Open WebUI in front of a gateway: both of its connections, to OpenAI's interface and to Ollama's, by its own HTTP.

Open WebUI has an environment of its own under ``build/conformance`` (3 GB, about ten minutes to install). It runs
unchanged on this machine, without accounts and offline. It is told the gateway's address and key, and then asked as its
pages ask it. What it answers has to be what the gateway answers, and the gateway has to hold receipts of it. Without
``--url`` the gateway is one that ``nexus up`` starts. What is as it should be is written to ``build/conformance.json``.

    python -m scripts.runs.open_webui_chat [--url URL --key-file FILE] [--chat smollm2-135m-instruct]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from nexus_chain.chain.local import free_port
from scripts.conformance.environments import FOLDER, python_with
from scripts.conformance.findings import Finding, report_findings
from scripts.conformance.live import SERVED, add_gateway_flags, live_gateway

PINS = ("open-webui==0.12.4", "torch==2.13.0")
CLIENT = "Open WebUI"
DATA = FOLDER / "open-webui-data"
START_SECONDS, ANSWER_SECONDS = 300, 300
TOKENS = 24
QUESTION = [{"role": "user", "content": "Say hello."}]
OFFLINE = {
    "WEBUI_AUTH": "False", "WEBUI_SECRET_KEY": "of-a-test", "OFFLINE_MODE": "True", "HF_HUB_OFFLINE": "1",
    "BYPASS_EMBEDDING_AND_RETRIEVAL": "True", "RAG_EMBEDDING_ENGINE": "ollama", "ENABLE_VERSION_UPDATE_CHECK": "False",
    "ANONYMIZED_TELEMETRY": "False", "DO_NOT_TRACK": "True", "SCARF_NO_ANALYTICS": "True", "PYTHONPATH": "",
}  # fmt: skip
"""No accounts, no models of its own, and nothing from outside this machine."""


class WebUIError(Exception):
    """Open WebUI does not run, or answers otherwise than it should."""


@dataclass(frozen=True)
class WebServer:
    """A server that is asked with a key: the gateway, or Open WebUI."""

    http: httpx.Client

    def get(self, path: str) -> Any:
        """Raises httpx.HTTPError."""
        return self.http.get(path).raise_for_status().json()

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """Raises WebUIError with what was answered, or httpx.HTTPError."""
        answer = self.http.post(path, json=body)
        if answer.is_error:
            raise WebUIError(f"{path}: {answer.status_code} {answer.text[:300]}")
        return answer.json()

    def lines(self, path: str, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The objects of a stream, whether each has a line or an event. Raises httpx.HTTPError."""
        with self.http.stream("POST", path, json={**body, "stream": True}) as answer:
            answer.raise_for_status()
            for line in answer.iter_lines():
                data = line.removeprefix("data:").strip()
                if data and data != "[DONE]":
                    yield json.loads(data)


def server_at(url: str, key: str) -> WebServer:
    """The server at an address, asked with a key."""
    return WebServer(httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=ANSWER_SECONDS))


@contextmanager
def open_webui(gateway: str, key: str) -> Iterator[WebServer]:
    """Open WebUI with its connection to OpenAI's interface. Raises WebUIError where it does not start."""
    program = python_with("open-webui", PINS).absolute().parent / "open-webui"
    shutil.rmtree(DATA, ignore_errors=True)
    DATA.mkdir(parents=True)
    port, log = free_port(), DATA / "open-webui.log"
    own = {
        "DATA_DIR": str(DATA.absolute()), "OPENAI_API_BASE_URLS": f"{gateway}/v1", "OPENAI_API_KEYS": key,
        "OLLAMA_BASE_URLS": gateway,
    }  # fmt: skip
    with log.open("w") as said:
        command = [str(program), "serve", "--host", "127.0.0.1", "--port", str(port)]
        environment = {**os.environ, **OFFLINE, **own}
        process = subprocess.Popen(command, cwd=DATA, env=environment, stdout=said, stderr=subprocess.STDOUT)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(url, process)
        signed_in = httpx.post(
            f"{url}/api/v1/auths/signin", json={"email": "admin@localhost", "password": "admin"}, timeout=60
        )
        yield server_at(url, signed_in.raise_for_status().json()["token"])
    except (WebUIError, httpx.HTTPError) as error:
        raise WebUIError(f"{error}; {log} ends: {log.read_text()[-600:]}") from error
    finally:
        process.terminate()
        process.wait(60)


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            if httpx.get(f"{url}/health").is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(1)
    raise WebUIError(f"it does not serve (its exit code: {process.poll()})")


@dataclass(frozen=True)
class WebUIChecks:
    """What is asked. ``encoder``: empty where the gateway has none."""

    ui: WebServer
    gateway: WebServer
    gateway_url: str
    key: str
    chat: str
    encoder: str

    def all(self) -> Iterator[Finding]:
        """Every check, in an order that they need."""
        yield self._found("an Ollama connection without a key is refused", self._refused)
        yield self._found("an Ollama connection takes a key", self._give_key)
        yield self._found("the models of both connections are listed", self._models)
        yield self._found("OpenAI's interface: an answer is the gateway's, with receipts", self._openai)
        yield self._found("OpenAI's interface: a stream is the gateway's answer", self._openai_stream)
        yield self._found("Ollama's interface: an answer is the gateway's, and paid for", self._ollama)
        yield self._found("Ollama's interface: a stream is the gateway's answer", self._ollama_stream)
        yield self._found("Ollama's interface: the page's own chat is the gateway's answer", self._ollama_page)
        yield self._found("a conversation gets a title", self._title)
        if self.encoder:
            yield self._found("texts are embedded through both connections", self._embed)

    def _found(self, check: str, act: Callable[[], object]) -> Finding:
        try:
            act()
        except (WebUIError, httpx.HTTPError, ValueError, KeyError, IndexError, TypeError) as error:
            return Finding(CLIENT, check, False, f"{type(error).__name__}: {error}"[:600])
        return Finding(CLIENT, check, True)

    def _asked(self, latest: bool = False) -> dict[str, Any]:
        """A question with one right answer; Open WebUI hands only ``options`` on to Ollama's interface."""
        own: dict[str, Any] = {"temperature": 0, "max_tokens": TOKENS}
        if latest:
            own = {"options": {"temperature": 0, "num_predict": TOKENS}}
        return {"model": f"{self.chat}:latest" if latest else self.chat, "messages": QUESTION, "stream": False, **own}

    def _expected(self) -> str:
        return str(self.gateway.post("/v1/chat/completions", self._asked())["choices"][0]["message"]["content"])

    def _balance(self) -> int:
        return int(self.gateway.get("/v1/account")["balance_wei"])

    def _refused(self) -> None:
        status = self.ui.http.post("/ollama/api/chat", json=self._asked(latest=True)).status_code
        _require(status >= 400, f"it answers {status}")

    def _give_key(self) -> None:
        config = {"enable": True, "key": self.key}
        connections = {"OLLAMA_BASE_URLS": [self.gateway_url], "OLLAMA_API_CONFIGS": {"0": config}}
        said = self.ui.post("/ollama/config/update", {"ENABLE_OLLAMA_API": True, **connections})
        _require(said["OLLAMA_API_CONFIGS"]["0"]["key"] == self.key, "the key is not kept")

    def _models(self) -> None:
        listed = {one["id"]: one["owned_by"] for one in self.ui.get("/api/models?refresh=true")["data"]}
        wanted = {self.chat: "openai", f"{self.chat}:latest": "ollama"}
        _require(wanted.items() <= listed.items(), f"{listed} lacks some of {wanted}")

    def _openai(self) -> None:
        answer = self.ui.post("/api/chat/completions", self._asked())
        self._same(answer["choices"][0]["message"]["content"])
        receipts = self.gateway.get(f"/v1/receipts/{answer['id'].removeprefix('chatcmpl-')}")
        _require(bool(receipts["receipts"]) and int(receipts["cost_wei"]) > 0, f"no receipts: {receipts}")

    def _openai_stream(self) -> None:
        body = {**self._asked(), "stream_options": {"include_usage": True}}
        chunks = list(self.ui.lines("/api/chat/completions", body))
        self._same("".join(one["choices"][0]["delta"].get("content") or "" for one in chunks if one["choices"]))
        _require(any((one.get("usage") or {}).get("completion_tokens", 0) > 0 for one in chunks), "no usage came")

    def _ollama(self) -> None:
        before = self._balance()
        answer = self.ui.post("/ollama/api/chat", self._asked(latest=True))
        _require(self._balance() < before, "nothing was paid for it")
        self._same(answer["message"]["content"])
        _require(answer["eval_count"] > 0, f"no tokens are counted: {answer}")

    def _ollama_stream(self) -> None:
        lines = list(self.ui.lines("/ollama/api/chat", self._asked(latest=True)))
        self._same("".join(one["message"]["content"] for one in lines))
        _require(lines[-1]["done"], "the last line is not the end")

    def _ollama_page(self) -> None:
        answer = self.ui.post("/api/chat/completions", self._asked(latest=True))
        self._same(answer["choices"][0]["message"]["content"])

    def _title(self) -> None:
        talk = [*QUESTION, {"role": "assistant", "content": "Hello!"}]
        answer = self.ui.post("/api/v1/tasks/title/completions", {"model": self.chat, "messages": talk, "chat_id": "1"})
        _require(answer["usage"]["completion_tokens"] > 0, f"no title came: {answer}")

    def _embed(self) -> None:
        plain = self.ui.post("/api/embeddings", {"model": self.encoder, "input": "one"})["data"][0]["embedding"]
        asked = {"model": f"{self.encoder}:latest", "input": "one"}
        unit = self.ui.post("/ollama/api/embed", asked)["embeddings"][0]
        _require(len(plain) == len(unit) > 0, f"{len(plain)} and {len(unit)} numbers came")

    def _same(self, text: str) -> None:
        expected = self._expected()
        _require(text == expected, f"{text!r} is not {expected!r}")


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise WebUIError(otherwise)


def open_webui_findings(url: str, key: str, chat: str, encoder: str = "") -> Iterator[Finding]:
    """What Open WebUI does in front of a gateway."""
    try:
        with open_webui(url, key) as ui:
            yield Finding(CLIENT, "starts in front of the gateway", True)
            yield from WebUIChecks(ui, server_at(url, key), url, key, chat, encoder).all()
    except (WebUIError, httpx.HTTPError, subprocess.SubprocessError) as error:
        yield Finding(CLIENT, "ran to its end", False, str(error))
        return
    yield Finding(CLIENT, "ran to its end", True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_gateway_flags(parser)
    parser.add_argument("--chat", default=SERVED["CHAT"], help="the model that talks")
    parser.add_argument("--encoder", default=SERVED["ENCODER"], help="the model that embeds; empty: there is none")
    given = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    with live_gateway(given.url, given.key_file) as (url, key):
        return 0 if report_findings(open_webui_findings(url, key, given.chat, given.encoder)) else 1


if __name__ == "__main__":
    sys.exit(main())
