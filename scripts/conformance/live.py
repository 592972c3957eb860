"""A live gateway for foreign clients: one that is given, or a network with three models that ``nexus up`` brings up.

The network is kept in ``build/conformance/network``, so that only the first start publishes models.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.conformance.environments import FOLDER
from scripts.runs.network_up import network_up

NETWORK = FOLDER / "network"
SERVED = {"TEXT": "python-stdlib", "CHAT": "smollm2-135m-instruct", "ENCODER": "all-minilm-l6-v2"}


def add_gateway_flags(flags: ArgumentParser) -> None:
    """``--url`` and ``--key-file``."""
    flags.add_argument("--url", help="a gateway that runs; without one, nexus up starts a network")
    flags.add_argument("--key-file", help="holds a key of that gateway")


@contextmanager
def live_gateway(url: str | None, key_file: str | None) -> Iterator[tuple[str, str]]:
    """Address and key of the gateway that is given, or of a network's until the context ends. Raises DemoError."""
    if url and key_file:
        yield url.rstrip("/"), Path(key_file).read_text().strip()
        return
    with network_up(NETWORK.absolute(), list(SERVED.values()), "--copies", "1") as network:
        yield network.address, network.key
