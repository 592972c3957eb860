"""Every custom error is decoded and has advice; the shipped ABIs are the compiled ones."""

from __future__ import annotations

import pytest
from eth_abi.abi import encode
from eth_utils.abi import collapse_if_tuple

from nexus_chain.chain.interfaces import custom_errors
from nexus_chain.chain.reverts import ADVICE, decode_revert

ERRORS = {entry["name"]: (selector, entry) for selector, entry in custom_errors().items()}


def test_every_custom_error_has_advice() -> None:
    assert set(ERRORS) - set(ADVICE) == set()
    assert all(advice.endswith(".") for advice in ADVICE.values())


def test_no_advice_for_errors_that_do_not_exist() -> None:
    assert set(ADVICE) - set(ERRORS) == set()


ZERO = {
    "address": "0x" + "00" * 20,
    "bytes32": bytes(32),
    "bool": False,
    "string": "",
    "(uint16,uint16,uint16)": (0, 0, 0),
}


@pytest.mark.parametrize("name", sorted(ERRORS))
def test_custom_errors_are_decoded(name: str) -> None:
    selector, entry = ERRORS[name]
    kinds = [collapse_if_tuple(item) for item in entry["inputs"]]
    data = selector + encode(kinds, [ZERO.get(kind, 0) for kind in kinds])
    error = decode_revert("0x" + data.hex())
    assert error.error_name == name
    assert list(error.arguments) == [item["name"] for item in entry["inputs"]]
    assert str(error).endswith(ADVICE[name])


def test_plain_reverts_panics_and_garbage() -> None:
    reason = decode_revert("0x08c379a0" + encode(["string"], ["no luck"]).hex())
    assert (reason.error_name, reason.arguments) == ("Error", {"reason": "no luck"})
    panic = decode_revert("0x4e487b71" + encode(["uint256"], [0x11]).hex())
    assert panic.arguments == {"code": 0x11, "reason": "arithmetic overflow"}
    selector = ERRORS["NodeRegistry_Unknown"][0]
    for data in (None, "0x", "0xdeadbeef00", "0x" + selector.hex() + "ff"):
        assert decode_revert(data, "said the server").error_name == "Unknown"
