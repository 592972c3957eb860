"""What strangers send to a node's port before they pay."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nexus_chain.wire import shard_pb2 as wire
from nexus_chain.wire.digests import access_digest
from nexus_chain.wire.errors import NodeRefusedError, NodeUnreachableError
from nexus_chain.wire.frames import Frames
from nexus_chain.wire.peer import NodeContact
from nexus_chain.wire.tls_peer import TlsPeer
from node.daemon.errors import PortInUseError
from node.daemon.serving import shard_server
from node.daemon.serving.shard_server import ShardServer
from node.daemon.serving.shard_service import ShardService
from node.daemon.tls import TlsIdentity
from tests.support.waiting import WAIT, wait_until
from tests.support.workplace import PROMPT, Answer, LocalNode

DROPS = 0xFFF  # bytes of a message of 4096 that come one by one: the message is never whole


@pytest.fixture
def tls(tmp_path: Path) -> TlsIdentity:
    return TlsIdentity.open(tmp_path)


@pytest.fixture
def server(nodes: list[LocalNode], tls: TlsIdentity) -> Iterator[ShardServer]:
    """The first node's port."""
    made = ShardServer(lambda: ShardService(nodes[0].core.serving), tls, "127.0.0.1", 0)
    yield made
    made.stop(0)


def reached(server: ShardServer, tls: TlsIdentity) -> TlsPeer:
    address = "0x" + "22" * 20
    return TlsPeer(NodeContact(address, f"127.0.0.1:{server.port}", tls.key_hash, "0x" + "33" * 20, 0, 1, 5))


def encrypted(server: ShardServer, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLSocket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = version
    return context.wrap_socket(socket.create_connection(("127.0.0.1", server.port), WAIT))


def ends(connection: socket.socket) -> bool:
    """Whether the node hangs up."""
    connection.settimeout(WAIT)
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def test_who_says_nothing_is_hung_up_on(server: ShardServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_server, "FIRST_SECONDS", 0.3)
    monkeypatch.setattr(shard_server, "FRAME_SECONDS", 0.3)
    with socket.create_connection(("127.0.0.1", server.port)) as unencrypted:
        assert ends(unencrypted)
    for said in (b"", b"\x00\x00\x01\x00half of a message"):
        with contextlib.suppress(OSError), encrypted(server) as slow:  # a slow machine is not even let in
            slow.sendall(said)
            assert ends(slow)


def dropped(connection: socket.socket) -> bool:
    """Send one byte a little later; whether the node still takes it."""
    time.sleep(0.02)
    try:
        connection.sendall(b"\x00")
    except OSError:
        return False
    return True


def test_a_message_in_drops_does_not_hold_the_thread(server: ShardServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_server, "FRAME_SECONDS", 0.5)
    with encrypted(server) as dripping:
        dripping.sendall(b"\x00\x00\x10\x00")
        assert not all(dropped(dripping) for _ in range(DROPS))


def test_what_is_no_frame_no_call_or_no_tls_ends_the_connection(server: ShardServer) -> None:
    for said in (b"\xff\xff\xff\xff", b"\x00\x00\x00\x03\xff\xff\xff", b"\x00\x40\x00\x01" + bytes(100)):
        with encrypted(server) as confused:
            confused.sendall(said)
            assert ends(confused)
    with socket.create_connection(("127.0.0.1", server.port)) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
        plain.settimeout(WAIT)
        while plain.recv(100):
            pass
    with pytest.raises(ssl.SSLError, match="protocol version"):
        encrypted(server, ssl.TLSVersion.TLSv1_2)


def test_a_call_that_asks_for_nothing_is_refused_and_the_connection_goes_on(
    server: ShardServer, tls: TlsIdentity
) -> None:
    peer = reached(server, tls)
    for _ in range(2):
        with pytest.raises(NodeRefusedError) as refusal:
            peer._ask(wire.Call(), "rows")
        assert refusal.value.error_name == "MalformedRequestError"
    peer.close()


def opened(server: ShardServer, tls: TlsIdentity, answer: Answer) -> TlsPeer:
    """A connection over which the session's owner feeds its order's prompt."""
    application = answer.application(0)
    peer = reached(server, tls)
    peer.contact = replace(peer.contact, address=answer.nodes[0].wallet.address)
    order = (application.order, application.signature)
    peer.open_order(
        order, 0, len(PROMPT), PROMPT, answer.voucher(25), answer.user.sign_digest, prompt_tree=application.prompt_tree
    )
    peer.begin_forward(answer.digest, 0, np.array(PROMPT, np.int32))()
    return peer


def test_strangers_cannot_keep_all_places(
    server: ShardServer, tls: TlsIdentity, answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_server, "CONNECTIONS", 3)
    owner = opened(server, tls, answer)
    with encrypted(server) as first, encrypted(server) as second, encrypted(server) as third:
        assert ends(first)
        reached(server, tls).close()
        assert ends(second)
        owner.begin_forward(answer.digest, 0, np.array(PROMPT, np.int32))()
        third.sendall(b"\x00\x00\x00\x00")
        assert third.recv(1)
    owner.close()


def test_connections_are_bounded_and_places_come_free(
    server: ShardServer, tls: TlsIdentity, answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_server, "CONNECTIONS", 2)
    first, second = opened(server, tls, answer), opened(server, tls, answer)
    with pytest.raises(NodeUnreachableError):
        reached(server, tls)
    first.close()

    def has_a_place() -> bool:
        try:
            reached(server, tls).close()
        except NodeUnreachableError:
            return False
        return True

    wait_until(has_a_place)
    second.close()


def test_one_session_cannot_hold_all_places(
    server: ShardServer, tls: TlsIdentity, answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_server, "CONNECTIONS", 3)
    monkeypatch.setattr(shard_server, "PLACES", 2)
    crowd = [opened(server, tls, answer) for _ in range(3)]
    stranger = reached(server, tls)  # in the place of the one that came first
    with pytest.raises(NodeUnreachableError):
        crowd[0]._ask(wire.Call(), "rows")
    for peer in (*crowd[1:], stranger):
        with pytest.raises(NodeRefusedError):
            peer._ask(wire.Call(), "rows")
        peer.close()


def test_strangers_cost_a_bounded_number_of_threads(
    nodes: list[LocalNode], tls: TlsIdentity, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those whose place was given away while a call of theirs is under way."""
    monkeypatch.setattr(shard_server, "CONNECTIONS", 2)
    gate = threading.Event()

    class Stuck(ShardService):
        def answer(self, call: wire.Call) -> wire.Answer:
            gate.wait(20)
            return super().answer(call)

    server = ShardServer(lambda: Stuck(nodes[0].core.serving), tls, "127.0.0.1", 0)
    held = []
    try:
        for _ in range(12):
            with contextlib.suppress(OSError):
                held.append(encrypted(server))
                held[-1].sendall(b"\x00\x00\x00\x00")
        assert len(server._open) <= 4
    finally:
        gate.set()
        for connection in held:
            connection.close()
        server.stop(5)


def test_a_connection_that_gets_no_thread_is_not_the_end_of_the_port(
    server: ShardServer, tls: TlsIdentity, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refused)
        with pytest.raises(NodeUnreachableError):
            reached(server, tls)
    reached(server, tls).close()


def test_a_connection_that_comes_while_the_server_stops_is_hung_up_on(server: ShardServer) -> None:
    ours, theirs = socket.socketpair()
    server.stop(1)
    server._begin(theirs)
    with ours:
        assert ends(ours)
    assert not server._open


def test_what_was_answered_takes_no_memory(server: ShardServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message of 4 MiB is 100 MB once it is read, and a stranger may be quiet after it."""
    begun, ended = [], []

    class Message(bytes):
        def __del__(self) -> None:
            ended.append(len(self))

    receive = Frames.receive

    def watched(frames: Frames, first: float, whole: float, *, soon: bool) -> bytes:
        begun.append(len(ended))
        return Message(receive(frames, first, whole, soon=soon))

    monkeypatch.setattr(Frames, "receive", watched)
    with encrypted(server) as stranger:
        for turn in range(3):
            stranger.sendall(b"\x00\x00\x00\x00")
            assert stranger.recv(1)
            wait_until(lambda: len(begun) == turn + 2)  # noqa: B023 (called at once)
    assert begun == [0, 1, 2, 3]


def test_a_message_is_looked_for_once_however_slowly_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or single bytes would buy all processors for as long as a message may take."""
    looks, look = [], Frames._looked_for

    def counted(frames: Frames, seconds: float) -> bytes | None:
        looks.append(seconds)
        return look(frames, seconds)

    monkeypatch.setattr(Frames, "_looked_for", counted)
    here, there = socket.socketpair()
    with here, there:

        def drip() -> None:
            for byte in b"\x00\x00\x00\x04abcd":
                there.sendall(bytes([byte]))
                time.sleep(0.01)

        slow = threading.Thread(target=drip)
        slow.start()
        assert Frames(here).receive(WAIT, WAIT, soon=True) == b"abcd"
        slow.join()
    assert len(looks) == 1


@pytest.mark.parametrize(("session", "neighbour"), [(b"session", True), (b"session", False), (None, True)])
def test_a_node_makes_way_for_a_sessions_owner_on_its_own_machine(
    tls: TlsIdentity, monkeypatch: pytest.MonkeyPatch, session: bytes | None, neighbour: bool
) -> None:
    class Conversation:
        def __init__(self) -> None:
            self.session = session

        def answer(self, call: wire.Call) -> wire.Answer:
            return wire.Answer()

        def afterwards(self) -> None:
            pass

    made_way: list[socket.socket] = []
    monkeypatch.setattr(shard_server, "make_way", made_way.append)
    monkeypatch.setattr(shard_server, "is_neighbour", lambda connection: neighbour)
    server = ShardServer(Conversation, tls, "127.0.0.1", 0)
    with encrypted(server) as client:
        for _ in range(2):
            client.sendall(b"\x00\x00\x00\x00")
            assert client.recv(1)
    server.stop(1)
    assert len(made_way) == (2 if session and neighbour else 0)


def test_a_stopped_server_hangs_up_and_frees_its_port(server: ShardServer, tls: TlsIdentity) -> None:
    with encrypted(server) as waiting:
        with pytest.raises(PortInUseError):
            ShardServer(lambda: ShardService(None), tls, "127.0.0.1", server.port)  # type: ignore[arg-type]
        server.stop(1)
        assert ends(waiting)
    again = ShardServer(lambda: ShardService(None), tls, "127.0.0.1", server.port)  # type: ignore[arg-type]
    again.stop(0)


@pytest.mark.parametrize("tokens", [300_000, 5_000_000])
def test_a_prompt_beyond_the_context_is_refused_unread(
    server: ShardServer, tls: TlsIdentity, answer: Answer, tokens: int
) -> None:
    application = answer.application(0)
    request = wire.OpenOrderRequest(
        order=wire.SignedDocument(json=application.order.to_json(), signature=application.signature),
        prompt_length=len(PROMPT),
        prompt_tokens=[1] * tokens,
        prompt_tree=bytes(32),
    )
    peer = reached(server, tls)
    with pytest.raises((NodeRefusedError, NodeUnreachableError), match=r"prompt has more than|a message of"):
        peer._ask(wire.Call(open_order=request), "order")
    peer.close()


def test_a_document_that_is_too_long_is_refused_unread(
    server: ShardServer, tls: TlsIdentity, answer: Answer, nodes: list[LocalNode]
) -> None:
    answer.open()
    access = answer.user.sign_digest(access_digest(answer.digest, bytes.fromhex(nodes[0].wallet.address[2:])))
    voucher = wire.SignedDocument(json="[" * 4_000_000, signature=bytes(65))
    rows = wire.RowsIn(order_digest=answer.digest, count=1, rows=bytes(4), voucher=voucher)
    peer = reached(server, tls)
    with pytest.raises(NodeRefusedError, match="characters"):
        peer._ask(wire.Call(rows=rows, access=access), "rows")
    peer.close()


def test_two_messages_in_one_piece_are_two(server: ShardServer) -> None:
    with encrypted(server) as connection:
        one = wire.Call(number=7, receipts=wire.ReceiptsRequest(order_digest=bytes(32))).SerializeToString()
        frame = len(one).to_bytes(4, "big") + one
        connection.sendall(frame + frame)
        frames = Frames(connection)
        for _ in range(2):
            answer = wire.Answer.FromString(frames.receive(5, 5))
            assert (answer.number, answer.refusal.error) == (7, "UnknownOrderError")
