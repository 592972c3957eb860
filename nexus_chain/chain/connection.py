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
from web3 import Web3
from web3.exceptions import BadResponseFormat
from web3.middleware import ExtraDataToPOAMiddleware

from nexus_chain.chain.errors import RpcNonsenseError, RpcUnreachableError, WrongChainError
from nexus_chain.chain.provider import RpcProvider, shown_url


def connect(rpc_url: str, expected_chain_id: int | None = None, *, timeout: float = 15.0, retries: int = 3) -> Web3:
    """A Web3 for ``rpc_url``, or for several with commas between, whose chain id was checked.

    The first address is used as long as it answers. ``timeout``: seconds of one request; ``retries`` 0 asks each
    server once. Raises RpcUnreachableError and WrongChainError.
    """
    urls = [url.strip() for url in rpc_url.split(",") if url.strip()] or [rpc_url]
    for url in urls:
        if not _is_address(url):
            raise RpcUnreachableError(
                f"{shown_text(url)} is not an RPC address", advice="Give one like http://127.0.0.1:8545."
            )
    provider = RpcProvider(urls, timeout=timeout, retries=retries)
    web3 = Web3(provider)
    # Proof-of-authority chains put more than 32 bytes into extraData; harmless elsewhere.
    web3.middleware_onion.inject(ExtraDataToPOAMiddleware, layer=0)
    web3.codec = _lenient(web3.codec)
    with rpc_errors(rpc_url):
        provider.chain_id = expected_chain_id if len(urls) > 1 else None
        chain_id = _chain_id(web3)
    if expected_chain_id is not None and chain_id != expected_chain_id:
        raise WrongChainError(
            f"{shown_url(provider.endpoint_uri)} serves chain {chain_id}, not chain {expected_chain_id}",
            advice=f"Give the RPC address of chain {expected_chain_id}, or deploy and configure for chain {chain_id}.",
        )
    provider.chain_id = chain_id
    return web3


def _chain_id(web3: Web3) -> int:
    try:
        return int(web3.eth.chain_id)
    except (ValueError, TypeError) as error:
        raise RpcNonsenseError(
            f"no chain answers at {shown_url(url_of(web3))}: its id is no number", advice="Check the address."
        ) from error


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def shown_text(url: str) -> str:
    """What was given in place of an address, without what may be secret in it."""
    scheme, found, rest = url.split("?")[0].partition("://")
    host = (rest if found else scheme).split("@")[-1].split("/")[0]  # keys stand in paths, too
    return repr(f"{scheme}://{host}"[:60] if found else host[:60])


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


def provider_of(web3: Web3) -> RpcProvider | None:
    """The provider of a Web3 made by ``connect``."""
    return web3.provider if isinstance(web3.provider, RpcProvider) else None
