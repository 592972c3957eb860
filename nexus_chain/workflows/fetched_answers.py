"""Fetching an answer's evidence from a gateway. Nothing that it says is believed: the file is judged as any other."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import requests

from nexus_chain.evidence.errors import ProofFileError
from nexus_chain.evidence.proof import InferenceProof
from nexus_chain.json_text import parse_json

MOST_BYTES = 256 << 20
"""Of a gateway's reply: an answer file of a long context is some ten MB."""
SECONDS = 30.0
"""How long a gateway may be silent."""
_PIECE = 1 << 16
_ID = re.compile(r"/receipts/(?:[a-z]+[-_])*([^/]+)/?$")
"""What an answer is called in its address, without what an interface writes before it."""


def is_address(answer: str) -> bool:
    """Whether ``answer`` is a gateway's address of an answer, and no file."""
    return answer.startswith(("http://", "https://"))


def fetch_proof(url: str, api_key: str | None = None, most_bytes: int = MOST_BYTES) -> InferenceProof:
    """The answer file that a gateway keeps at ``url``, such as https://HOST/v1/receipts/ID. Raises ProofFileError.

    ``api_key``: of the account that asked. It is sent to that address and to no other: redirections are refused.
    """
    headers = {"accept": "application/json"} | ({"authorization": f"Bearer {api_key}"} if api_key else {})
    try:
        with requests.get(url, headers=headers, timeout=SECONDS, stream=True, allow_redirects=False) as response:
            _require_found(response, api_key is not None)
            body = _read(response, most_bytes)
    except requests.RequestException as error:
        raise ProofFileError(
            f"no gateway answers at this address ({type(error).__name__})", advice="Check it, and that it runs."
        ) from error
    try:
        document: Any = parse_json(body)
    except ValueError as error:
        raise ProofFileError("what came is no JSON", advice="Give the address .../v1/receipts/ID.") from error
    if not isinstance(document, dict):
        raise ProofFileError("what came is no evidence", advice="Give the address .../v1/receipts/ID.")
    _require_id(url, document)
    return InferenceProof.from_dict(document.get("proof", document))


def _require_id(url: str, document: Mapping[str, Any]) -> None:
    """Raise ProofFileError unless the evidence is that of the answer which ``url`` names."""
    named = _ID.search(urlsplit(url).path)
    if named is not None and document.get("id") != named[1]:
        raise ProofFileError(
            f"the gateway sent the evidence of another answer than {named[1]}", advice="Do not trust this gateway."
        )


def _require_found(response: requests.Response, has_key: bool) -> None:
    """Raise ProofFileError unless the reply is the document."""
    if response.status_code == 200:
        return
    if response.status_code == 401:
        advice = "Give the key of the account that asked" + (
            ": this one is unknown." if has_key else ": --api-key-file."
        )
        raise ProofFileError("the gateway wants another API key", advice=advice)
    if response.status_code == 404:
        raise ProofFileError(
            "the gateway has no such answer of this account", advice="Take the address from x-nexus-receipts."
        )
    raise ProofFileError(
        f"the gateway replied with status {response.status_code}", advice="Give the address .../v1/receipts/ID."
    )


def _read(response: requests.Response, most_bytes: int) -> bytes:
    """The whole body. Raises ProofFileError above the limit."""
    parts, size = [], 0
    for part in response.iter_content(_PIECE):
        size += len(part)
        if size > most_bytes:
            raise ProofFileError(f"the reply is longer than {most_bytes} bytes", advice="Do not trust this gateway.")
        parts.append(part)
    return b"".join(parts)
