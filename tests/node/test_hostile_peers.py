"""A client meets nodes that answer with anything at all: it calls them bad, and goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
import torch

from nexus_chain.client.errors import NodeError, NodeRefusedError, NodeUnreachableError, TlsKeyMismatchError
from nexus_chain.client.peer import NodeContact
from node.proto import grpc_peer
from node.proto import shard_pb2 as wire
from node.proto.grpc_peer import GrpcPeer, pinned_certificate
from node.proto.shard_pb2_grpc import ShardServicer, add_ShardServicer_to_server
from node.tls import TlsIdentity


def contact(endpoint: str, key_hash: bytes = bytes(32)) -> NodeContact:
    return NodeContact("0x" + "22" * 20, endpoint, key_hash, "0x" + "33" * 20, 0, 1, 5)


class Hostile(ShardServicer):
    """Says what it is told to say, and more rows than it was asked for."""

    def __init__(self) -> None:
        self.description = wire.NodeDescription()
        self.sent = 0
        self.silent = False

    def Describe(self, request: Any, context: Any) -> wire.NodeDescription:
        return self.description

    def Pay(self, request: Any, context: grpc.ServicerContext) -> wire.PayReply:
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "no\x1b[2J\x07" + "x" * 4000)

    def Forward(self, requests: Iterator[wire.RowsIn], context: grpc.ServicerContext) -> Iterator[wire.RowsOut]:
        next(requests)
        while self.silent and context.is_active():
            time.sleep(0.05)
        while context.is_active() and self.sent < 500:
            self.sent += 1
            yield wire.RowsOut(from_position=0, count=1, rows=bytes(4 * 250_000))


@pytest.fixture
def hostile(tmp_path: Path) -> Iterator[tuple[Hostile, GrpcPeer]]:
    tls, servicer = TlsIdentity.open(tmp_path), Hostile()
    server = grpc.server(ThreadPoolExecutor(4))
    add_ShardServicer_to_server(servicer, server)
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(tls.private_key, tls.certificate)]))
    server.start()
    peer = GrpcPeer(contact(f"127.0.0.1:{port}", tls.key_hash))
    yield servicer, peer
    peer.close()
    server.stop(0).wait()


@pytest.mark.parametrize("endpoint", ["127.0.0.1:99999", "127.0.0.1:-1", "nowhere", "", ":::", "a\x00b:1", "\udcff:80"])
def test_an_endpoint_that_is_none_is_a_node_that_cannot_be_reached(endpoint: str) -> None:
    with pytest.raises(NodeUnreachableError):
        pinned_certificate(contact(endpoint), timeout=1)


def test_a_certificate_that_cannot_be_read_is_not_the_registered_one(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    monkeypatch.setattr(grpc_peer.ssl, "get_server_certificate", lambda *_, **__: broken)
    with pytest.raises(TlsKeyMismatchError):
        pinned_certificate(contact("127.0.0.1:1"))


@pytest.mark.parametrize("price", ["-1", "1" + "0" * 100, "ten", "1" * 5000])
def test_a_description_that_cannot_be_hashed_is_refused(hostile: tuple[Hostile, GrpcPeer], price: str) -> None:
    servicer, peer = hostile
    servicer.description = wire.NodeDescription(wei_per_token=price, signature=bytes(65))
    with pytest.raises(NodeRefusedError):
        peer.describe()


def test_rows_that_nobody_asked_for_are_not_kept(hostile: tuple[Hostile, GrpcPeer]) -> None:
    servicer, peer = hostile
    peer.forward(bytes(32), 0, torch.zeros(1, dtype=torch.int32))
    time.sleep(1)
    assert servicer.sent < 100
    with pytest.raises(NodeError):
        peer.forward(bytes(32), 1, torch.zeros(1, dtype=torch.int32))


def test_a_node_that_says_nothing_is_given_up(hostile: tuple[Hostile, GrpcPeer]) -> None:
    servicer, first = hostile
    servicer.silent = True
    peer = GrpcPeer(first.contact, answer_seconds=0.2)
    with pytest.raises(NodeUnreachableError, match="no answer within"):
        peer.forward(bytes(32), 0, torch.zeros(1, dtype=torch.int32))
    peer.close()


def test_a_refusal_cannot_drive_the_terminal(hostile: tuple[Hostile, GrpcPeer]) -> None:
    with pytest.raises(NodeRefusedError) as refusal:
        hostile[1]._call(lambda: hostile[1]._stub.Pay(wire.PayRequest(), timeout=5))
    assert refusal.value.message.isprintable()
    assert len(refusal.value.message) < 1000
