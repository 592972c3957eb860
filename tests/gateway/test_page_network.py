"""What the page is told of the chain: public facts, and no address of a server that has a key in it."""

from __future__ import annotations

from typing import Any, cast

import httpx
import pytest
from fastapi.testclient import TestClient

from nexus_chain.chain.deployment import Deployment
from nexus_chain.errors import SettingsError
from nexus_chain.settings import Settings
from node.gateway.app import build_app
from node.gateway.deps import Deps
from node.gateway.open_accounts import SingleKeyAccounts
from node.gateway.page_chain import PageChain, page_chain
from node.gateway.settings import GatewaySettings

pytestmark = pytest.mark.fast

SECRET_RPC = "https://rpc.example/v3/a-key-that-costs-money"
ADDRESSES = {
    name: "0x" + f"{place:02x}" * 20
    for place, name in enumerate(
        (
            "node_registry", "model_registry", "inference_market", "genesis_vault", "certificate_registry",
            "step_verifier", "dispute_game", "deposits", "operator",
        ),
        start=1,
    )
}  # fmt: skip


class Contract:
    """A deposit contract that answers from memory."""

    address = ADDRESSES["deposits"]

    def operator(self) -> str:
        return ADDRESSES["operator"]

    def notice(self) -> int:
        return 3_600


class Here:
    """What ``page_chain`` reads of a workspace."""

    settings = Settings(rpc=SECRET_RPC, confirmations=3)

    class chain:
        deployment = Deployment(31337, *(ADDRESSES[name] for name in list(ADDRESSES)[:7]), block=12)


def facts(deposits: Contract | None, **settings: Any) -> PageChain:
    return page_chain(cast(Any, Here()), GatewaySettings(**settings), cast(Any, deposits))


def asked(chain: PageChain | None) -> httpx.Response:
    app = build_app(Deps(cast(Any, None), SingleKeyAccounts("sk"), chain=chain), GatewaySettings())
    return TestClient(app).get("/page/network")


def test_the_page_is_told_chain_contracts_and_deposits() -> None:
    given = {"public_rpc": "https://a.example, http://127.0.0.1:8545", "chain_name": "Test", "deposits_block": 14}
    said = asked(facts(Contract(), **given)).json()
    assert said == {
        "chain_id": 31337,
        "name": "Test",
        "rpc_urls": ["https://a.example", "http://127.0.0.1:8545"],
        "currency": {"name": "Ether", "symbol": "ETH", "decimals": 18},
        "contracts": {
            name: ADDRESSES[name] for name in ("node_registry", "model_registry", "inference_market", "dispute_game")
        },
        "block": 12,
        "confirmations": 3,
        "deposits": {
            "contract": ADDRESSES["deposits"], "block": 14, "operator": ADDRESSES["operator"], "notice": 3_600,
        },
        "sign_in": False,
            "verifiers": [],
    }  # fmt: skip


def test_the_gateways_own_rpc_server_is_not_told() -> None:
    answer = asked(facts(None))
    assert answer.json()["rpc_urls"] == []
    assert answer.json()["deposits"] is None
    assert "a-key-that-costs-money" not in answer.text


def test_a_gateway_without_a_chain_says_so() -> None:
    assert asked(None).status_code == 404


@pytest.mark.parametrize("url", ["rpc.example", "ws://rpc.example", "https://name:word@rpc.example", "https://"])
def test_what_is_no_public_address_is_refused_at_the_start(url: str) -> None:
    with pytest.raises(SettingsError, match="no address that anybody may use"):
        GatewaySettings(public_rpc=url)
