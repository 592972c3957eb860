"""web3 over the RPC servers of a connection: it builds what is sent, and hands it in.

Slow to import: only what sends imports it. Knows nothing of contracts.
"""

from __future__ import annotations

from typing import Any

from eth_abi.codec import ABICodec
from eth_abi.decoding import StringDecoder
from web3 import Web3
from web3.middleware import ExtraDataToPOAMiddleware
from web3.providers.base import JSONBaseProvider
from web3.types import RPCEndpoint, RPCResponse

from nexus_chain.chain.provider import RpcProvider


class AnyTextDecoder(StringDecoder):
    """Solidity strings are any bytes: one stranger's bad text must not hide everybody else's."""

    def __init__(self) -> None:
        super().__init__(handle_string_errors="replace")  # type: ignore[no-untyped-call]


class RelayingProvider(JSONBaseProvider):
    """web3's provider: its requests take the way of all others, with their fail-over and their errors."""

    def __init__(self, servers: RpcProvider) -> None:
        super().__init__()
        self._servers = servers

    @property
    def endpoint_uri(self) -> str:
        """The server that is asked first."""
        return self._servers.endpoint_uri

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """One request. Raises RpcUnreachableError, WrongChainError."""
        answer: Any = self._servers.make_request(method, params)
        return answer  # type: ignore[no-any-return]


def web3_over(servers: RpcProvider) -> Web3:
    """A Web3 whose requests ``servers`` carries."""
    web3 = Web3(RelayingProvider(servers))
    # Proof-of-authority chains put more than 32 bytes into extraData; harmless elsewhere.
    web3.middleware_onion.inject(ExtraDataToPOAMiddleware, layer=0)
    web3.codec = _lenient(web3.codec)
    return web3


def _lenient(codec: ABICodec) -> ABICodec:
    """``codec``, which does not raise on a stranger's text."""
    registry = codec._registry.copy()  # type: ignore[no-untyped-call]
    registry.unregister_decoder("string")
    registry.register_decoder("string", AnyTextDecoder, label="string")
    return ABICodec(registry)
