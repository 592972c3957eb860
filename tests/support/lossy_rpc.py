"""A chain's RPC server as it is on a bad day, before a real one: it drops, delays, doubles, refuses and forgets.

Every fault is drawn from one seed. It answers bodies; ``LossyAdapter`` lets ``requests`` ask it in this process, and
``lossy_server`` lets other programs ask it on a port.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import requests
from requests.adapters import BaseAdapter

LOSSY_URL = "http://lossy.invalid"
FAULTS = ("lost", "answer_lost", "late", "doubled", "busy", "failing", "page", "wrong_id", "stale", "outage")
FEE_METHODS = ("eth_maxPriorityFeePerGas", "eth_feeHistory")
HEAD_METHODS = ("eth_call", "eth_getBalance", "eth_getTransactionCount", "eth_getCode", "eth_estimateGas")
"""Their second parameter is a block."""
UNKNOWN_BLOCK = ((-32000, "header not found"), (-32001, "Unknown block"), (-32602, "block number is out of range"))
"""What servers say of a block that they do not know yet."""


class Dropped(Exception):
    """The connection broke; ``late``: no answer came in time."""

    def __init__(self, late: bool = False) -> None:
        super().__init__("dropped")
        self.late = late


class LossyRpc:
    """Faults before the server at ``target``: each request has one with probability ``rate``."""

    def __init__(self, target: str, seed: int, rate: float = 0.12) -> None:
        self.target, self.rate, self.random = target, rate, random.Random(seed)
        self.seen: Counter[str] = Counter()
        self.missing = {name for name in FEE_METHODS if self.random.random() < 0.3}
        self.legacy, self.batches = self.random.random() < 0.2, self.random.random() < 0.8
        self._dead = 0  # requests for which the server is away
        self._session = requests.Session()

    def calm(self) -> None:
        """No faults from now on."""
        self.rate, self._dead = 0.0, 0

    def answer(self, body: bytes) -> tuple[int, bytes]:
        """Status and body. Raises Dropped."""
        if self._dead > 0:
            self._dead -= 1
            raise Dropped
        document = json.loads(body)
        sends = isinstance(document, dict) and document["method"] == "eth_sendRawTransaction"
        rate = 4 * self.rate if sends else self.rate  # where it hurts
        fault = self.random.choice(FAULTS) if self.random.random() < rate else ""
        self.seen[fault] += 1
        if isinstance(document, list) and not self.batches:
            return 200, json.dumps(self._error(None, -32600, "no batches")).encode()
        return self._with(fault, document)

    def _with(self, fault: str, document: Any) -> tuple[int, bytes]:
        refusals = {"busy": (429, b"{}"), "failing": (503, b"away"), "page": (200, b"<html>hello</html>")}
        if fault in refusals:
            return refusals[fault]
        if fault == "lost":
            raise Dropped
        answer = self._forwarded(document, stale=fault == "stale")
        if fault == "doubled":
            answer = self._forwarded(document)
        if fault == "outage":
            self._dead = self.random.randrange(5, 80)
        if fault in ("answer_lost", "late", "outage"):
            raise Dropped(fault == "late")
        if fault == "wrong_id" and isinstance(answer, dict):
            answer["id"] = 10**9
        return 200, json.dumps(answer).encode()

    def _forwarded(self, document: Any, *, stale: bool = False) -> Any:
        calls = document if isinstance(document, list) else [document]
        head = int(self._ask("eth_blockNumber", [])["result"], 16) - 1 if stale else None
        answers = [self._one(call, head) for call in calls]
        return answers if isinstance(document, list) else answers[0]

    def _one(self, call: Any, head: int | None) -> Any:
        method, parameters = call["method"], list(call.get("params", []))
        if method in self.missing or (self.legacy and method in FEE_METHODS):
            return self._error(call["id"], -32601, "the method does not exist")
        if head is not None and method in HEAD_METHODS and parameters[1:2] in (["latest"], ["pending"]):
            parameters[1] = hex(max(head, 0))
        elif head is not None and method in HEAD_METHODS and _is_after(parameters[1], head):
            return self._error(call["id"], *self.random.choice(UNKNOWN_BLOCK))
        answer = {**self._ask(method, parameters), "id": call["id"]}
        return self._aged(method, answer, head)

    def _aged(self, method: str, answer: Any, head: int | None) -> Any:
        result = answer.get("result")
        if self.legacy and method == "eth_getBlockByNumber" and result:
            result.pop("baseFeePerGas", None)
        if head is None or not result:
            return answer
        if method == "eth_blockNumber":
            answer["result"] = hex(max(head, 0))
        elif method in ("eth_getTransactionReceipt", "eth_getTransactionByHash"):
            block = result["blockNumber"]
            answer["result"] = result if block and int(block, 16) <= head else None
        return answer

    def _ask(self, method: str, parameters: list[Any]) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}
        return self._session.post(self.target, json=body, timeout=60).json()

    @staticmethod
    def _error(number: Any, code: int, message: str) -> Any:
        return {"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": message}}


def _is_after(block: str, head: int) -> bool:
    return block.startswith("0x") and int(block, 16) > head


class LossyAdapter(BaseAdapter):
    """What ``requests`` meets at LOSSY_URL."""

    def __init__(self, rpc: LossyRpc) -> None:
        super().__init__()
        self.rpc = rpc

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        body = request.body
        try:
            status, content = self.rpc.answer(body if isinstance(body, bytes) else str(body).encode())
        except Dropped as fault:
            raise (requests.ReadTimeout if fault.late else requests.ConnectionError)("dropped") from fault
        response = requests.Response()
        response.status_code, response._content, response.request = status, content, request
        return response

    def close(self) -> None:
        """Nothing is kept open."""


@contextmanager
def lossy_server(rpc: LossyRpc) -> Iterator[str]:
    """Its address on a port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            try:
                status, content = rpc.answer(body)
            except Dropped:
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
