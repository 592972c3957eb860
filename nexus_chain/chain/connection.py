"""Connecting to a chain by JSON-RPC, and saying clearly when that fails.

Knows nothing of contracts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import requests
from eth_abi.codec import ABICodec
from eth_abi.decoding import StringDecoder
from web3 import HTTPProvider, Web3
from web3.exceptions import BadResponseFormat
from web3.middleware import ExtraDataToPOAMiddleware
from web3.providers.rpc.utils import ExceptionRetryConfiguration

from nexus_chain.chain.errors import RpcUnreachableError, WrongChainError


def connect(rpc_url: str, expected_chain_id: int | None = None, *, timeout: float = 15.0, retries: int = 3) -> Web3:
    """A Web3 for ``rpc_url`` whose chain id was checked.

    ``retries`` counts attempts after the first for reads that may be repeated; transactions are never
    repeated. Raises RpcUnreachableError and WrongChainError.
    """
    if urlsplit(rpc_url).scheme not in ("http", "https"):
        raise RpcUnreachableError(f"{rpc_url!r} is not an RPC address", advice="Give one like http://127.0.0.1:8545.")
    transient = (ConnectionError, requests.HTTPError, requests.Timeout)
    retry = ExceptionRetryConfiguration(errors=transient, retries=retries + 1, backoff_factor=0.1)
    provider = HTTPProvider(rpc_url, request_kwargs={"timeout": timeout}, exception_retry_configuration=retry)
    web3 = Web3(provider)
    # Proof-of-authority chains put more than 32 bytes into extraData; harmless elsewhere.
    web3.middleware_onion.inject(ExtraDataToPOAMiddleware, layer=0)
    web3.codec = _lenient(web3.codec)
    with rpc_errors(rpc_url):
        chain_id = web3.eth.chain_id
    if expected_chain_id is not None and chain_id != expected_chain_id:
        raise WrongChainError(
            f"{shown_url(rpc_url)} serves chain {chain_id}, not chain {expected_chain_id}",
            advice=f"Give the RPC address of chain {expected_chain_id}, or deploy and configure for chain {chain_id}.",
        )
    return web3


class _AnyText(StringDecoder):
    """Solidity strings are any bytes: what is no UTF-8 is replaced."""

    def __init__(self) -> None:
        super().__init__(handle_string_errors="replace")  # type: ignore[no-untyped-call]


def _lenient(codec: ABICodec) -> ABICodec:
    """``codec``, which does not raise on a stranger's text: one bad endpoint would hide every node."""
    registry = codec._registry.copy()  # type: ignore[no-untyped-call]
    registry.unregister_decoder("string")
    registry.register_decoder("string", _AnyText, label="string")
    return ABICodec(registry)


@contextmanager
def rpc_errors(rpc_url: str) -> Iterator[None]:
    """Turn transport failures inside the block into RpcUnreachableError."""
    try:
        yield
    except (requests.exceptions.RequestException, BadResponseFormat, ConnectionError, json.JSONDecodeError) as error:
        raise RpcUnreachableError(
            f"no chain answers at {shown_url(rpc_url)} ({type(error).__name__})",
            advice="Check the address, and that the chain's RPC server is running.",
        ) from error


def url_of(web3: Web3) -> str:
    """The RPC address of a Web3 made by ``connect``."""
    return str(getattr(web3.provider, "endpoint_uri", "the RPC server"))


def shown_url(rpc_url: str) -> str:
    """``rpc_url`` without user, password, path and query: providers put secret API keys there."""
    parts = urlsplit(rpc_url)
    return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
