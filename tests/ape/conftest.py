"""The shipped contracts, deployed by ape on the Anvil it starts. Run with scripts/ape_test.sh."""

from __future__ import annotations

import os
from typing import Any

import pytest

from scripts.deploy import shipped
from tests.ape.ape_world import LONGEST, STAKE, WINDOW, World

# A plain pytest run has no chain connected to ape: these tests belong to `ape test`, which sets this.
collect_ignore_glob = [] if os.environ.get("NEXUS_APE_TESTS") else ["test_*.py"]


@pytest.fixture
def world(accounts: Any) -> World:
    publisher, operators = accounts[0], [accounts[1], accounts[2]]
    vault = publisher.deploy(shipped("GenesisVault"), accounts[9])
    models = publisher.deploy(shipped("ModelRegistry"))
    zero = "0x" + "00" * 20
    nodes = publisher.deploy(shipped("NodeRegistry"), models, vault, zero, STAKE, (LONGEST, WINDOW, 60, 10))
    market = publisher.deploy(shipped("InferenceMarket"), nodes)
    certificates = publisher.deploy(shipped("CertificateRegistry"), models)
    stated = (b"\x01" * 32, b"\x02" * 32, b"\x03" * 32, bytes(32), 10, 4, (1, 0, 0), "bafkreigh2akiscaildc")
    published = models.publish(stated, sender=publisher)
    version = published.events.filter(models.Published)[0].id
    for index, operator in enumerate(operators):
        nodes.register(f"127.0.0.1:{5000 + index}", bytes([index + 1]) * 32, operator, sender=operator, value=STAKE)
        nodes.announce(version, 2 * index, 2 * index + 2, 5, sender=operator)
    return World(vault, models, nodes, market, certificates, publisher, operators, version)
