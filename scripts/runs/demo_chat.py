"""A real chat model behind the clients that people already have: ``nexus up``, talk, check, lose a node.

``nexus up`` brings a whole network up. The official libraries of OpenAI, Anthropic and Ollama hold conversations with
it over TCP. One answer is fetched by its URL and recomputed. Then a node is killed in the middle of a stream, and the
same text arrives. Writes ``build/demo-chat.json``: ``model``, ``conversations``, ``verified``, ``failover_same_bits``,
``clients``, ``seconds``; exit code 1 and one line where anything is not as it should be.

    python -m scripts.runs.demo_chat [--model smollm2-135m-instruct]
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import anthropic
import ollama
import openai

from nexus_chain.errors import NexusError
from scripts.bench.record import write_record
from scripts.runs.demo_network import ROOT, DemoError
from scripts.runs.network_up import NetworkUp, network_up

FOLDER = ROOT / "build" / "demo-chat"
REPORT = ROOT / "build" / "demo-chat.json"
QUESTIONS = ("What is the capital of France?", "Name three colours.", "Why is the sky blue?")
LONG_QUESTION = "Tell me a story about a fox and a river."
TOKENS, LONG_TOKENS = 32, 96
TRIES = 4
"""Streams in which a node is killed until one of them had that node at work: which of two serves is the router's."""

Ask = Callable[[NetworkUp, str, str], str]


def by_openai(network: NetworkUp, model: str, question: str) -> str:
    """OpenAI's library, streaming."""
    with _openai(network) as client:
        stream = client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": question}], max_tokens=TOKENS, temperature=0, stream=True
        )
        return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


def by_anthropic(network: NetworkUp, model: str, question: str) -> str:
    """Anthropic's library."""
    with anthropic.Anthropic(base_url=network.address, api_key=network.key) as client:
        found = client.messages.create(
            model=model,
            max_tokens=TOKENS,
            messages=[{"role": "user", "content": question}],
            extra_body={"temperature": 0},  # the library of this day has no argument for it
        )
        return "".join(block.text for block in found.content if block.type == "text")


def by_ollama(network: NetworkUp, model: str, question: str) -> str:
    """Ollama's library."""
    client = ollama.Client(network.address, headers={"Authorization": f"Bearer {network.key}"})
    options = {"temperature": 0, "num_predict": TOKENS}
    found = client.chat(model, [{"role": "user", "content": question}], options=options)
    return str(found.message.content)


CLIENTS: dict[str, Ask] = {"openai": by_openai, "anthropic": by_anthropic, "ollama": by_ollama}


def _openai(network: NetworkUp) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{network.address}/v1", api_key=network.key, max_retries=0)


def talk(network: NetworkUp, model: str) -> int:
    """Ask every question by every client; all have to tell the same. Returns how many answers there were."""
    for question in QUESTIONS:
        told = {name: ask(network, model, question) for name, ask in CLIENTS.items()}
        if len(set(told.values())) != 1:
            raise DemoError(f"the clients were told different things: {told}")
        print(f"\n  {question}\n    {told['openai'].strip()}", flush=True)
    return len(QUESTIONS) * len(CLIENTS)


def stream_long(network: NetworkUp, model: str, in_the_middle: Callable[[], None] | None = None) -> tuple[str, str]:
    """One long answer, greedy: its text and its id. ``in_the_middle`` is done once a quarter of it is here."""
    with _openai(network) as client:
        text, pieces, id = "", 0, ""
        for chunk in client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": LONG_QUESTION}], max_tokens=LONG_TOKENS, temperature=0,
            stream=True,
        ):  # fmt: skip
            id = chunk.id
            if chunk.choices and (piece := chunk.choices[0].delta.content):
                text, pieces = text + piece, pieces + 1
                if pieces == LONG_TOKENS // 4 and in_the_middle is not None:
                    in_the_middle()
        return text, id


def receipts_of(network: NetworkUp, id: str) -> dict[str, Any]:
    """What the gateway keeps of an answer."""
    with _openai(network) as client:
        return dict(client.get(f"/receipts/{id}", cast_to=dict[str, Any]))


def lose_a_node(network: NetworkUp, model: str) -> bool:
    """Kill a node that is at work in a stream; whether the same text arrives all the same. Raises DemoError."""
    expected, id = stream_long(network, model)
    for _ in range(TRIES):
        served = {receipt["node"].lower() for receipt in receipts_of(network, id)["receipts"]}
        nodes = {network.address_of(name): number for name, number in network.processes().items() if "node" in name}
        victim, number = next((one, nodes[one]) for one in served if one in nodes)
        text, id = stream_long(network, model, partial(os.kill, number, signal.SIGKILL))
        if text != expected:
            return False
        failed = {event["failed"].lower() for event in receipts_of(network, id)["failovers"]}
        if victim in failed:
            print(f"\n  node {victim} was killed in the middle of a stream: the text is the same.", flush=True)
            return True
        network.wait_until_whole()
    raise DemoError(f"no node that was killed was at work, {TRIES} times")


def verify(network: NetworkUp, model: str) -> str:
    """Recompute an answer that is fetched by its URL; returns what `nexus verify` says. Raises DemoError."""
    _, id = stream_long(network, model)
    done = network.nexus("verify", f"{network.address}/v1/receipts/{id}")
    if done.returncode:
        raise DemoError(f"nexus verify failed: {(done.stdout + done.stderr).strip()[-500:]}")
    return done.stdout.strip()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m-instruct")
    model = parser.parse_args().model
    began = time.monotonic()
    try:
        print(f"nexus up --model {model}", flush=True)
        with network_up(FOLDER, [model]) as network:
            print(f"  serves at {network.address} after {time.monotonic() - began:.0f} s", flush=True)
            conversations = talk(network, model)
            print("\n" + verify(network, model), flush=True)
            same = lose_a_node(network, model)
    except (DemoError, NexusError, openai.OpenAIError, anthropic.AnthropicError, ollama.ResponseError) as error:
        print(f"demo-chat failed: {error}", file=sys.stderr)
        return 1
    figures = {
        "model": model,
        "conversations": conversations,
        "verified": True,
        "failover_same_bits": same,
        "clients": list(CLIENTS),
        "seconds": round(time.monotonic() - began, 1),
    }
    print("\n" + json.dumps(write_record(REPORT, figures), indent=1))
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
