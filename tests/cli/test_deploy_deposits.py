"""``nexus deploy-deposits``: a deposit contract for one gateway."""

from __future__ import annotations

from pathlib import Path

import pytest

from nexus_chain.chain.credit_deposits import CreditDeposits
from nexus_chain.chain.local import DEVELOPMENT_KEYS, anvil
from nexus_chain.chain.wallet import Wallet
from tests.support.invocation import Nexus

OPERATOR = Wallet.from_hex(DEVELOPMENT_KEYS[3]).address


@pytest.mark.parametrize(
    ("given", "operator", "notice"), [([], None, 259_200), (["--operator", OPERATOR, "--notice", "60"], OPERATOR, 60)]
)
def test_a_contract_is_created_for_its_operator(
    nexus: Nexus, tmp_path: Path, given: list[str], operator: str | None, notice: int
) -> None:
    password = tmp_path / "password"
    password.write_text("open sesame\n")
    with anvil() as chain:
        settings = ("--rpc", chain.rpc_url, "--home", tmp_path, "--password-file", password)
        assert nexus(*settings, "wallet", "new").code == 0
        wallet = nexus(*settings, "wallet", "show", "--json").json["address"]
        chain.set_balance(wallet, 10**18)
        made = nexus(*settings, "deploy-deposits", *given, "--json")
        assert made.code == 0, made.err
        contract = CreditDeposits(chain.connection, made.json["contract"])
        assert contract.operator() == made.json["operator"] == (operator or wallet)
        assert contract.notice() == made.json["notice"] == notice
        assert made.json["block"] == chain.connection.web3.eth.block_number
        refused = nexus(*settings, "deploy-deposits", "--notice", "0")
        assert refused.code == 1
        assert "BadTerms" in refused.err
