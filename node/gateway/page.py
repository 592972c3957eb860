"""The page's files, read once: what ``node/web`` was built to. A path outside them is not found, so none leads out.

The policy lets the page run its own files and nothing else: text of a model that becomes a script by mistake does
nothing, another site can neither frame the page nor be sent what it knows.
"""

from __future__ import annotations

import gzip
import mimetypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

BUILT = Path(__file__).resolve().parents[1] / "web" / "dist"
DOCUMENT = "index.html"
HASHED = "assets/"
"""Files below it have a hash in their names: what a name stands for never changes."""

_POLICY = (
    "default-src 'self'",
    "script-src 'self' 'wasm-unsafe-eval'",
    "img-src 'self' data:",
    "object-src 'none'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types dompurify nexus",
)
_HEADERS: Mapping[str, str] = {
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_SMALLEST_COMPRESSED = 1024
_TYPES = {".js": "text/javascript; charset=utf-8", ".wasm": "application/wasm", ".md": "text/plain; charset=utf-8"}


def page_headers(verifiers: Sequence[str] = ()) -> dict[str, str]:
    """Headers of every file of the page. ``verifiers``: origins that it may ask beside its own gateway."""
    # INVARIANT: only what the operator names is added: what the page knows can be sent nowhere else.
    asked = ["connect-src " + " ".join(("'self'", *verifiers))] if verifiers else []
    rules = [*_POLICY, *asked]
    return {"content-security-policy": "; ".join(rules), **_HEADERS}


@dataclass(frozen=True)
class PageFile:
    """``compressed``: by gzip, where that is smaller. ``etag``: quoted, as HTTP writes it."""

    media_type: str
    content: bytes
    compressed: bytes | None
    etag: str
    is_hashed: bool

    @property
    def cache_control(self) -> str:
        """How long a browser may keep it: for ever where its name holds its hash."""
        return "public, max-age=31536000, immutable" if self.is_hashed else "no-cache"


@cache
def page_files(folder: Path) -> Mapping[str, PageFile]:
    """Every file of a built page by its path in the folder; none where the page was not built."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): _read(path, folder) for path in found}


def file_at(path: str, folder: Path) -> PageFile | None:
    """The file for a path of the page. Places within the page are all the one document; a missing file is None."""
    files = page_files(folder)
    if path in files:
        return files[path]
    is_place = "." not in path.rsplit("/", 1)[-1] and not path.startswith(HASHED)
    return files.get(DOCUMENT) if is_place else None


def _read(path: Path, folder: Path) -> PageFile:
    content, name = path.read_bytes(), path.relative_to(folder).as_posix()
    media_type = _TYPES.get(path.suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    if media_type in ("text/html", "text/css"):
        media_type += "; charset=utf-8"
    smaller = gzip.compress(content, mtime=0) if len(content) >= _SMALLEST_COMPRESSED else content
    compressed = smaller if len(smaller) < len(content) else None
    return PageFile(media_type, content, compressed, f'"{sha256(content).hexdigest()[:32]}"', name.startswith(HASHED))
