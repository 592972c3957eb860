"""Where callers sign in: hands out nonces, verifies messages, opens sessions."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from node.gateway.access.ledger_accounts import LedgerAccounts
from node.gateway.access.sign_in import (
    SignedIn,
    SignInTerms,
    begin_session,
    new_nonce,
    nonce_secret,
    verify_message,
)
from node.gateway.errors import LimitReachedError

_THREADS = 2
_MOST_WAITING = 32


class SignInDesk:
    """One for a gateway; ``close`` it in the end."""

    def __init__(self, accounts: LedgerAccounts, terms: SignInTerms) -> None:
        self.terms, self._accounts = terms, accounts
        # Of its own: a contract's consent is asked of the chain, and answers do not wait for that.
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="nexus-sign-in")
        self._secret = b""
        self._waiting = 0

    async def nonce(self) -> str:
        """A nonce for one message. Raises UnavailableError."""
        return new_nonce(await self._nonce_secret(), self._accounts.clock())

    async def verify(self, text: str, signature: str) -> SignedIn:
        """A session for whoever signed ``text``.

        Raises as ``verify_message`` and ``begin_session`` do, and LimitReachedError where too many wait already.
        """
        now = self._accounts.clock()
        check = partial(verify_message, text, signature, self.terms, await self._nonce_secret(), now)
        if self._waiting >= _MOST_WAITING:
            # INVARIANT: strangers who sign in take two threads at most, and no memory for more than wait here.
            raise LimitReachedError("too many sign in at once", advice="Try again in a moment.", retry_after=2.0)
        self._waiting += 1
        try:
            message = await asyncio.get_running_loop().run_in_executor(self._threads, check)
        finally:
            self._waiting -= 1
        return await self._accounts.write(lambda connection: begin_session(connection, message, now))

    async def _nonce_secret(self) -> bytes:
        self._secret = self._secret or await self._accounts.write(nonce_secret)
        return self._secret

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown()
