"""Calls and events of the shipped contracts, as bytes and as values. Asks nobody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from nexus_chain.chain.abi_values import WORD_BYTES, AbiError, abi_types, decode_abi, encode_abi, signature_hash
from nexus_chain.chain.errors import TransactionError
from nexus_chain.chain.interfaces import abi
from nexus_chain.chain.rpc_answers import LogEntry, nonsense


@dataclass(frozen=True)
class ContractCall:
    """A call of a contract's function with its arguments. ``outputs``: types of what it returns."""

    contract: str
    function: str
    address: str
    data: bytes
    outputs: tuple[str, ...]

    @property
    def fields(self) -> dict[str, Any]:
        """As ``eth_call`` takes it."""
        return {"to": self.address, "data": self.data}

    def value(self, returned: bytes) -> Any:
        """What the call returned: one output itself, several as a tuple; structs are tuples.

        Raises TransactionError: it is no value of these types.
        """
        if not returned or len(returned) % WORD_BYTES:
            raise nonsense(f"{self.contract}.{self.function} returned {len(returned)} bytes, which are no words")
        try:
            values = decode_abi(self.outputs, returned)
        except AbiError as error:
            raise nonsense(f"{self.contract}.{self.function}: {error}") from error
        return values[0] if len(values) == 1 else values


def contract_call(contract: str, address: str, name: str, arguments: tuple[Any, ...]) -> ContractCall:
    """The call of function ``name``. Raises TransactionError where the arguments are none of its types."""
    entry = _entry(contract, "function", name)
    try:
        data = _selector(contract, name) + encode_abi(abi_types(entry["inputs"]), arguments)
    except AbiError as error:
        raise TransactionError(
            f"{contract}.{name} cannot be called: {error}", advice="Check the arguments against the interface."
        ) from error
    return ContractCall(contract, name, address, data, tuple(abi_types(entry["outputs"])))


def arguments_of(contract: str, name: str, data: bytes) -> dict[str, Any] | None:
    """Arguments by name in the data of a transaction that calls function ``name``; None where it does not."""
    inputs = _entry(contract, "function", name)["inputs"]
    if data[:4] != _selector(contract, name):
        return None
    try:
        values = decode_abi(abi_types(inputs), data[4:], strict=False)
    except AbiError:
        return None
    return {item["name"]: value for item, value in zip(inputs, values, strict=True)}


def event_topics(contract: str, name: str, where: Mapping[str, Any]) -> list[bytes | None]:
    """Topics that find events ``name`` whose indexed arguments are as in ``where``; None takes anything."""
    indexed = [item for item in _entry(contract, "event", name)["inputs"] if item["indexed"]]
    if unknown := set(where) - {item["name"] for item in indexed}:
        raise ValueError(f"{contract}.{name} has no indexed {', '.join(sorted(unknown))}")
    topics: list[bytes | None] = [event_topic(contract, name)]
    for item in indexed:
        known = item["name"] in where
        topics.append(encode_abi(abi_types([item]), [where[item["name"]]]) if known else None)
    return topics


@cache
def event_topic(contract: str, name: str) -> bytes:
    """What every event ``name`` is marked with."""
    return signature_hash(_entry(contract, "event", name))


def event_in(contract: str, log: LogEntry) -> tuple[str, dict[str, Any]]:
    """The event that a log of the contract is, with its arguments by name. Raises TransactionError where it is none."""
    entry = _events(contract).get(log.topics[0] if log.topics else b"")
    if entry is None:
        raise nonsense(f"log {log.index} of {log.transaction} is no event of {contract}")
    indexed = [item for item in entry["inputs"] if item["indexed"]]
    other = [item for item in entry["inputs"] if not item["indexed"]]
    try:
        found = decode_abi(abi_types(indexed), b"".join(log.topics[1:]))
        rest = decode_abi(abi_types(other), log.data)
    except AbiError as error:
        raise nonsense(f"log {log.index} of {log.transaction} is no {entry['name']}: {error}") from error
    values = {item["name"]: _named(item, value) for item, value in zip(indexed + other, found + rest, strict=True)}
    return entry["name"], {item["name"]: values[item["name"]] for item in entry["inputs"]}


def _named(item: dict[str, Any], value: Any) -> Any:
    """``value`` with its structs' members by name."""
    kind = str(item["type"])
    if not kind.startswith("tuple"):
        return value
    if kind.endswith("]"):
        inner = {**item, "type": kind[: kind.rindex("[")]}
        return tuple(_named(inner, entry) for entry in value)
    parts = item["components"]
    return {part["name"]: _named(part, member) for part, member in zip(parts, value, strict=True)}


@cache
def _entry(contract: str, kind: str, name: str) -> dict[str, Any]:
    (found,) = (entry for entry in abi(contract) if entry["type"] == kind and entry["name"] == name)
    return found


@cache
def _selector(contract: str, name: str) -> bytes:
    return signature_hash(_entry(contract, "function", name))[:4]


@cache
def _events(contract: str) -> dict[bytes, dict[str, Any]]:
    names = [entry["name"] for entry in abi(contract) if entry["type"] == "event"]
    return {event_topic(contract, name): _entry(contract, "event", name) for name in names}
