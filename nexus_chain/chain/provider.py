"""Requests to one of several RPC servers of one chain: repeated, failed over, and never older than what was seen.

An answer is one server's word. Knows neither contracts nor wallets.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from typing import Any, cast
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError, NewConnectionError, ReadTimeoutError

from nexus_chain.chain.errors import (
    ChainError,
    RpcBusyError,
    RpcFailingError,
    RpcKeyRefusedError,
    RpcLaggingError,
    RpcNonsenseError,
    RpcTimeoutError,
    RpcUnreachableError,
    WrongChainError,
)

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 4.0
"""Seconds between two rounds over all servers; each pause doubles."""
FLOOR_SECONDS = 60.0
"""How long after a write every read is checked to know it."""
REPLACED_SECONDS = 3.0
"""How long a server that has known a block may know of older ones alone, until that block was replaced for certain:
behind one address there may be several servers, of which one lags."""
DENIALS, DENIED_PAUSE = 12, 0.25
"""How often in a row it has to say so, and the seconds between: of two servers, each answers by chance."""
BODY_TIMEOUTS = 4
"""How many times a request's timeout its answer may take from its first byte to its last."""
MOST_BODY_BYTES = 64 << 20
_PIECE_BYTES = 65_536
_AT_HEAD = frozenset(
    ("eth_call", "eth_estimateGas", "eth_getBalance", "eth_getCode", "eth_getTransactionCount", "eth_getLogs")
)
_OF_BLOCK = frozenset(("eth_call", "eth_getBalance", "eth_getCode", "eth_getTransactionCount"))
"""Their second parameter names a block."""
_BLOCK_WORDS = re.compile(r"\b(block|header|state|trie|epoch)\b|unfinalized|could not be found")
_UNKNOWN_WORDS = re.compile(
    r"\bno\b|\bnot\b|n't\b|unknown|unavailable|missing|invalid|out of range|future|beyond|ahead|greater|expect"
    "|requested|unfinalized"
)
"""Some of each are in what servers say of a block that they do not know: no two say the same."""
_METHOD_NOT_FOUND, _REVERTED = -32601, 3
_GATEWAY_STATUSES = (502, 503, 504)
"""The server behind a gateway may have done what it was asked, whatever the gateway says."""
_HEAD: tuple[str, Any] = ("eth_blockNumber", [])
_LAGGING_ADVICE = "Wait until it has caught up, or give a second address after a comma."
_BUSY_WORDS = ("rate limit", "too many requests", "request limit")

RpcRequest = tuple[str, Any]
"""A method and its parameters."""
RpcAnswer = dict[str, Any]
"""``result`` or ``error``, as the server sent it."""


def shown_url(rpc_url: str) -> str:
    """``rpc_url`` without user, password, path and query: providers put secret API keys there."""
    parts = urlsplit(rpc_url.split(",")[0].strip())
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")


class RpcProvider:
    """Requests and their answers over ``urls``, the first one preferred. Any thread may use it.

    ``chain_id``: what every server has to serve; set once it is known.
    """

    def __init__(self, urls: Sequence[str], *, timeout: float, retries: int) -> None:
        """``timeout``: seconds of one request; ``retries`` 0 asks each server once."""
        self.urls, self.timeout, self.retries = tuple(urls), timeout, retries
        self.chain_id: int | None = None
        self._checked: dict[str, int] = {}  # chain ids of servers
        self._preferred = 0
        self._floor, self._floor_until = 0, 0.0
        self._known: dict[str, int] = {}  # the highest block that a server has told of
        self._denied: dict[
            str, tuple[float, int]
        ] = {}  # since when, how often a server denies the floor it had told of
        self._gone = 0  # up to this block numbers may be of blocks that were replaced
        self._sessions = threading.local()
        self._numbers = count()

    @property
    def endpoint_uri(self) -> str:
        """The server that is asked first."""
        return self.urls[self._preferred]

    def require_block(self, block: int) -> None:
        """From now on, for a while, take no answer from before ``block``, unless it is known to be gone."""
        if block > self._gone:
            if block > self._floor:
                self._denied.clear()
            self._floor, self._floor_until = max(self._floor, block), time.monotonic() + FLOOR_SECONDS

    @property
    def _least(self) -> int:
        return self._floor if time.monotonic() < self._floor_until else 0

    # --------------------------------------------------------------- questions

    def make_request(self, method: str, params: Any) -> RpcAnswer:
        """One request. Raises RpcUnreachableError, WrongChainError."""
        if self._least and method in _AT_HEAD:
            return self._asked([_HEAD, (method, params)])[-1]
        return self._asked([(method, params)])[0]

    def make_batch_request(self, batch_requests: list[RpcRequest]) -> list[RpcAnswer]:
        """Several requests, their answers in the same order. Raises as ``make_request``."""
        extra = 1 if self._least else 0
        return self._asked([_HEAD] * extra + list(batch_requests))[extra:]

    # ----------------------------------------------------------- one question

    def _asked(self, requests_: list[RpcRequest]) -> list[RpcAnswer]:
        """Answers to all of them by one server; asked again as long as it is worth while."""
        started, pause, rounds = time.monotonic(), FIRST_PAUSE, 0
        failures: list[RpcUnreachableError | WrongChainError] = []
        while True:
            try:
                answers = self._asked_once_each(requests_, failures)
                break
            except RpcUnreachableError as error:
                wait, rounds = max(pause, error.pause), rounds + 1
                spent = time.monotonic() - started
                if isinstance(error, RpcLaggingError) and error.forgotten:
                    self._gone, self._floor = self._least, 0  # re-organised: what was seen says nothing any more
                    continue
                again = rounds == 1 if isinstance(error, RpcTimeoutError) else spent + wait <= error.patience
                if not self.retries or not again or not _repeatable(requests_):
                    raise
                time.sleep(wait)
                denied = isinstance(error, RpcLaggingError) and error.denied
                pause = min(2 * pause, LONGEST_PAUSE, DENIED_PAUSE if denied else LONGEST_PAUSE)
        _require_no_doubt(requests_, answers, failures)
        return answers

    def _asked_once_each(
        self, requests_: list[RpcRequest], failures: list[RpcUnreachableError | WrongChainError]
    ) -> list[RpcAnswer]:
        """The answer of the first server that has one; ``failures`` grow. Raises what the preferred one did wrong."""
        first, known = self._preferred, len(failures)
        for step in range(len(self.urls)):
            index = (first + step) % len(self.urls)
            try:
                self._require_chain(self.urls[index])
                answers = self._answers(self.urls[index], requests_)
                self._preferred = index
                return answers
            except (RpcUnreachableError, WrongChainError) as error:
                failures.append(error)
                if not _repeatable(requests_):
                    break
        raise failures[known]

    def _require_chain(self, url: str) -> None:
        """INVARIANT: what one chain said is never mixed with another's: each server is asked before its first use."""
        if self.chain_id is None or len(self.urls) == 1:
            return
        if url not in self._checked:
            answer = self._chain_answer(url)
            with suppress(KeyError, TypeError, ValueError):
                self._checked[url] = int(cast(str, answer["result"]), 16)
        found = self._checked.get(url)
        if found != self.chain_id:
            raise WrongChainError(
                f"{shown_url(url)} serves chain {found}, not chain {self.chain_id}",
                advice="Give RPC addresses of one chain only.",
            )

    def _chain_answer(self, url: str) -> RpcAnswer:
        try:
            return self._answers(url, [("eth_chainId", [])], floor=0)[0]
        except RpcUnreachableError as error:
            error.arrived = False  # what was to be asked next was not asked
            raise

    def _answers(self, url: str, requests_: list[RpcRequest], floor: int | None = None) -> list[RpcAnswer]:
        least = self._least if floor is None else floor
        answers = self._posted(url, requests_)
        for (method, params), answer in zip(requests_, answers, strict=True):
            _require_not_busy(url, answer)
            self._note(url, method, answer)
            if least:
                self._require_recent(url, method, _head_of(method, params, answer), least)
        return answers

    def _note(self, url: str, method: str, answer: RpcAnswer) -> None:
        """Remember of which block a server has told."""
        block = _block_of(method, answer) or 0
        self._known[url] = max(self._known.get(url, 0), block)
        if block >= self._floor:
            self._denied.pop(url, None)

    def _require_recent(self, url: str, method: str, head: int | None, least: int) -> None:
        """INVARIANT: no state counts without a head that goes with it, and none from before ``least``."""
        if head is None and method == _HEAD[0]:
            raise RpcFailingError(
                f"the RPC server {shown_url(url)} does not say which block is its latest",
                advice="Try again later, or give a second address after a comma.",
            )
        if head is None or head >= least:
            return
        late = RpcLaggingError(
            f"the RPC server {shown_url(url)} is at block {head}, and block {least} is known", advice=_LAGGING_ADVICE
        )
        late.denied = self._known[url] >= least
        if late.denied:
            since, times = self._denied.get(url, (time.monotonic(), 0))
            self._denied[url] = since, times + 1
            certain = time.monotonic() - since >= REPLACED_SECONDS and times >= DENIALS
            late.forgotten = certain or not self.retries
        raise late

    def _posted(self, url: str, requests_: list[RpcRequest]) -> list[RpcAnswer]:
        """In one post; one after the other where the server takes no batches."""
        if len(requests_) == 1:
            return [self._one(url, requests_[0])]
        calls = [self._call(request) for request in requests_]
        wanted = [call["id"] for call in calls]
        answer = self._post(url, json.dumps(calls).encode())
        if not isinstance(answer, list):
            if isinstance(answer, dict):
                _require_not_busy(url, answer)
            return self._one_by_one(url, requests_)
        by_id = {entry["id"]: entry for entry in answer if isinstance(entry, dict) and _is_id(entry.get("id"))}
        if any(number not in by_id for number in wanted):
            raise _nonsense(url, "an answer to another request")
        return [by_id[number] for number in wanted]

    def _one_by_one(self, url: str, requests_: list[RpcRequest]) -> list[RpcAnswer]:
        """INVARIANT: what follows a head is read in that block, or not at all: behind one address there may be several
        servers, of which the next one lags.
        """
        answers: list[RpcAnswer] = []
        head: int | None = None
        for method, params in requests_:
            if head is not None and _is_of_latest(method, params):
                answers.append(self._in_block(url, method, [params[0], hex(head), *params[2:]], head))
                continue
            answers.append(self._one(url, (method, params)))
            if (told := _head_of(method, params, answers[-1])) is not None:
                self._note(url, method, answers[-1])
                head = told
        return answers

    def _in_block(self, url: str, method: str, params: Any, number: int) -> RpcAnswer:
        """The answer for block ``number``, of which the server has told: whoever lags behind it has it soon.

        Raises RpcLaggingError.
        """
        pause, until = FIRST_PAUSE, time.monotonic() + REPLACED_SECONDS
        while True:
            answer = self._one(url, (method, params))
            _require_not_busy(url, answer)
            if not _lacks_block(answer):
                return answer
            if not self.retries or time.monotonic() + pause > until:
                said = str(answer.get("error") or "nothing")
                raise RpcLaggingError(
                    f"the RPC server {shown_url(url)} does not know block {number}, of which it told: {said[:120]!r}",
                    advice=_LAGGING_ADVICE,
                )
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _one(self, url: str, request: RpcRequest) -> RpcAnswer:
        call = self._call(request)
        answer = self._post(url, json.dumps(call).encode())
        if not isinstance(answer, dict) or not ("result" in answer or isinstance(answer.get("error"), dict)):
            raise _nonsense(url, "an answer that is no JSON-RPC")
        if answer.get("id") != call["id"] and not (answer.get("id") is None and "error" in answer):
            raise _nonsense(url, "an answer to another request")
        return answer

    def _call(self, request: RpcRequest) -> dict[str, Any]:
        method, params = request
        return {"jsonrpc": "2.0", "id": next(self._numbers), "method": method, "params": params}

    def _post(self, url: str, body: bytes) -> Any:
        try:
            response = self._session().post(
                url,
                data=body,
                headers={"Content-Type": "application/json"},
                timeout=(min(5.0, self.timeout), self.timeout),
                stream=True,
            )
            body = _body(url, response, BODY_TIMEOUTS * self.timeout)
        except (requests.exceptions.Timeout, ReadTimeoutError) as error:
            late = RpcTimeoutError(
                f"the RPC server {shown_url(url)} gave no answer in time ({type(error).__name__})",
                advice="Try again later, or give a second address after a comma.",
            )
            late.arrived = not isinstance(error, requests.exceptions.ConnectTimeout)
            raise late from error
        except (requests.exceptions.RequestException, HTTPError, OSError, ValueError) as error:
            raise _broken(url, error) from error
        return _document(url, response, body)

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._sessions, "session", None)
        if session is None:
            session = self._sessions.session = requests.Session()
        return session


def _repeatable(requests_: Sequence[RpcRequest]) -> bool:
    """Whether asking twice is as good as once: a raw transaction is the same one; a test chain's commands are not."""
    return all(method.startswith(("eth_", "net_", "web3_")) for method, _ in requests_)


def _require_no_doubt(
    requests_: Sequence[RpcRequest], answers: Sequence[RpcAnswer], failures: Sequence[ChainError]
) -> None:
    """INVARIANT: a server's refusal of a transaction says nothing about one that may have reached another server, or
    the same one, before: it may be mined all the same. Raises how that went.
    """
    refused = any(
        method == "eth_sendRawTransaction" and "error" in answer
        for (method, _), answer in zip(requests_, answers, strict=True)
    )
    for failure in failures:
        if refused and getattr(failure, "arrived", False):
            raise failure


def _is_of_latest(method: str, params: Any) -> bool:
    return method in _OF_BLOCK and params[1:2] in (["latest"], ("latest",))


def _lacks_block(answer: RpcAnswer) -> bool:
    """Whether a server says that it does not know the block; no contract's refusal, and nothing else."""
    error: Any = answer.get("error")
    if not isinstance(error, dict):
        return answer.get("result") is None
    said = str(error.get("message", "")).lower()
    if error.get("code") in (_METHOD_NOT_FOUND, _REVERTED) or "revert" in said:
        return False
    return bool(_BLOCK_WORDS.search(said) and _UNKNOWN_WORDS.search(said))


def _is_id(value: Any) -> bool:
    return isinstance(value, int | str)


def _head_of(method: str, params: Any, answer: RpcAnswer) -> int | None:
    """The head that an answer tells of, if it does."""
    latest = method == "eth_blockNumber" or (method == "eth_getBlockByNumber" and params[0] == "latest")
    return _block_of(method, answer) if latest else None


def _block_of(method: str, answer: RpcAnswer) -> int | None:
    """A block that an answer says is on the chain, if it does."""
    result: Any = answer.get("result")
    with suppress(TypeError, ValueError, KeyError):
        if method == "eth_blockNumber":
            return int(result, 16)
        if method == "eth_getTransactionReceipt":
            return int(result["blockNumber"], 16)
        if method == "eth_getBlockByNumber":
            return int(result["number"], 16)
    return None


def _body(url: str, response: requests.Response, seconds: float) -> bytes:
    """The whole body. Raises RpcTimeoutError, RpcNonsenseError.

    INVARIANT: no server keeps a thread busy for ever by a byte now and then, nor fills the memory.
    """
    if response.raw is None:  # whole from the start
        return response.content
    until, body = time.monotonic() + seconds, bytearray()
    try:
        while piece := response.raw.read1(_PIECE_BYTES, decode_content=True):
            body += piece
            if len(body) > MOST_BODY_BYTES:
                raise _nonsense(url, f"more than {MOST_BODY_BYTES} bytes")
            if time.monotonic() > until:
                raise RpcTimeoutError(
                    f"the RPC server {shown_url(url)} gave no whole answer within {seconds:.0f} s",
                    advice="Try again later, or give a second address after a comma.",
                )
    except BaseException:
        response.close()
        raise
    response.raw.drain_conn()  # the connection serves the next request
    return bytes(body)


def _document(url: str, response: requests.Response, body: bytes) -> Any:
    """The JSON of a response. Raises what its status means."""
    status = response.status_code
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if status in (401, 403):
        raise RpcKeyRefusedError(
            f"the RPC server {shown_url(url)} refuses the key (HTTP {status})",
            advice="Check the key in the RPC address, and that its plan allows this.",
        )
    if status == 429:
        raise _busy(url, "HTTP 429", _seconds(response.headers.get("Retry-After")))
    told = isinstance(document, dict) and isinstance(document.get("error"), dict)
    if status in _GATEWAY_STATUSES or (status >= 400 and not told):
        kind = RpcFailingError if status >= 500 else RpcUnreachableError
        raise kind(
            f"the RPC server {shown_url(url)} has an error (HTTP {status})"
            if status >= 500
            else f"no chain answers at {shown_url(url)} (HTTP {status})",
            advice="Try again later, or give a second address after a comma."
            if status >= 500
            else "Check the address: no RPC server answers there.",
        )
    if document is None:
        raise _nonsense(url, "no JSON (a web page?)")
    return document


def _require_not_busy(url: str, answer: RpcAnswer) -> None:
    error: Any = answer.get("error")
    if isinstance(error, dict):
        message = str(error.get("message", "")).lower()
        if error.get("code") == 429 or any(word in message for word in _BUSY_WORDS):
            raise _busy(url, message[:80], 0.0)


def _busy(url: str, why: str, pause: float) -> RpcBusyError:
    error = RpcBusyError(
        f"the RPC server {shown_url(url)} asks to slow down: too many requests ({why})",
        advice="Try again in a minute, use a plan that allows more, or give a second address after a comma.",
    )
    error.pause = pause
    return error


def _broken(url: str, error: Exception) -> RpcUnreachableError:
    refused = "refused" in str(error).lower()
    what = "the connection is refused" if refused else type(error).__name__
    found = RpcUnreachableError(
        f"no chain answers at {shown_url(url)} ({what})",
        advice="Check the address, and that the chain's RPC server is running.",
    )
    found.arrived = not _never_connected(error)
    return found


def _never_connected(error: Exception) -> bool:
    """Whether no connection came about, so nothing was asked over it."""
    if isinstance(error, requests.exceptions.ProxyError):
        return True
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(reason, NewConnectionError)


def _nonsense(url: str, what: str) -> RpcNonsenseError:
    return RpcNonsenseError(
        f"no chain answers at {shown_url(url)}: what answers there gives {what}",
        advice="Check the address, key included; a provider's website is not its RPC address.",
    )


def _seconds(header: str | None) -> float:
    """``Retry-After`` in seconds; dates and nonsense count as nothing."""
    try:
        return max(0.0, float(header or 0))
    except ValueError:
        return 0.0
