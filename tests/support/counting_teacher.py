"""A teacher on this machine that counts who asked what, and ends a client's process when it has to."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class CountingTeacher:
    """``asked``: how often each (source, prompt) came."""

    def __init__(self) -> None:
        self.asked: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()
        self._client = 0
        self._left: int | None = None
        self._replies_first = False

    def kill_at(self, client: int, requests: int, *, replies_first: bool) -> None:
        """Kill the process ``client`` at that many requests from now, before that one's reply or right after it."""
        with self._lock:
            self._client, self._left, self._replies_first = client, requests, replies_first

    def spare(self) -> None:
        """Kill nobody any more."""
        with self._lock:
            self._left = None

    def take(self, source: str, prompt: str, handler: BaseHTTPRequestHandler) -> None:
        with self._lock:
            self.asked[source, prompt] += 1
            if self._left is not None:
                self._left -= 1
            kills = self._left == 0
            if kills and not self._replies_first:
                os.kill(self._client, signal.SIGKILL)
                return
        body = json.dumps({"text": f"{source} says {prompt}", "cost_usd": "0.01"}).encode()
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)
        if kills:
            os.kill(self._client, signal.SIGKILL)


@contextmanager
def counting_teacher() -> Iterator[tuple[CountingTeacher, str]]:
    """A teacher and its address."""
    teacher = CountingTeacher()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with suppress(OSError):  # the client was killed
                teacher.take(asked["source"], asked["prompt"], self)

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield teacher, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
