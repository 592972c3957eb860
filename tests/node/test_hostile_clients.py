"""What strangers send to a node's port before they pay."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from workplace import PROMPT, Answer, LocalNode

from node import shard_service
from node.proto import shard_pb2 as wire
from node.proto.shard_pb2_grpc import ShardStub
from node.shard_service import start_server
from node.tls import TlsIdentity


@pytest.fixture
def stub(nodes: list[LocalNode], tmp_path: Path) -> Iterator[ShardStub]:
    """A stranger's connection to the first node."""
    tls = TlsIdentity.open(tmp_path)
    server, port = start_server(nodes[0].core.serving, tls, "127.0.0.1", 0)
    options = [("grpc.ssl_target_name_override", "nexus-node")]
    with grpc.secure_channel(f"127.0.0.1:{port}", grpc.ssl_channel_credentials(tls.certificate), options) as channel:
        yield ShardStub(channel)
    server.stop(0).wait()


def test_streams_that_say_nothing_are_ended(stub: ShardStub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_service, "FIRST_ROWS_SECONDS", 0.3)

    def silence() -> Iterator[wire.RowsIn]:
        time.sleep(8)
        yield wire.RowsIn()

    started = time.monotonic()
    with pytest.raises(grpc.RpcError) as refusal:
        next(stub.Forward(silence()))
    assert refusal.value.code() == grpc.StatusCode.CANCELLED
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("tokens", [300_000, 5_000_000])
def test_a_prompt_beyond_the_context_is_refused_unread(stub: ShardStub, answer: Answer, tokens: int) -> None:
    application = answer.application(0)
    request = wire.OpenOrderRequest(
        order=wire.SignedDocument(json=application.order.to_json(), signature=application.signature),
        prompt_length=len(PROMPT),
        prompt_tokens=[1] * tokens,
    )
    with pytest.raises(grpc.RpcError) as refusal:
        stub.OpenOrder(request, timeout=30)
    assert refusal.value.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED)
    assert "prompt has more than" in refusal.value.details() or "larger than max" in refusal.value.details()


def test_a_document_that_is_too_long_is_refused_unread(stub: ShardStub) -> None:
    request = wire.PayRequest(voucher=wire.SignedDocument(json="[" * 4_000_000, signature=bytes(65)))
    with pytest.raises(grpc.RpcError) as refusal:
        stub.Pay(request, timeout=30)
    assert refusal.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "characters" in refusal.value.details()
