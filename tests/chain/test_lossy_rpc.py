"""Random scripts of commands over an RPC server that drops, doubles, refuses and forgets.

``NEXUS_LOSSY_SCRIPTS`` scripts, from seed ``NEXUS_LOSSY_SEED`` on; `make fuzz-rpc` runs 2 000.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from nexus_chain.chain import errors, estimates, provider, transactions
from nexus_chain.chain.local import LocalChain
from nexus_chain.chain.provider import RpcProvider
from tests.support.chain_world import build_world
from tests.support.lossy_rpc import LOSSY_URL, LossyAdapter, LossyRpc
from tests.support.lossy_script import Tally, run_script

SCRIPTS, FIRST_SEED = int(os.environ.get("NEXUS_LOSSY_SCRIPTS", "20")), int(os.environ.get("NEXUS_LOSSY_SEED", "1"))
SCRIPTS_A_DEPLOYMENT = 50


@pytest.fixture
def use_lossy(monkeypatch: pytest.MonkeyPatch) -> Callable[[LossyRpc], None]:
    """Puts a lossy server behind LOSSY_URL. Pauses are a hundred times shorter than in life."""
    pauses = ((provider, "FIRST_PAUSE", "LONGEST_PAUSE"), (transactions, "_FIRST_PAUSE", "_LONGEST_PAUSE"))
    for module, first, longest in pauses:
        monkeypatch.setattr(module, first, 0.001)
        monkeypatch.setattr(module, longest, 0.01)
    monkeypatch.setattr(estimates, "FIRST_PAUSE", 0.001)
    for kind in (errors.RpcUnreachableError, errors.RpcBusyError, errors.RpcFailingError):
        monkeypatch.setattr(kind, "patience", 0.02)
    session = requests.Session()
    monkeypatch.setattr(RpcProvider, "_session", lambda self: session)
    return lambda rpc: session.mount(LOSSY_URL, LossyAdapter(rpc))


def test_no_wei_is_paid_twice_and_none_is_locked_without_a_record(
    local_chain: LocalChain, tmp_path: Path, use_lossy: Callable[[LossyRpc], None]
) -> None:
    tally = Tally()
    for index in range(SCRIPTS):
        if index % SCRIPTS_A_DEPLOYMENT == 0:
            folder = tmp_path / f"world-{index}"
            folder.mkdir()
            world = build_world(local_chain, folder)
        seed = FIRST_SEED + index
        try:
            rpc = LossyRpc(local_chain.rpc_url, seed)
            use_lossy(rpc)
            run_script(world, rpc, tmp_path / str(seed), seed, tally)
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
    figures = {"scripts": SCRIPTS, "commands": tally.commands, "longest_seconds": round(tally.longest, 1)}
    print(json.dumps({**figures, "failed": dict(tally.failures), "faults": dict(tally.faults)}))
