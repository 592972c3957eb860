"""A gateway that could not claim in time what was spent of deposits does not start."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nexus_chain.errors import SettingsError
from node.gateway import money
from node.gateway.ledger.database import Database, sqlite_url
from node.gateway.ledger.refund_notice import block_seconds, least_notice, require_notice, require_timeout
from node.gateway.settings import GatewaySettings

pytestmark = pytest.mark.fast

CONTRACT, OPERATOR = "0x" + "11" * 20, "0x" + "22" * 20


def chain_of(*times: int) -> Any:
    """A chain whose blocks have these times."""
    blocks = [SimpleNamespace(timestamp=at) for at in times]
    return SimpleNamespace(block_number=lambda: len(blocks) - 1, block=lambda number: blocks[number])


def test_the_time_between_blocks() -> None:
    assert block_seconds(chain_of(5)) == 0
    assert block_seconds(chain_of(*range(0, 1_200, 12))) == 12
    assert block_seconds(chain_of(0, 1, 2, 90_000, 90_001, 90_002)) == 1  # it rested for a day


def test_a_notice_covers_confirmations_and_rounds_twice() -> None:
    assert least_notice(12, 12.0) == 4 * (12 * 12 + 60)
    require_notice(816, 12, 12.0)
    with pytest.raises(SettingsError, match=r"notice of 815 s is too short.*--notice 816"):
        require_notice(815, 12, 12.0)


def test_transactions_are_waited_for_until_they_count() -> None:
    """Regression: with the default, each one was given up shortly before, and so was whatever came after it."""
    require_timeout(144, 12, 12.0)
    with pytest.raises(SettingsError, match=r"waited for 120 s, and its 12 confirmations take 144 s") as caught:
        require_timeout(120, 12, 12.0)
    assert "--transaction-timeout 288" in str(caught.value.advice)
    require_timeout(120, 1, 3_600.0)  # a development chain at rest


@pytest.mark.parametrize(
    ("notice", "timeout", "wrong"), [(815, 144, "too short"), (816, 143, "is waited for"), (816, 144, "")]
)
def test_a_gateway_starts_only_where_it_has_time_enough(
    notice: int, timeout: float, wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract = SimpleNamespace(
        address=CONTRACT, require_code=lambda: None, operator=lambda: OPERATOR, notice=lambda: notice
    )
    monkeypatch.setattr(money, "CreditDeposits", lambda *_: contract)
    sender = SimpleNamespace(wallet=SimpleNamespace(address=OPERATOR))
    workspace: Any = SimpleNamespace(
        chain=SimpleNamespace(connection=chain_of(*range(0, 1_200, 12))),
        wallet_chain=SimpleNamespace(sender=sender),
        settings=SimpleNamespace(confirmations=12, transaction_timeout=timeout),
    )
    database = Database(sqlite_url(tmp_path / "gateway.sqlite"))
    settings = GatewaySettings(deposits=CONTRACT)
    if not wrong:
        assert money._deposits(workspace, settings, database) is not None
    else:
        with pytest.raises(SettingsError, match=wrong):
            money._deposits(workspace, settings, database)
    database.close()
