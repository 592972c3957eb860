"""The compiled contracts: ABI and creation code, as ``scripts/contract_artefacts.py`` wrote them from the sources."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any

from nexus_chain.chain.abi_values import signature_hash

CONTRACTS = (
    "CertificateRegistry",
    "CreditDeposits",
    "DisputeGame",
    "GenesisVault",
    "InferenceMarket",
    "ModelRegistry",
    "NodeRegistry",
    "StepVerifier",
)
#: Contracts whose code is in several pieces behind one address: the compiled sources that make up their ABI.
PIECES = {"DisputeGame": ("DisputeGame", "DisputeAnswers"), "StepVerifier": ("IStepVerifier",)}


@cache
def abi(contract: str) -> tuple[dict[str, Any], ...]:
    """The ABI of one of ``CONTRACTS``."""
    return tuple(_artefact(contract)["abi"])


def creation_code(contract: str) -> str:
    """The code that creates one of ``CONTRACTS``, in hexadecimal with 0x; constructor arguments follow it."""
    return str(_artefact(contract)["bytecode"])


def deployed_size(contract: str) -> int:
    """Bytes of one of ``CONTRACTS`` once it is created."""
    return int(_artefact(contract)["deployed_size"])


@cache
def custom_errors() -> dict[bytes, dict[str, Any]]:
    """Every custom error of every contract, by its 4-byte selector."""
    entries = (entry for contract in CONTRACTS for entry in abi(contract) if entry["type"] == "error")
    return {signature_hash(entry)[:4]: entry for entry in entries}


@cache
def _artefact(contract: str) -> dict[str, Any]:
    text = resources.files(__package__).joinpath("artefacts", f"{contract}.json").read_text("utf-8")
    content: dict[str, Any] = json.loads(text)
    return content
