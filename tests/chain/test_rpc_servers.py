"""RPC servers that refuse, lag, or serve another chain: what is said, and who is asked next."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
import requests

from nexus_chain.chain import errors, provider
from nexus_chain.chain.connection import ChainConnection, connect
from nexus_chain.chain.local import LocalChain, free_port
from nexus_chain.chain.provider import RpcProvider, shown_url
from tests.support.lossy_rpc import LOSSY_URL, Dropped, LossyAdapter, LossyRpc

Answer = Callable[[str, int], tuple[int, object]]
CHAIN = {"eth_chainId": "0x7a69", "eth_blockNumber": "0x10", "eth_getBalance": "0x5"}


@contextmanager
def server(answer: Answer, headers: dict[str, str] | None = None) -> Iterator[str]:
    """An RPC server; ``answer`` gets the method and how many requests came before: status, and result or body."""
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            calls = document if isinstance(document, list) else [document]
            replies = []
            status = 200
            for call in calls:
                status, result = answer(call["method"], len(seen))
                seen.append(call["method"])
                replies.append({"jsonrpc": "2.0", "id": call["id"], "result": result})
            body = json.dumps(replies if isinstance(document, list) else replies[0]).encode()
            if status != 200:
                body = b"<html>refused</html>"
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=made.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{made.server_port}"
    finally:
        made.shutdown()
        thread.join()
        made.server_close()


def healthy(method: str, number: int) -> tuple[int, object]:
    return 200, CHAIN[method]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider, "FIRST_PAUSE", 0.001)


@pytest.mark.parametrize(
    ("status", "kind", "told"),
    [
        (401, errors.RpcKeyRefusedError, "refuses the key"),
        (403, errors.RpcKeyRefusedError, "refuses the key"),
        (429, errors.RpcBusyError, "asks to slow down"),
        (500, errors.RpcFailingError, "HTTP 500"),
        (503, errors.RpcFailingError, "HTTP 503"),
        (404, errors.RpcUnreachableError, "no chain answers"),
    ],
)
def test_each_status_says_what_it_means(status: int, kind: type[errors.ChainError], told: str) -> None:
    with server(lambda method, number: (status, "")) as url, pytest.raises(kind, match=told) as raised:
        connect(url, retries=0)
    assert str(status) in raised.value.message
    assert raised.value.advice


class Says:
    """A server that says the same to everything: a status, and a JSON-RPC error."""

    def __init__(self, status: int, message: str) -> None:
        self.status, self.message = status, message

    def answer(self, body: bytes) -> tuple[int, bytes]:
        """As ``LossyRpc``."""
        error = {"code": -32000, "message": self.message}
        return self.status, json.dumps({"jsonrpc": "2.0", "id": json.loads(body)["id"], "error": error}).encode()


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_gateway_that_fails_says_nothing_of_its_server(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: its JSON was taken for the server's refusal, though the server may have done what it was asked."""
    session = requests.Session()
    session.mount(LOSSY_URL, LossyAdapter(Says(status, "upstream timed out")))  # type: ignore[arg-type]
    monkeypatch.setattr(RpcProvider, "_session", lambda self: session)
    with pytest.raises(errors.RpcFailingError) as raised:
        connect(LOSSY_URL, retries=0)
    assert raised.value.arrived


def test_a_provider_that_refuses_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: no key, no plan, and what was said was that the chain's id is no number."""
    session = requests.Session()
    session.mount(LOSSY_URL, LossyAdapter(Says(200, "unauthorized: this plan has no such chain")))  # type: ignore[arg-type]
    monkeypatch.setattr(RpcProvider, "_session", lambda self: session)
    with pytest.raises(errors.RpcRefusedError, match="this plan has no such chain"):
        connect(LOSSY_URL, retries=0)


def test_a_busy_server_is_asked_again() -> None:
    with server(lambda method, number: (429, "") if number < 3 else (200, CHAIN[method]), {"Retry-After": "0"}) as url:
        assert connect(url, 31337).block_number() == 16


def test_an_answer_that_is_no_number_is_no_chain() -> None:
    with server(lambda method, number: (200, "")) as url, pytest.raises(errors.RpcNonsenseError):
        connect(url, 31337, retries=0)


def test_an_answer_to_another_request_is_not_taken(local_chain: LocalChain, monkeypatch: pytest.MonkeyPatch) -> None:
    rpc, session = LossyRpc(local_chain.rpc_url, 0, 1.0), requests.Session()
    monkeypatch.setattr("tests.support.lossy_rpc.FAULTS", ("wrong_id",))
    session.mount(LOSSY_URL, LossyAdapter(rpc))
    monkeypatch.setattr(RpcProvider, "_session", lambda self: session)
    with pytest.raises(errors.RpcNonsenseError, match="another request"):
        connect(LOSSY_URL, 31337, retries=0)


def test_the_next_address_is_asked_where_one_fails() -> None:
    dead = f"http://127.0.0.1:{free_port()}"
    with server(healthy) as good, server(lambda method, number: (429, "")) as busy:
        connection = connect(f"{dead}, {busy},{good}", 31337)
        assert (connection.chain_id(), connection.block_number()) == (31337, 16)
        assert str(connection.provider.endpoint_uri) == good


def test_another_chains_server_is_never_asked_for_more_than_its_id() -> None:
    asked: list[str] = []

    def other(method: str, number: int) -> tuple[int, object]:
        asked.append(method)
        return 200, "0x1"

    alive = [True]
    with (
        server(other) as wrong,
        server(lambda method, number: healthy(method, number) if alive[0] else (503, "")) as good,
    ):
        connection = connect(f"{good},{wrong}", 31337, retries=0)
        alive[0] = False
        with pytest.raises(errors.RpcFailingError):
            assert connection.block_number()
    assert set(asked) == {"eth_chainId"}


def test_a_read_after_a_write_waits_for_a_server_that_lags() -> None:
    """Regression: a server behind the block of one's own receipt said that nothing had happened."""

    def lagging(method: str, number: int) -> tuple[int, object]:
        ahead = number > 6
        return 200, {
            **CHAIN,
            "eth_blockNumber": "0x12" if ahead else "0x10",
            "eth_getBalance": "0x7" if ahead else "0x5",
        }[method]

    with server(lagging) as url:
        connection = connect(url, 31337)
        connection.provider.require_block(18)
        assert connection.balance("0x" + "11" * 20) == 7


class Unbatched:
    """Two servers behind one address, at blocks 18 and 16, that take no batches. ``heads``: who answers next.

    ``refusal``: what the one at 16 says of block 18; None: nothing at all.
    """

    def __init__(self, heads: list[int], refusal: dict[str, object] | None) -> None:
        self.heads, self.refusal = heads, refusal
        self.asked: list[tuple[str, object]] = []

    def answer(self, body: bytes) -> tuple[int, bytes]:
        """As ``LossyRpc``."""
        call = json.loads(body)
        if isinstance(call, list):
            return 200, json.dumps({"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "no"}}).encode()
        head, block = self.heads.pop(0) if len(self.heads) > 1 else self.heads[0], call["params"][1:2]
        self.asked.append((call["method"], *block))
        if block and block[0].startswith("0x") and int(block[0], 16) > head:
            said = {"result": None} if self.refusal is None else {"error": self.refusal}
            return 200, json.dumps({"jsonrpc": "2.0", "id": call["id"], **said}).encode()
        result = {"eth_chainId": "0x7a69", "eth_blockNumber": hex(head), "eth_getBalance": hex(100 + head)}
        return 200, json.dumps({"jsonrpc": "2.0", "id": call["id"], "result": result[call["method"]]}).encode()


@pytest.fixture
def unbatched(monkeypatch: pytest.MonkeyPatch) -> Callable[[Unbatched], ChainConnection]:
    """A connection to such servers that has to know block 18."""

    def connected(servers: Unbatched) -> ChainConnection:
        session = requests.Session()
        session.mount(LOSSY_URL, LossyAdapter(servers))  # type: ignore[arg-type]
        monkeypatch.setattr(RpcProvider, "_session", lambda self: session)
        connection = connect(LOSSY_URL, 31337)
        connection.provider.require_block(18)
        return connection

    return connected


@pytest.mark.parametrize(
    "refusal",
    [
        {"code": -32000, "message": "header not found"},
        {"code": -32001, "message": "Unknown block", "data": None},
        {"code": -32001, "message": "18 could not be found", "data": None},
        {"code": -32602, "message": "Block out of range: requested 18, have 16"},
        {"code": -32602, "message": "BlockOutOfRangeError: block height is 16 but requested was 18"},
        {"code": -32000, "message": "Received invalid block tag 18. Latest block number is 16"},
        {"code": -32000, "message": "missing trie node 0123 (path ) state 0x45 is not available"},
        {"code": -32000, "message": "cannot query unfinalized data"},
        {"code": 1, "message": "requested a future epoch (beyond 'latest')"},
        None,
    ],
)
def test_a_read_after_a_write_is_of_the_block_that_was_told_of(
    refusal: dict[str, object] | None, unbatched: Callable[[Unbatched], ChainConnection]
) -> None:
    """Regression: one server told of a block, and another one behind the same address answered from before it."""
    servers = Unbatched([18, 18, 16, 16, 18], refusal)
    assert unbatched(servers).balance("0x" + "11" * 20) == 118
    # The head from one server, what is asked in it from the other, which lags; it is asked until it knows the block.
    assert servers.asked == [("eth_chainId",), ("eth_blockNumber",), *[("eth_getBalance", "0x12")] * 3]


@pytest.mark.parametrize(
    "refusal",
    [
        {"code": 3, "message": "execution reverted: the block is over", "data": "0x"},
        {"code": -32000, "message": "account disabled; API key not found"},
        {"code": -32000, "message": "EVM error StateChangeDuringStaticCall"},
        {"code": -32000, "message": "exceeds block gas limit"},
        {"code": -32601, "message": "state methods are not available: method not found"},
    ],
)
def test_a_refusal_that_says_nothing_of_the_block_is_told_at_once(
    refusal: dict[str, object], unbatched: Callable[[Unbatched], ChainConnection]
) -> None:
    servers = Unbatched([18, 18, 16], refusal)
    with pytest.raises(errors.RpcRefusedError, match=str(refusal["message"])):
        unbatched(servers).balance("0x" + "11" * 20)
    assert len(servers.asked) == 3


def test_a_block_that_was_told_of_again_is_not_gone(
    unbatched: Callable[[Unbatched], ChainConnection], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: seconds of lagging state counted as seconds without the block, and older state was believed."""
    now = [0.0]
    clock = SimpleNamespace(monotonic=lambda: now[0], sleep=lambda seconds: now.__setitem__(0, now[0] + seconds))
    monkeypatch.setattr(provider, "time", clock)
    monkeypatch.setattr(provider, "FIRST_PAUSE", 1.0)
    servers = Unbatched([18, 18, 18, *[16] * 3, 16, 18], {"code": -32000, "message": "header not found"})
    connection = unbatched(servers)
    assert connection.block_number() == 18
    assert connection.balance("0x" + "11" * 20) == 118
    assert now[0] > provider.REPLACED_SECONDS


@pytest.mark.parametrize("head", ["latest", None, 18])
def test_no_state_counts_without_a_head(head: object) -> None:
    """Regression: a server that failed to say its latest block was believed without it."""
    with server(lambda method, number: (200, head if method == "eth_blockNumber" else CHAIN[method])) as url:
        connection = connect(url, 31337, retries=0)
        connection.provider.require_block(18)
        with pytest.raises(errors.RpcFailingError, match="does not say which block"):
            connection.balance("0x" + "11" * 20)


def test_a_server_that_forgets_its_own_block_has_another_chain_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a re-organisation nobody knows the block again: whoever waited for it would answer no game in time."""
    monkeypatch.setattr(provider, "REPLACED_SECONDS", 0.3)

    def shorter(method: str, number: int) -> tuple[int, object]:
        return 200, {**CHAIN, "eth_blockNumber": "0x12" if number <= 3 else "0x10", "eth_getBalance": "0x5"}[method]

    with server(shorter) as url:
        connection = connect(url, 31337)
        assert connection.block_number() == 18
        connection.provider.require_block(18)
        assert connection.balance("0x" + "11" * 20) == 5
        assert connection.block_number() == 16


def test_a_server_that_stays_behind_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errors.RpcLaggingError, "patience", 0.0)
    with server(healthy) as url:
        connection = connect(url, 31337)
        connection.provider.require_block(18)
        with pytest.raises(errors.RpcLaggingError, match="at block 16, and block 18 is known"):
            assert connection.block_number()


def test_addresses_are_shown_as_they_are_written() -> None:
    assert shown_url("http://[::1]:8545/key") == "http://[::1]:8545"
    assert shown_url("https://user:secret@node.example/v3/key?x=1") == "https://node.example"
    with pytest.raises(errors.RpcUnreachableError, match="refused"):
        connect(f"http://127.0.0.1:{free_port()}", retries=0)


class Scripted:
    """A server that answers one request after the other as written: a message of refusal, or the fault itself."""

    def __init__(self, *answers: str | Exception) -> None:
        self.answers = list(answers)

    def answer(self, body: bytes) -> tuple[int, bytes]:
        """As ``LossyRpc``."""
        said = self.answers.pop(0)
        if isinstance(said, Exception):
            raise said
        error = {"code": -32000, "message": said}
        return 200, json.dumps({"jsonrpc": "2.0", "id": json.loads(body)["id"], "error": error}).encode()


@pytest.mark.parametrize("fault", [Dropped(), Dropped(late=True)])
def test_a_refusal_after_a_lost_answer_is_no_refusal(fault: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: what had reached one server and was refused by the next counted as never sent, and was paid twice."""
    session = requests.Session()
    session.mount(LOSSY_URL, LossyAdapter(Scripted(fault, "insufficient funds")))  # type: ignore[arg-type]
    monkeypatch.setattr(RpcProvider, "_session", lambda self: session)
    asked = RpcProvider([LOSSY_URL, LOSSY_URL + "/other"], timeout=1, retries=0)
    with pytest.raises(errors.RpcUnreachableError):
        asked.make_request("eth_sendRawTransaction", ["0x"])


def test_a_refusal_stands_where_nothing_arrived_before(monkeypatch: pytest.MonkeyPatch) -> None:
    session = requests.Session()
    session.mount(LOSSY_URL, LossyAdapter(Scripted("insufficient funds")))  # type: ignore[arg-type]
    monkeypatch.setattr(RpcProvider, "_session", lambda self: session)
    asked = RpcProvider([f"http://127.0.0.1:{free_port()}", LOSSY_URL], timeout=1, retries=0)
    answer = asked.make_request("eth_sendRawTransaction", ["0x"])
    assert answer["error"]["message"] == "insufficient funds"


@pytest.mark.parametrize("given", ["wss://user:pass@host.io/ws/v3/SECRET?key=SECRET", "host.io/v3/SECRET"])
def test_an_address_of_the_wrong_kind_is_named_without_its_key(given: str) -> None:
    """Regression: keys stand in paths, too."""
    with pytest.raises(errors.RpcUnreachableError, match=r"host\.io'") as raised:
        connect(given)
    assert "SECRET" not in raised.value.message
    assert "pass" not in raised.value.message


def test_several_addresses_are_shown_as_the_first() -> None:
    assert shown_url("http://127.0.0.1:8545,http://b/v3/SECRET") == "http://127.0.0.1:8545"


def test_an_answer_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: a byte now and then kept a command, or a defender's thread, for ever."""
    enough = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            with suppress(OSError):
                while not enough.wait(0.02):
                    self.wfile.write(b" ")

        def log_message(self, *_: object) -> None:
            pass

    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=made.serve_forever, args=(0.02,))
    thread.start()
    try:
        asked = RpcProvider([f"http://127.0.0.1:{made.server_port}"], timeout=0.2, retries=0)
        with pytest.raises(errors.RpcTimeoutError, match="no whole answer within 1 s"):
            asked.make_request("eth_chainId", [])
        monkeypatch.setattr(provider, "MOST_BODY_BYTES", 3)
        with pytest.raises(errors.RpcNonsenseError, match="more than 3 bytes"):
            asked.make_request("eth_chainId", [])
    finally:
        enough.set()
        made.shutdown()
        thread.join()
        made.server_close()


def test_json_that_is_nested_without_end_is_nonsense() -> None:
    response = requests.Response()
    response.status_code = 200
    with pytest.raises(errors.RpcNonsenseError):
        provider._document("http://a", response, b"[" * 10**6)
