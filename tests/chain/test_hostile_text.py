"""What strangers write into the registries as text."""

from __future__ import annotations

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from nexus_chain.chain.transactions import Wish
from nexus_chain.routing.registry_view import discover_nodes
from tests.support.chain_world import World


def test_text_that_is_no_text_hides_no_other_node(world: World) -> None:
    hostile = world.operators[0].sender
    assert hostile is not None
    arguments = encode(["bytes", "bytes32"], [b"\xff\xfe:1", b"\x01" * 32])
    data = keccak(text="updateEndpoint(string,bytes32)")[:4] + arguments
    hostile._done(Wish("updateEndpoint", world.owner.nodes.address, 0, "0x" + data.hex()))
    found = discover_nodes(world.user, world.version)
    assert [node.node_id for node in found] == world.nodes
    assert found[1].endpoint == "127.0.0.1:5001"
