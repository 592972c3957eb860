"""A client meets nodes that answer with anything at all: it calls them bad, and goes on."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from nexus_chain.wire import frames
from nexus_chain.wire import shard_pb2 as wire
from nexus_chain.wire.errors import BadRowsError, NodeRefusedError, NodeUnreachableError, PeerError, TlsKeyMismatchError
from nexus_chain.wire.frames import Frames
from nexus_chain.wire.peer import NodeContact
from nexus_chain.wire.tls_peer import TlsPeer, dial
from node.daemon.tls import TlsIdentity
from tests.support.waiting import WAIT

ROWS = np.zeros(1, np.int32)


def contact(endpoint: str, key_hash: bytes = bytes(32)) -> NodeContact:
    return NodeContact("0x" + "22" * 20, endpoint, key_hash, "0x" + "33" * 20, 0, 1, 5)


class Hostile:
    """Takes one connection and answers each call with what ``say`` gives, in one piece."""

    def __init__(self, tls: TlsIdentity) -> None:
        self.say: Callable[[wire.Call], list[wire.Answer] | bytes] = lambda call: []
        self._context, self._listener = tls.server_context(), socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        try:
            with self._context.wrap_socket(self._listener.accept()[0], server_side=True) as connection:
                frames = Frames(connection)
                while True:
                    call = wire.Call.FromString(frames.receive(60, 60))
                    said = self.say(call)
                    if isinstance(said, bytes):
                        connection.sendall(said)
                    else:
                        for answer in said:
                            frames.send(answer.SerializeToString(), 60)
        except (OSError, EOFError):
            pass  # the client has seen enough

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def hostile(tmp_path: Path) -> Iterator[tuple[Hostile, TlsPeer]]:
    tls = TlsIdentity.open(tmp_path)
    node = Hostile(tls)
    peer = TlsPeer(contact(f"127.0.0.1:{node.port}", tls.key_hash), answer_seconds=WAIT)
    yield node, peer
    peer.close()
    node.close()


@pytest.mark.parametrize("endpoint", ["127.0.0.1:99999", "127.0.0.1:-1", "nowhere", "", ":::", "a\x00b:1", "\udcff:80"])
def test_an_endpoint_that_is_none_is_a_node_that_cannot_be_reached(endpoint: str) -> None:
    with pytest.raises(NodeUnreachableError):
        dial(contact(endpoint))


def test_another_key_than_the_registered_one_is_not_talked_to(tmp_path: Path) -> None:
    heard: list[wire.Call] = []
    node = Hostile(TlsIdentity.open(tmp_path))
    node.say = lambda call: heard.append(call) or []
    with pytest.raises(TlsKeyMismatchError):
        dial(contact(f"127.0.0.1:{node.port}", bytes(32)))
    node.close()
    assert heard == []


@pytest.mark.parametrize("price", ["-1", "1" + "0" * 100, "ten", "1" * 5000])
def test_a_description_that_cannot_be_hashed_is_refused(hostile: tuple[Hostile, TlsPeer], price: str) -> None:
    node, peer = hostile
    description = wire.NodeDescription(wei_per_token=price, signature=bytes(65))
    node.say = lambda call: [wire.Answer(number=call.number, description=description)]
    with pytest.raises(NodeRefusedError):
        peer.describe()


def test_rows_that_nobody_asked_for_are_not_taken_for_the_next_answer(hostile: tuple[Hostile, TlsPeer]) -> None:
    node, peer = hostile
    rows = wire.RowsOut(from_position=0, count=1, rows=bytes(4))
    node.say = lambda call: [wire.Answer(number=call.number + more, rows=rows) for more in range(3)]
    assert peer.begin_forward(bytes(32), 0, ROWS)().tolist() == [0]
    with pytest.raises(BadRowsError):
        peer.begin_forward(bytes(32), 1, ROWS)()


def test_answers_to_earlier_calls_are_dropped_for_as_long_as_an_answer_may_take(
    hostile: tuple[Hostile, TlsPeer],
) -> None:
    node, peer = hostile
    rows = wire.RowsOut(from_position=0, count=1, rows=bytes(4))
    node.say = lambda call: [wire.Answer(number=0, rows=rows), wire.Answer(number=call.number, rows=rows)]
    assert peer.begin_forward(bytes(32), 0, ROWS)().tolist() == [0]
    impatient = TlsPeer.__new__(TlsPeer)
    impatient.__dict__.update(peer.__dict__, _answer_seconds=0.5)
    node.say = lambda call: [wire.Answer(number=0, rows=rows)] * 3
    with pytest.raises(NodeUnreachableError, match="no answer within"):
        impatient.begin_forward(bytes(32), 0, ROWS)()


@pytest.mark.parametrize("where", ["recv", "_looked_for"])
def test_an_answer_given_up_for_a_keypress_is_not_the_next_one(
    hostile: tuple[Hostile, TlsPeer], monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    node, peer = hostile
    node.say = lambda call: [
        wire.Answer(number=call.number, rows=wire.RowsOut(from_position=0, count=1, rows=bytes([call.number, 0, 0, 0])))
    ]

    owner = ssl.SSLSocket if where == "recv" else Frames
    honest = getattr(owner, where)

    def pressed(*given: object) -> object:
        if threading.current_thread() is threading.main_thread():
            raise KeyboardInterrupt
        return honest(*given)  # the node's own

    with monkeypatch.context() as patch:
        patch.setattr(owner, where, pressed)
        with pytest.raises(KeyboardInterrupt):
            peer.begin_forward(bytes(32), 0, ROWS)()
    assert peer.begin_forward(bytes(32), 0, ROWS)().tolist() == [2]


def test_half_a_record_is_waited_for_and_a_closed_connection_is_the_nodes_failure(
    hostile: tuple[Hostile, TlsPeer], monkeypatch: pytest.MonkeyPatch
) -> None:
    node, peer = hostile
    node.say = lambda call: [
        wire.Answer(number=call.number, rows=wire.RowsOut(from_position=0, count=1, rows=bytes([7, 0, 0, 0])))
    ]
    honest = ssl.SSLSocket.recv
    tries: list[int] = []

    def first_half(connection: ssl.SSLSocket, size: int) -> bytes:
        if threading.current_thread() is threading.main_thread():
            tries.append(size)
            if len(tries) == 1:
                raise ssl.SSLWantReadError
        return honest(connection, size)

    with monkeypatch.context() as patch:
        patch.setattr(frames, "LOOK_SECONDS", WAIT)  # half a record is only met while an answer is looked for
        patch.setattr(ssl.SSLSocket, "recv", first_half)
        assert peer.begin_forward(bytes(32), 0, ROWS)().tolist() == [7]
    assert len(tries) > 1
    answer = peer.begin_forward(bytes(32), 0, ROWS)
    peer.close()
    with pytest.raises(NodeUnreachableError, match="broke the connection"):
        answer()


def test_after_half_a_call_there_is_no_other_on_that_connection(
    hostile: tuple[Hostile, TlsPeer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node would take the next one for its rest."""
    node, peer = hostile
    heard: list[wire.Call] = []
    node.say = lambda call: heard.append(call) or []
    sendall = ssl.SSLSocket.sendall

    def pressed(connection: ssl.SSLSocket, data: bytes) -> None:
        sendall(connection, data[:10])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ssl.SSLSocket, "sendall", pressed)
        with pytest.raises(KeyboardInterrupt):
            peer.begin_forward(bytes(32), 0, ROWS)()
    with pytest.raises(NodeUnreachableError, match="broke the connection"):
        peer.begin_forward(bytes(32), 0, ROWS)()
    assert heard == []


@pytest.mark.parametrize(
    "said",
    [b"\xff\xff\xff\xff" + bytes(100), b"\x00\x00\x00\x03\xff\xff\xff", b"\x00\x00\x00\x00"],
    ids=["too long", "no message", "empty"],
)
def test_what_is_no_answer_is_the_nodes_fault(hostile: tuple[Hostile, TlsPeer], said: bytes) -> None:
    node, peer = hostile
    peer._answer_seconds = 1
    node.say = lambda call: said
    with pytest.raises(PeerError):
        peer.begin_forward(bytes(32), 0, ROWS)()


def test_an_answer_to_another_question_is_refused(hostile: tuple[Hostile, TlsPeer]) -> None:
    node, peer = hostile
    node.say = lambda call: [wire.Answer(number=call.number, order=wire.OpenOrderReply())]
    with pytest.raises(NodeRefusedError, match="another question"):
        peer.begin_forward(bytes(32), 0, ROWS)()


def test_a_node_that_says_nothing_is_given_up(hostile: tuple[Hostile, TlsPeer]) -> None:
    _, peer = hostile
    peer._answer_seconds = 0.2
    with pytest.raises(NodeUnreachableError, match="no answer within"):
        peer.begin_forward(bytes(32), 0, ROWS)()
    # The connection is closed: a late answer has nowhere to go.
    with pytest.raises(NodeUnreachableError, match="broke the connection"):
        peer.begin_forward(bytes(32), 0, ROWS)()


def test_a_refusal_cannot_drive_the_terminal(hostile: tuple[Hostile, TlsPeer]) -> None:
    node, peer = hostile
    refusal = wire.Refusal(error="\x1b[2J", message="no\x1b[2J\x07" + "x" * 4000)
    node.say = lambda call: [wire.Answer(number=call.number, refusal=refusal)]
    with pytest.raises(NodeRefusedError) as refused:
        peer.begin_forward(bytes(32), 0, ROWS)()
    assert refused.value.message.isprintable()
    assert refused.value.error_name.isprintable()
    assert len(refused.value.message) < 1000


def test_a_node_that_is_away_is_one_that_cannot_be_reached(hostile: tuple[Hostile, TlsPeer]) -> None:
    node, peer = hostile
    refusal = wire.Refusal(error="StoppingError", message="shutting down", away=True)
    node.say = lambda call: [wire.Answer(number=call.number, refusal=refusal)]
    with pytest.raises(NodeUnreachableError, match="shutting down"):
        peer.begin_forward(bytes(32), 0, ROWS)()
