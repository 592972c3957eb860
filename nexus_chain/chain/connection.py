"""Connecting to a chain by JSON-RPC, and what it can be asked. Knows nothing of contracts.

It reads without web3, whose import takes longer than most answers; what sends has ``ChainConnection.web3``.

Every method raises RpcUnreachableError where nobody answers, RpcRefusedError where the server refuses, and
TransactionError where its answer makes no sense. Any thread may ask.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from nexus_chain.chain.errors import RpcNonsenseError, RpcRefusedError, RpcUnreachableError, WrongChainError
from nexus_chain.chain.provider import RpcProvider, shown_url
from nexus_chain.chain.reverts import revert_in
from nexus_chain.chain.rpc_answers import (
    BlockHead,
    LogEntry,
    TransactionReceipt,
    block_head,
    content,
    log_entries,
    nonsense,
    quantity,
    transaction_receipt,
)

if TYPE_CHECKING:
    from web3 import Web3

BlockName = int | str
"""A block's number, or ``latest`` or ``pending``."""


class ChainConnection:
    """One chain, by its RPC servers."""

    def __init__(self, provider: RpcProvider) -> None:
        self.provider = provider

    @cached_property
    def web3(self) -> Web3:
        """web3 over the same servers; it is imported here."""
        from nexus_chain.chain.web3_access import web3_over

        return web3_over(self.provider)

    def request(self, method: str, *parameters: Any) -> Any:
        """The bare result of one method."""
        return self.result(self.provider.make_request(method, list(parameters)))

    @staticmethod
    def result(answer: Mapping[str, Any]) -> Any:
        """The result in an answer of the provider."""
        error = answer.get("error")
        if error is not None:
            raise refusal(error)
        if "result" not in answer:
            raise nonsense("it has no result")
        return answer["result"]

    # ------------------------------------------------------------------- state

    def chain_id(self) -> int:
        """The id that the server states now."""
        return quantity(self.request("eth_chainId"))

    def block_number(self) -> int:
        """The latest block's."""
        return quantity(self.request("eth_blockNumber"))

    def block(self, name: BlockName = "latest") -> BlockHead:
        """Raises TransactionError where the server has no such block."""
        found = self.find_block(name)
        if found is None:
            raise nonsense(f"there is no block {name}")
        return found

    def find_block(self, name: BlockName) -> BlockHead | None:
        """None where the server has no such block."""
        try:
            found = self.request("eth_getBlockByNumber", block_word(name), False)
        except RpcRefusedError as error:
            if "not found" in error.said and ("block" in error.said or "header" in error.said):
                return None
            raise
        return None if found is None else block_head(found)

    def balance(self, address: str) -> int:
        """Wei."""
        return quantity(self.request("eth_getBalance", address, "latest"))

    def code(self, address: str) -> bytes:
        """The contract at ``address``; empty where there is none."""
        return content(self.request("eth_getCode", address, "latest"))

    def transaction_count(self, address: str, name: BlockName = "latest") -> int:
        """The next nonce of ``address``."""
        return quantity(self.request("eth_getTransactionCount", address, block_word(name)))

    def gas_price(self) -> int:
        """Wei per gas."""
        return quantity(self.request("eth_gasPrice"))

    def logs(self, address: str, topics: Sequence[Any], first: int, last: int) -> list[LogEntry]:
        """Logs of the contract at ``address`` in blocks [first, last]; ``topics`` as of ``eth_getLogs``, as bytes."""
        wanted = {
            "address": address, "topics": _hexadecimal(list(topics)), "fromBlock": hex(first), "toBlock": hex(last)
        }  # fmt: skip
        return log_entries(self.request("eth_getLogs", wanted))

    # ------------------------------------------------------------ transactions

    def call(self, fields: Mapping[str, Any], name: BlockName = "latest") -> bytes:
        """What a call returns. Raises ContractRevertedError."""
        answer = self.provider.make_request("eth_call", [_hexadecimal(dict(fields)), block_word(name)])
        if (reverted := revert_in(answer.get("error"))) is not None:
            raise reverted
        return content(self.result(answer))

    def transaction(self, name: str) -> dict[str, Any] | None:
        """A transaction by its hash (0x hex), mined or not, as the server gives it; None where it knows none."""
        found = self.request("eth_getTransactionByHash", name)
        if found is not None and not isinstance(found, dict):
            raise nonsense(f"{found!r:.80} is no transaction")
        return found

    def receipt(self, name: str) -> TransactionReceipt | None:
        """The receipt of a mined transaction, by its hash (0x hex); None where there is none."""
        found = self.request("eth_getTransactionReceipt", name)
        return None if found is None else transaction_receipt(found)


def connect(
    rpc_url: str, expected_chain_id: int | None = None, *, timeout: float = 15.0, retries: int = 3
) -> ChainConnection:
    """A connection to ``rpc_url``, or to several with commas between, whose chain id was checked.

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
    provider.chain_id = expected_chain_id if len(urls) > 1 else None
    connection = ChainConnection(provider)
    chain_id = _checked_id(connection)
    if expected_chain_id is not None and chain_id != expected_chain_id:
        raise WrongChainError(
            f"{shown_url(provider.endpoint_uri)} serves chain {chain_id}, not chain {expected_chain_id}",
            advice=f"Give the RPC address of chain {expected_chain_id}, or deploy and configure for chain {chain_id}.",
        )
    provider.chain_id = chain_id
    return connection


def _checked_id(connection: ChainConnection) -> int:
    answer = connection.provider.make_request("eth_chainId", [])
    if answer.get("error") is not None:
        raise refusal(answer["error"])
    try:
        return int(str(answer.get("result")), 16)
    except ValueError as error:
        raise RpcNonsenseError(
            f"no chain answers at {shown_url(connection.provider.endpoint_uri)}: its id is no number",
            advice="Check the address.",
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


def block_word(name: BlockName) -> str:
    """As requests spell a block."""
    return hex(name) if isinstance(name, int) else name


def _hexadecimal(value: Any) -> Any:
    """Numbers and bytes as JSON-RPC has them."""
    if isinstance(value, dict):
        return {name: _hexadecimal(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_hexadecimal(member) for member in value]
    if isinstance(value, bytes):
        return "0x" + value.hex()
    return hex(value) if isinstance(value, int) and not isinstance(value, bool) else value


def refusal(error: Any) -> RpcRefusedError:
    """What a JSON-RPC error says. INVARIANT: nothing that the server says is more than a line of the message."""
    message = str(error.get("message") or error) if isinstance(error, dict) else str(error)
    refused = RpcRefusedError(
        f"the chain's RPC server refused: {message.splitlines()[0][:200] if message.strip() else 'no reason given'}",
        advice="Check balance and fees of the wallet; if it persists, try another RPC server.",
    )
    refused.said = str(error).lower()
    return refused
