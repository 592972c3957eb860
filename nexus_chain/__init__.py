"""Language-model inference that nobody has to trust: the names that a program needs.

    import nexus_chain as nexus

    with nexus.connect() as network:
        print(network.ask("def fib(n):").text)

Each name is loaded when it is first used, so importing the package costs nothing. ARCHITECTURE.md says what lies where.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nexus_chain.client.answer import Answer as Answer
    from nexus_chain.client.answer_threads import AsyncAnswer as AsyncAnswer
    from nexus_chain.client.client import Client as Client
    from nexus_chain.client.order import AskOptions as AskOptions
    from nexus_chain.client.pool import PooledAnswer as PooledAnswer
    from nexus_chain.client.pool import PoolPolicy as PoolPolicy
    from nexus_chain.client.session import Session as Session
    from nexus_chain.errors import NexusError as NexusError
    from nexus_chain.evidence.proof import InferenceProof as InferenceProof
    from nexus_chain.evidence.verify import verify_proof as verify
    from nexus_chain.workflows.connected import AsyncNetwork as AsyncNetwork
    from nexus_chain.workflows.connected import Network as Network
    from nexus_chain.workflows.connected import connect_network as connect
    from nexus_chain.workflows.connected import connect_network_async as connect_async

__all__ = [
    "Answer",
    "AskOptions",
    "AsyncAnswer",
    "AsyncNetwork",
    "Client",
    "InferenceProof",
    "Network",
    "NexusError",
    "PoolPolicy",
    "PooledAnswer",
    "Session",
    "connect",
    "connect_async",
    "verify",
]

_PLACES = {
    "Answer": "client.answer:Answer",
    "AskOptions": "client.order:AskOptions",
    "AsyncAnswer": "client.answer_threads:AsyncAnswer",
    "AsyncNetwork": "workflows.connected:AsyncNetwork",
    "Client": "client.client:Client",
    "InferenceProof": "evidence.proof:InferenceProof",
    "Network": "workflows.connected:Network",
    "NexusError": "errors:NexusError",
    "PoolPolicy": "client.pool:PoolPolicy",
    "PooledAnswer": "client.pool:PooledAnswer",
    "Session": "client.session:Session",
    "connect": "workflows.connected:connect_network",
    "connect_async": "workflows.connected:connect_network_async",
    "verify": "evidence.verify:verify_proof",
}


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _PLACES[name].partition(":")
    found: object = getattr(import_module(f"{__name__}.{module}"), attribute)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
