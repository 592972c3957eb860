"""What a newcomer pastes once a local network is up."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator

from nexus_chain.workflows.local_network.state import CHAT, EMBEDDING, NetworkState

PROMPTS = {CHAT: "Why is the sky blue?", EMBEDDING: "A text.", "completion": "def fib(n):\n"}


def first_words(state: NetworkState, key: str) -> Iterator[str]:
    """Lines of the result: addresses, the key, and three lines to paste, for the first model."""
    if not state.gateway_port:
        yield f"chain    http://127.0.0.1:{state.chain_port}"
        yield f"models   {', '.join(state.models)}"
        return
    base, name = f"http://127.0.0.1:{state.gateway_port}", state.models[0]
    kind = state.published[name].kind
    yield f"address  {base}"
    yield f"page     {base}/app/"
    yield f"API key  {key}"
    yield f"models   {', '.join(state.models)}"
    yield ""
    yield _curl(base, key, name, kind)
    yield _python(base, key, name, kind)
    yield f"OLLAMA_HOST={base} OLLAMA_API_KEY={key} python -c {shlex.quote(_ollama(name, kind))}"


def _curl(base: str, key: str, name: str, kind: str) -> str:
    bodies: dict[str, tuple[str, dict[str, object]]] = {
        CHAT: ("chat/completions", {"messages": [{"role": "user", "content": PROMPTS[CHAT]}]}),
        EMBEDDING: ("embeddings", {"input": PROMPTS[EMBEDDING]}),
    }
    path, body = bodies.get(kind, ("completions", {"prompt": PROMPTS["completion"], "max_tokens": 40}))
    data = json.dumps({"model": name, **body})
    headers = f"-H 'Authorization: Bearer {key}' -H 'Content-Type: application/json'"
    return f"curl {base}/v1/{path} {headers} -d {shlex.quote(data)}"


def _python(base: str, key: str, name: str, kind: str) -> str:
    call = {
        CHAT: f"chat.completions.create(model={name!r}, messages=[dict(role='user', content={PROMPTS[CHAT]!r})])",
        EMBEDDING: f"embeddings.create(model={name!r}, input={PROMPTS[EMBEDDING]!r})",
    }.get(kind, f"completions.create(model={name!r}, prompt={PROMPTS['completion']!r}, max_tokens=40)")
    shown = {CHAT: ".choices[0].message.content", EMBEDDING: ".data[0].embedding[:4]"}.get(kind, ".choices[0].text")
    client = f"OpenAI(base_url={base + '/v1'!r}, api_key={key!r})"
    return f"python -c {shlex.quote(f'from openai import OpenAI; print({client}.{call}{shown})')}"


def _ollama(name: str, kind: str) -> str:
    call = {
        CHAT: f"ollama.chat({name!r}, [dict(role='user', content={PROMPTS[CHAT]!r})]).message.content",
        EMBEDDING: f"ollama.embed({name!r}, {PROMPTS[EMBEDDING]!r}).embeddings[0][:4]",
    }.get(kind, f"ollama.generate({name!r}, {PROMPTS['completion']!r}).response")
    return f"import ollama; print({call})"
