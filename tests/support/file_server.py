"""An HTTP server of files in memory, with Range, that can be told to fail as servers do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Files:
    """``held``: content and its type by path. ``asked``: (path, Range header) of every request.

    ``cut_after``: bytes after which the next answer with a body breaks off, once. ``ranges``: whether Range is obeyed.
    """

    held: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    cut_after: int | None = None
    ranges: bool = True
    address: str = ""

    def add(self, path: str, content: bytes, kind: str = "application/octet-stream") -> None:
        self.held[path] = content, kind


def _handler(files: Files) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            files.asked.append((self.path, asked))
            if self.path not in files.held:
                self.send_error(404)
                return
            content, kind = files.held[self.path]
            start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and files.ranges else 0
            if start >= len(content) > 0:
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content) - start))
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.end_headers()
            body = content[start:]
            if files.cut_after is not None and len(body) > files.cut_after:
                body, files.cut_after = body[: files.cut_after], None
                self.close_connection = True
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


@contextmanager
def file_server() -> Iterator[Files]:
    """The files of a server on a free loopback port, for the block."""
    files = Files()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(files))
    files.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield files
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
