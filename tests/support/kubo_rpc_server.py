"""A small HTTP server that speaks the part of the Kubo RPC API which this project calls.

A process of its own, started by the tests: ``python kubo_rpc_server.py PORT_FILE [CHUNK_BYTES]``. It is not
Kubo; ``tests/external`` runs the same calls against a real daemon when one is named.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlparse

from nexus_chain.content.unixfs import CHUNK_BYTES, blocks_of

_START_SECONDS = 240
BLOCKS: dict[str, bytes] = {}
PINS: set[str] = set()


class Handler(BaseHTTPRequestHandler):
    chunk_bytes = CHUNK_BYTES

    def do_POST(self) -> None:
        url = urlparse(self.path)
        query = {key: values[-1].lower() for key, values in parse_qs(url.query).items()}
        body = self._body()
        call = url.path.removeprefix("/api/v0/")
        if call == "add":
            self._add(query, body)
        elif call == "block/get" and query["arg"] in BLOCKS:
            self._answer(BLOCKS[query["arg"]])
        elif call == "pin/ls" and query.get("cid-base") == "base32" and query["arg"] in PINS:
            self._answer(json.dumps({"Keys": {query["arg"]: {"Type": "recursive"}}}).encode())
        else:
            self._answer(json.dumps({"Message": f"{call}: not found", "Code": 0, "Type": "error"}).encode(), 500)

    def _add(self, query: dict[str, str], body: bytes) -> None:
        if (query.get("raw-leaves"), query.get("cid-version")) != ("true", "1"):
            return self._answer(b'{"Message": "the tests want raw leaves and CIDv1"}', 400)
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        (part,) = BytesParser().parsebytes(head + body).get_payload()
        data = part.get_payload(decode=True)
        for block in blocks_of(io.BytesIO(data), self.chunk_bytes):
            BLOCKS[str(block.cid)] = block.data
            root = str(block.cid)
        if query.get("pin") == "true":
            PINS.add(root)
        return self._answer(json.dumps({"Name": "", "Hash": root, "Size": str(len(data))}).encode())

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        out = bytearray()
        while length := int(self.rfile.readline(), 16):
            out += self.rfile.read(length)
            self.rfile.readline()
        self.rfile.readline()
        return bytes(out)

    def _answer(self, data: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


def start(port_file: Path, *arguments: str) -> tuple[subprocess.Popen[bytes], str]:
    """Run this file as a process; it and its multiaddress. The caller terminates it."""
    process = subprocess.Popen([sys.executable, __file__, str(port_file), *arguments])
    deadline = time.monotonic() + _START_SECONDS
    while not port_file.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process, f"/ip4/127.0.0.1/tcp/{port_file.read_text()}"


if __name__ == "__main__":
    Handler.chunk_bytes = int(sys.argv[2]) if len(sys.argv) > 2 else CHUNK_BYTES
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    partial = Path(sys.argv[1] + ".partial")
    partial.write_text(str(server.server_port))
    partial.rename(sys.argv[1])
    server.serve_forever()
