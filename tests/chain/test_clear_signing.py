"""What hardware wallets show (ERC-7730): each function and field that it names is the contract's; none is missed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.contract_artefacts import TARGET

pytestmark = pytest.mark.fast

FOLDER = TARGET.parent / "clear_signing"
CONTRACTS = sorted(path.stem for path in FOLDER.iterdir())
DOORS = {"openGame", "closeGame", "slash"}
"""Functions that only another contract may call: nobody signs them."""
FORMATS = {"raw", "amount", "addressName", "date"}
LONGEST_LABEL, LONGEST_INTENT = 24, 48
"""Characters that small screens show whole."""


def described(contract: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / f"{contract}.json").read_text())
    return found


def functions(contract: str) -> dict[str, dict[str, Any]]:
    """What changes the chain, by the signature with names that the standard keys by."""
    entries = json.loads((TARGET / f"{contract}.json").read_text())["abi"]
    changing = [
        one for one in entries if one["type"] == "function" and one["stateMutability"] in ("payable", "nonpayable")
    ]
    return {f"{one['name']}({','.join(map(_parameter, one['inputs']))})": one for one in changing}


def _parameter(one: dict[str, Any]) -> str:
    return f"{_type(one)} {one['name']}".strip()


def _type(one: dict[str, Any]) -> str:
    if not one["type"].startswith("tuple"):
        return str(one["type"])
    return "(" + ",".join(map(_parameter, one["components"])) + ")" + one["type"].removeprefix("tuple")


def leaves(inputs: list[dict[str, Any]], before: str = "") -> Iterator[tuple[str, str]]:
    """(path, type) of every value that a call carries."""
    for one in inputs:
        kind, arrays = re.fullmatch(r"(\w+)((?:\[\d*\])*)", one["type"]).groups()  # type: ignore[union-attr]
        path = before + one["name"] + ".[]" * arrays.count("[")
        if kind == "tuple":
            yield from leaves(one["components"], f"{path}.")
        else:
            yield path, kind


CALLS = [(contract, signature) for contract in CONTRACTS for signature in described(contract)["display"]["formats"]]


@pytest.mark.parametrize("contract", CONTRACTS)
def test_a_descriptor_has_the_standards_form(contract: str) -> None:
    found = described(contract)
    assert set(found) == {"$schema", "context", "metadata", "display"}
    assert found["$schema"] == "https://eips.ethereum.org/assets/eip-7730/erc7730-v1.schema.json"
    assert set(found["context"]) == {"$id", "contract"}
    # Every operator's contracts are elsewhere: whoever hands it to wallets fills them in.
    assert found["context"]["contract"] == {"deployments": []}
    assert found["metadata"]["owner"]


@pytest.mark.parametrize(("contract", "signature"), CALLS)
def test_every_function_and_field_is_the_contracts(contract: str, signature: str) -> None:
    form = described(contract)["display"]["formats"][signature]
    entry = functions(contract)[signature]
    values = dict(leaves(entry["inputs"]))
    assert set(form) <= {"intent", "fields", "required", "excluded"}
    assert 0 < len(form["intent"]) <= LONGEST_INTENT
    paths = [field["path"] for field in form["fields"]]
    assert len(paths) == len(set(paths))
    # INVARIANT: nothing that a person signs is left out by oversight: it is shown, or said to be left out.
    assert set(paths) - {"@.value"} | set(form.get("excluded", [])) == set(values)
    assert ("@.value" in paths) == (entry["stateMutability"] == "payable")
    assert form.get("required", []) == paths
    for field in form["fields"]:
        assert set(field) <= {"path", "label", "format", "params"}
        assert field["format"] in FORMATS
        assert 0 < len(field["label"]) <= LONGEST_LABEL
        kind = values.get(field["path"], "uint256")
        assert (field["format"] == "addressName") == (kind == "address")
        if field["format"] in ("amount", "date"):
            assert kind.startswith("uint")


@pytest.mark.parametrize("contract", [name for name in CONTRACTS if name != "DisputeGame"])
def test_no_call_that_somebody_signs_is_without_words(contract: str) -> None:
    known = {signature.split("(")[0] for signature in described(contract)["display"]["formats"]}
    assert known == {signature.split("(")[0] for signature in functions(contract)} - DOORS


def test_the_page_signs_nothing_that_a_hardware_wallet_cannot_say() -> None:
    page = Path(__file__).parents[2] / "node" / "web" / "src"
    signed = set(re.findall(r'functionName: "(\w+)"', "".join(path.read_text() for path in page.rglob("*.tsx"))))
    changing = {one.split("(")[0] for contract in CONTRACTS for one in functions(contract)}
    known = {one.split("(")[0] for _, one in CALLS}
    assert {"deposit", "register", "requestUnbond"} <= signed
    assert signed & changing <= known
