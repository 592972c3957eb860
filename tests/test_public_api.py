"""What ``import nexus_chain`` gives: sorted, documented, and loaded when it is used."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import nexus_chain as nexus


def test_names_are_sorted_and_each_has_its_place() -> None:
    assert nexus.__all__ == sorted(nexus.__all__)
    assert set(nexus.__all__) == set(nexus._PLACES)
    assert set(nexus.__all__) <= set(dir(nexus))


@pytest.mark.parametrize("name", nexus.__all__)
def test_every_name_is_there_and_documented(name: str) -> None:
    found = getattr(nexus, name)
    assert inspect.getdoc(found)
    for attribute, value in vars(found).items() if inspect.isclass(found) else ():
        if not attribute.startswith("_") and inspect.isfunction(value):
            assert inspect.getdoc(value), f"{name}.{attribute}"


def test_a_name_that_is_not_there_is_said_to_be_missing() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        nexus.nothing  # noqa: B018


def test_importing_loads_nothing_heavy() -> None:
    code = "import sys, nexus_chain; nexus_chain.NexusError; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not {"torch", "numpy", "web3", "coincurve", "requests", "asyncio"} & set(loaded)
    assert {name for name in loaded if name.startswith("nexus_chain.")} == {"nexus_chain.errors"}


def test_connecting_says_what_is_missing(tmp_path: Path) -> None:
    nowhere: dict[str, Any] = {"rpc": "http://127.0.0.1:1", "home": tmp_path}
    with pytest.raises(nexus.NexusError, match="no chain answers"):
        nexus.connect(**nowhere)
    with pytest.raises(nexus.NexusError, match="no chain answers"):
        asyncio.run(nexus.connect_async(**nowhere))
    with pytest.raises(nexus.NexusError, match="there is no setting 'colour'"):
        nexus.connect(colour="red")
