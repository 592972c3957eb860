"""Responses against the OpenAPI documents of the interfaces, as the package ``llm-comply`` brings them."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from functools import cache
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import llm_comply
from llm_comply.schema import SpecLoader
from reporting import CHAT, ENCODER, KEY, TEXT, URL, report

FOLDER = Path(llm_comply.__file__).parent / "specs"
ASKED = [{"role": "user", "content": "Say hello."}]
TALK = {"model": CHAT, "messages": ASKED, "max_tokens": 24}
COMPLETE = {"model": TEXT or CHAT, "prompt": "def f(", "max_tokens": 24}
RESPOND = {"model": CHAT, "input": "Say hello.", "max_output_tokens": 24}
EMBED = {"model": ENCODER, "input": "one"}
#: Document, schema of the response, path, body.
RESPONSES = [
    ("openai_chat", "ListModelsResponse", "/v1/models", None),
    ("openai_chat", "Model", f"/v1/models/{CHAT}", None),
    ("openai_chat", "CreateChatCompletionResponse", "/v1/chat/completions", TALK),
    ("openai_chat", "CreateCompletionResponse", "/v1/completions", COMPLETE),
    ("openai_chat", "CreateEmbeddingResponse", "/v1/embeddings", EMBED),
    ("openai_chat", "ErrorResponse", "/v1/chat/completions", {**TALK, "n": 2}),
    ("openai_chat", "ErrorResponse", "/v1/embeddings", {"model": "nobody", "input": "x"}),
    ("openresponses", "ResponseResource", "/v1/responses", RESPOND),
    ("anthropic", "Message", "/v1/messages", TALK),
    ("anthropic", "CountMessageTokensResponse", "/v1/messages/count_tokens", {"model": CHAT, "messages": ASKED}),
    ("anthropic", "ErrorResponse", "/v1/messages", {"model": "nobody", "messages": ASKED, "max_tokens": 1}),
    ("anthropic", "ErrorResponse", "/v1/messages", {"model": CHAT, "messages": ASKED}),
]
#: The same of streams; the schema is of every event that has data.
CHUNKS = [
    ("openai_chat", "CreateChatCompletionStreamResponse", "/v1/chat/completions", TALK),
    ("openai_chat", "CreateCompletionResponse", "/v1/completions", COMPLETE),
]
OF_ANTHROPIC = {
    "message_start": "MessageStartEvent", "content_block_start": "ContentBlockStartEvent",
    "content_block_delta": "ContentBlockDeltaEvent", "content_block_stop": "ContentBlockStopEvent",
    "message_delta": "MessageDeltaEvent", "message_stop": "MessageStopEvent",
}  # fmt: skip


@cache
def document(name: str) -> SpecLoader:
    """OpenAPI's ``nullable`` lets null be a value of an enumeration; checkers of JSON Schema have to see it there."""
    found = json.loads((FOLDER / f"{name}.json").read_text(), object_hook=_with_null)
    with NamedTemporaryFile("w", suffix=".json") as written:
        json.dump(found, written)
        written.flush()
        return SpecLoader(written.name)


def _with_null(schema: dict[str, Any]) -> dict[str, Any]:
    if schema.get("nullable") is True and isinstance(schema.get("enum"), list):
        schema["enum"].append(None)
    return schema


def sent(path: str, body: Any) -> str:
    """The response's body, whatever its status."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json", "authorization": f"Bearer {KEY}"}
    try:
        with urllib.request.urlopen(urllib.request.Request(URL + path, data, headers), timeout=300) as answered:
            return str(answered.read().decode())
    except urllib.error.HTTPError as refused:
        return refused.read().decode()


def events(path: str, body: Any) -> list[tuple[str, Any]]:
    """Names and data of a stream's events."""
    found = []
    for part in sent(path, {**body, "stream": True}).split("\n\n"):
        fields = dict(line.split(": ", 1) for line in part.split("\n") if ": " in line)
        if fields.get("data", "[DONE]") != "[DONE]":
            found.append((fields.get("event", ""), json.loads(fields["data"])))
    return found


def problems(name: str, schema: str, value: Any) -> list[str]:
    return [f"{schema}: {problem}" for problem in document(name).validate(value, schema)]


def main() -> None:
    for name, schema, path, body in RESPONSES:
        if body is not EMBED or ENCODER:
            report(f"{path} is {schema}", "; ".join(problems(name, schema, json.loads(sent(path, body)))))
    for name, schema, path, body in CHUNKS:
        told = events(path, body)
        broken = [problem for _, value in told for problem in problems(name, schema, value)]
        report(f"{path} streams {schema}", "; ".join(broken) if told else "nothing came")
    told = events("/v1/messages", TALK)
    broken = [p for kind, value in told if kind != "ping" for p in problems("anthropic", OF_ANTHROPIC[kind], value)]
    report("/v1/messages streams its events", "; ".join(broken) if told else "nothing came")
    told = events("/v1/responses", RESPOND)
    broken = [p for kind, value in told for p in document("openresponses").validate_sse_event(kind, value)]
    report("/v1/responses streams its events", "; ".join(broken) if told else "nothing came")


main()
