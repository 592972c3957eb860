"""How an address is spelled (EIP-55)."""

from __future__ import annotations

from nexus_chain.keccak import keccak256


def checksummed(address: bytes) -> str:
    """The one spelling of 20 bytes that shows its own typing errors: 0x and 40 digits, whose case is a checksum."""
    digits = address.hex()
    marks = keccak256(digits.encode()).hex()
    return "0x" + "".join(digit.upper() if mark >= "8" else digit for digit, mark in zip(digits, marks, strict=False))
