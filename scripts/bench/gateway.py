"""The gateway under load: what it adds to a request, how many streams it holds, what it keeps in memory.

``nexus up`` with one node for each of two segments, and callers over TCP:

- a request's own time at the gateway: a caller's whole time less what the gateway says the network took
  (``server-timing``), over short answers one after the other; median
- ``/v1/models`` requests a second from one connection, the gateway and this program on one core each
- tokens a second of one stream, and of 64 at once; how the slowest of the 64 compares with their mean
- the gateway's resident memory over a run of 15 minutes with 8 streams at once: growth over its last half
- the model through two nodes against one engine with the nodes' threads, neither drafting; in turns

Writes ``build/bench/gateway.json``: ``overhead_ms_median``, ``models_per_second``, ``throughput_ratio_64``,
``slowest_over_mean``, ``memory_growth``, ``two_nodes_ratio``, ``bars`` and the figures behind them.

    python -m scripts.bench.gateway [--model NAME] [--minutes 15] [--rounds 5]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import torch

from nexus_chain.engine.engine import Engine
from nexus_chain.engine.generation import generate
from nexus_chain.errors import NexusError
from nexus_chain.program import IntegerModel
from nexus_chain.versions.model_files import ModelFiles
from scripts.bench.record import FOLDER as REPORTS
from scripts.bench.record import write_record
from scripts.runs.demo_network import ROOT, DemoError
from scripts.runs.network_up import NetworkUp, network_up

FOLDER = ROOT / "build" / "bench-gateway"
BARS = {
    "overhead_ms_median": 5.0, "models_per_second": 500, "throughput_ratio_64": 4.0, "slowest_over_mean": 0.5,
    "memory_growth": 0.05, "two_nodes_ratio": 0.85,
}  # fmt: skip
AT_MOST = ("overhead_ms_median", "memory_growth")
STREAMS, STREAM_TOKENS, STEADY_STREAMS = 64, 64, 8
QUESTION = "Write a long story about the sea."
MEMORY_SECONDS = 5.0
END_BYTES = 2_000
"""Of a stream: its last chunk, which has the usage, is in them."""
USAGE = re.compile(rb'"completion_tokens":(\d+).*\[DONE\]', re.DOTALL)


@dataclass(frozen=True)
class Streamed:
    """One stream as its reader saw it."""

    tokens: int
    seconds: float

    @property
    def rate(self) -> float:
        """Tokens a second."""
        return self.tokens / self.seconds


def http(network: NetworkUp, connections: int = 1) -> httpx.AsyncClient:
    """A caller with the operator's key."""
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    head = {"authorization": f"Bearer {network.key}"}
    return httpx.AsyncClient(base_url=network.address, headers=head, timeout=600, limits=limits)


def body(model: str, tokens: int, *, stream: bool, seed: int = 1, question: str = QUESTION) -> dict[str, Any]:
    """A chat request whose answer has to be so long."""
    asked = {"model": model, "messages": [{"role": "user", "content": question}], "max_tokens": tokens, "seed": seed}
    return {
        **asked,
        "temperature": 0.7,
        "stream": stream,
        "stream_options": {"include_usage": True} if stream else None,
    }


async def own_milliseconds(network: NetworkUp, model: str, requests: int) -> list[float]:
    """What the gateway adds to each of some requests, without the first."""
    found = []
    async with http(network) as client:
        for number in range(requests + 1):
            began = time.perf_counter()
            reply = await client.post("/v1/chat/completions", json=body(model, 2, stream=False, seed=number))
            whole = 1000 * (time.perf_counter() - began)
            reply.raise_for_status()
            found.append(whole - float(reply.headers["server-timing"].partition("dur=")[2]))
    return found[1:]


async def models_per_second(network: NetworkUp, seconds: float = 5.0) -> float:
    """Requests for the list of models, over 4 connections that are kept."""
    async with http(network, 4) as client:

        async def ask(until: float) -> int:
            count = 0
            while time.perf_counter() < until:
                (await client.get("/v1/models")).raise_for_status()
                count += 1
            return count

        began = time.perf_counter()
        counts = await asyncio.gather(*(ask(began + seconds) for _ in range(4)))
        return sum(counts) / (time.perf_counter() - began)


async def stream(client: httpx.AsyncClient, model: str, seed: int, tokens: int = STREAM_TOKENS) -> Streamed:
    """One answer, read as it comes."""
    began, end = time.perf_counter(), b""
    async with client.stream("POST", "/v1/chat/completions", json=body(model, tokens, stream=True, seed=seed)) as reply:
        reply.raise_for_status()
        async for piece in reply.aiter_raw():  # read as little as can be: the nodes need the processors
            end = (end + piece)[-END_BYTES:]
    taken = time.perf_counter() - began
    if (found := USAGE.search(end)) is None:
        raise DemoError(f"a stream failed: {end.decode(errors='replace')}")
    return Streamed(int(found[1]), taken)


async def at_once(network: NetworkUp, model: str, streams: int, seed: int) -> tuple[float, list[float]]:
    """Tokens a second of all streams together, and of each."""
    async with http(network, streams) as client:
        began = time.perf_counter()
        found = await asyncio.gather(*(stream(client, model, seed + number) for number in range(streams)))
        taken = time.perf_counter() - began
    return sum(one.tokens for one in found) / taken, [one.rate for one in found]


def resident_bytes(process: int) -> int:
    """Memory of a process that is not shared with files."""
    fields = dict(
        line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines() if ":" in line
    )
    return 1024 * int(fields["RssAnon"].split()[0])


async def memory_over(network: NetworkUp, model: str, minutes: float) -> list[int]:
    """The gateway's memory every few seconds while streams come and go."""
    gateway, until, samples = network.processes()["gateway"], time.monotonic() + 60 * minutes, []

    async def keep_asking(client: httpx.AsyncClient, seed: int) -> None:
        while time.monotonic() < until:
            await stream(client, model, seed)
            seed += STEADY_STREAMS

    async with http(network, STEADY_STREAMS) as client:
        asking = asyncio.gather(*(keep_asking(client, 10_000 + number) for number in range(STEADY_STREAMS)))
        while time.monotonic() < until and not asking.done():
            samples.append(resident_bytes(gateway))
            await asyncio.sleep(MEMORY_SECONDS)
        await asking
    return samples


def growth(samples: list[int]) -> float:
    """Of the last quarter's median over the third quarter's."""
    quarter = max(1, len(samples) // 4)
    return statistics.median(samples[-quarter:]) / statistics.median(samples[-2 * quarter : -quarter]) - 1


def two_nodes(network: NetworkUp, model: str, rounds: int, tokens: int = 64) -> tuple[list[float], list[float]]:
    """Tokens a second after the first, through the nodes and from one engine with one thread, in turns."""
    state = json.loads((network.home / "network.json").read_text())
    version = state["published"][model]["version"].removeprefix("0x")
    files = ModelFiles(network.home / "models" / version[:16])
    loaded = IntegerModel.load(files.folder)
    engine = Engine(loaded.program, loaded.weights, threads=1)
    prompt = files.chat_prompt([{"role": "user", "content": QUESTION}], tokens)
    network.nexus("session", "open", "--tokens", str((rounds + 2) * (len(prompt) + tokens + 64)))
    speeds: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds + 1):
        said = network.nexus("ask", QUESTION, "--max-tokens", str(tokens), "--no-drafts", "--json")
        if said.returncode:
            raise DemoError(f"nexus ask failed: {said.stderr.strip()[-300:]}")
        answer = json.loads(said.stdout)
        steps = generate([engine], prompt, len(answer["tokens"]))
        next(steps)
        began = time.perf_counter()
        count = sum(1 for _ in steps)
        if number:
            speeds[0].append(float(answer["tokens_per_second"]))
            speeds[1].append(count / (time.perf_counter() - began))
    return speeds


def bench(network: NetworkUp, model: str, minutes: float, rounds: int) -> dict[str, Any]:
    """All figures."""
    own = asyncio.run(own_milliseconds(network, model, 20 * rounds))
    asked = asyncio.run(models_per_second(network))
    asyncio.run(at_once(network, model, STREAMS, 1))  # sessions and connections are made
    singles, manys, slowest = [], [], []
    for number in range(rounds):
        singles.append(asyncio.run(at_once(network, model, 1, 100 + number))[0])
        together, each = asyncio.run(at_once(network, model, STREAMS, 1000 * (number + 1)))
        manys.append(together)
        slowest.append(min(each) / statistics.mean(each))
    samples = asyncio.run(memory_over(network, model, minutes))
    nodes, engine = two_nodes(network, model, rounds)
    return {
        "model": model,
        "overhead_ms_median": statistics.median(own),
        "models_per_second": asked,
        "one_stream_tokens_per_second": statistics.median(singles),
        "streams_64_tokens_per_second": statistics.median(manys),
        "throughput_ratio_64": statistics.median(manys) / statistics.median(singles),
        "slowest_over_mean": statistics.median(slowest),
        "memory_bytes": [samples[0], samples[len(samples) // 2], samples[-1]],
        "memory_minutes": minutes,
        "memory_growth": growth(samples),
        "nodes_tokens_per_second": statistics.median(nodes),
        "engine_tokens_per_second": statistics.median(engine),
        "two_nodes_ratio": statistics.median(nodes) / statistics.median(engine),
        "bars": BARS,
    }


def missed(figures: dict[str, Any]) -> list[str]:
    """Bars that a run did not meet."""
    wrong = {name: figures[name] > bar if name in AT_MOST else figures[name] < bar for name, bar in BARS.items()}
    return [name for name, is_wrong in wrong.items() if is_wrong]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m-instruct")
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    try:
        with network_up(FOLDER, [options.model], "--copies", "1") as network:
            figures = bench(network, options.model, options.minutes, options.rounds)
    except (DemoError, NexusError, httpx.HTTPError) as error:
        print(f"bench-gateway: {error!r}", file=sys.stderr)
        return 1
    print(json.dumps(write_record(REPORTS / "gateway.json", figures), indent=2))
    for name in missed(figures):
        print(f"bench-gateway: {name} is {figures[name]:.3g}, and the bar is {BARS[name]}", file=sys.stderr)
    return 1 if missed(figures) else 0


if __name__ == "__main__":
    sys.exit(main())
