"""An in-process EVM that runs forge's artefacts, fast enough for thousands of calls."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from eth_abi import decode, encode
from eth_utils import function_signature_to_4byte_selector
from pyrevm import EVM

ROOT = Path(__file__).resolve().parents[2]
ARTEFACTS = Path(os.environ.get("FOUNDRY_OUT", ROOT / "build" / "forge"))
CALLER = "0x" + "11" * 20
GAS = 30_000_000


class Reverted(Exception):
    """The call reverted; the message holds what the EVM says."""


def artefact(contract: str) -> dict[str, Any]:
    """Forge's artefact of a contract."""
    loaded: dict[str, Any] = json.loads((ARTEFACTS / f"{contract}.sol" / f"{contract}.json").read_text())
    return loaded


def abi_type(entry: dict[str, Any]) -> str:
    """Canonical type of an ABI parameter."""
    if not entry["type"].startswith("tuple"):
        return str(entry["type"])
    inner = ",".join(abi_type(part) for part in entry["components"])
    return f"({inner}){entry['type'][5:]}"


#: How solc ends a contract's code: CBOR with the source's hash and the compiler's version.
_METADATA = re.compile(rb"\xa2\x64ipfs\x58\x22.{34}\x64solc\x43.{3}\x00\x33", re.DOTALL)
_BASE_FEE, _NUMBER, _PUSH1, _PUSH32 = 0x48, 0x43, 0x60, 0x7F


def base_fee_from_number(code: bytes) -> bytes:
    """``code`` with BASEFEE replaced by NUMBER: pyrevm keeps the base fee at 0, a block's number can be set."""
    patched, at = bytearray(code), 0
    ends = [match.span() for match in _METADATA.finditer(code)]
    while at < len(code):
        if ends and at >= ends[0][0]:
            at = ends.pop(0)[1]  # the next contract's code starts here
            continue
        if code[at] == _BASE_FEE:
            patched[at] = _NUMBER
        at += code[at] - _PUSH1 + 2 if _PUSH1 <= code[at] <= _PUSH32 else 1
    return bytes(patched)


class Machine:
    """One EVM; contracts are deployed with whatever libraries they link to.

    ``number_is_base_fee``: contracts read the block's number where they ask for its base fee.
    """

    chain_id = 1

    def __init__(self, number_is_base_fee: bool = False) -> None:
        self.evm = EVM(gas_limit=2**63)
        self._number_is_base_fee = number_is_base_fee
        self._libraries: dict[str, str] = {}

    def deploy(self, contract: str, *arguments: Any) -> Contract:
        """Create ``contract`` with constructor ``arguments``."""
        compiled = artefact(contract)
        code = compiled["bytecode"]["object"].removeprefix("0x")
        for libraries in compiled["bytecode"].get("linkReferences", {}).values():
            for name, places in libraries.items():
                address = self._library(name)
                for place in places:
                    start = 2 * place["start"]
                    code = code[:start] + address[2:].lower() + code[start + 40 :]
        types = next(
            (
                [abi_type(part) for part in entry["inputs"]]
                for entry in compiled["abi"]
                if entry["type"] == "constructor"
            ),
            [],
        )
        created = bytes.fromhex(code)
        if self._number_is_base_fee:
            created = base_fee_from_number(created)
        address = self.evm.deploy(CALLER, created + encode(types, arguments))
        return Contract(self, address, compiled["abi"])

    def _library(self, name: str) -> str:
        if name not in self._libraries:
            self._libraries[name] = self.deploy(name).address
        return self._libraries[name]


class Contract:
    """A deployed contract; ``call`` and ``send`` take Python values."""

    def __init__(self, machine: Machine, address: str, abi: list[dict[str, Any]]) -> None:
        self.machine, self.address = machine, address
        self.functions = {entry["name"]: entry for entry in abi if entry["type"] == "function"}

    def encode(self, function: str, *arguments: Any) -> bytes:
        """Calldata of a call."""
        types = [abi_type(part) for part in self.functions[function]["inputs"]]
        selector = function_signature_to_4byte_selector(f"{function}({','.join(types)})")
        return bytes(selector + encode(types, arguments))

    def call(self, function: str, *arguments: Any, caller: str = CALLER, value: int = 0) -> Any:
        """Run a call; its single result, a tuple of several, or None. Raises :class:`Reverted`."""
        data = self.run(self.encode(function, *arguments), caller=caller, value=value)
        types = [abi_type(part) for part in self.functions[function]["outputs"]]
        found = decode(types, data)
        return found[0] if len(found) == 1 else (found or None)

    def run(self, data: bytes, *, caller: str = CALLER, value: int = 0) -> bytes:
        """Raw call."""
        try:
            return bytes(self.machine.evm.message_call(caller, self.address, calldata=data, value=value, gas=GAS))
        except RuntimeError as error:
            raise Reverted(str(error)) from error

    @property
    def gas_used(self) -> int:
        """Gas of the call just made, calldata included."""
        return int(self.machine.evm.result.gas_used)
