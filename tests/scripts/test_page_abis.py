"""The ABIs that the page calls with are those of the contracts that are shipped."""

from __future__ import annotations

import json
import re

import pytest

from scripts.contract_artefacts import TARGET
from scripts.page_abis import PAGE_ABIS, USED, page_abis_text

pytestmark = pytest.mark.fast


def test_the_pages_abis_are_those_of_the_artefacts() -> None:
    assert PAGE_ABIS.read_text() == page_abis_text(), "run: python -m scripts.page_abis"


@pytest.mark.parametrize("contract", USED)
def test_every_reason_to_refuse_is_known_to_the_page(contract: str) -> None:
    shipped = json.loads((TARGET / f"{contract}.json").read_text())["abi"]
    errors = {entry["name"] for entry in shipped if entry["type"] == "error"}
    found = set(re.findall(r'name: "(\w+)"', PAGE_ABIS.read_text()))
    assert errors
    assert errors <= found
