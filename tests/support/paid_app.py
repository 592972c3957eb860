"""A gateway that takes payments with requests, on Anvil with a token of its own, served over TCP."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, cast

import uvicorn
from eth_account.signers.local import LocalAccount
from fastapi import Body, FastAPI
from hexbytes import HexBytes
from web3 import Web3
from web3.contract import Contract

from nexus_chain.chain.local import LocalChain
from nexus_chain.chain.transactions import Sender
from nexus_chain.chain.wallet import Wallet
from node.gateway.access.ledger_accounts import LedgerAccounts
from node.gateway.access.x402_offers import X402Terms
from node.gateway.access.x402_payments import PaymentHeaders, X402Payments
from node.gateway.accounts import Bill
from node.gateway.deps import AppDeps, Deps, PayingCaller
from node.gateway.errors import GatewayError, UnavailableError
from node.gateway.ledger.database import Database
from node.gateway.routes import account
from tests.support.access_app import ALICE, error_response
from tests.support.evm import ARTEFACTS, artefact

WEI_PER_TOKEN, WEI_PER_UNIT = 1_000, 300
TOKENS_OF_ALICE = 10**9


def create(chain: LocalChain, sender: Sender, contract: str, *arguments: Any) -> Contract:
    """A contract of the tests, created by ``sender``; FILE.sol/NAME where its file has another name."""
    name = contract.rpartition("/")[2]
    compiled = artefact(name) if name == contract else json.loads((ARTEFACTS / f"{contract}.json").read_text())
    factory = chain.connection.web3.eth.contract(abi=compiled["abi"], bytecode=HexBytes(compiled["bytecode"]["object"]))
    address, _ = sender.deploy(factory.constructor(*arguments))
    return chain.connection.web3.eth.contract(address=Web3.to_checksum_address(address), abi=compiled["abi"])


@dataclass
class PaidApp:
    """``url``: where it is served. ``token``: what it takes. Answers cost half of what they can cost at most."""

    url: str
    app: FastAPI
    accounts: LedgerAccounts
    payments: X402Payments
    token: Contract
    terms: X402Terms

    def units_of(self, address: str) -> int:
        """Units of the token that an address has."""
        return int(self.token.functions.balanceOf(address).call())


def _routes(app: FastAPI) -> None:
    @app.post("/v1/chat/completions")
    async def answer(
        caller: PayingCaller, deps: AppDeps, max_tokens: Annotated[int, Body(embed=True)], fail: bool = False
    ) -> dict[str, str]:
        most = max_tokens * WEI_PER_TOKEN
        reservation = await deps.accounts.reserve(caller, f"answer-{time.monotonic_ns()}", most)
        if fail:
            await reservation.release()
            raise UnavailableError("no node", advice="Try again.", retry_after=1.0)
        await reservation.settle(Bill(most // 2, 0))
        return {"payer": caller.account}


@contextmanager
def paid_app(chain: LocalChain, database: Database, payer: LocalAccount = ALICE) -> Iterator[PaidApp]:
    """Anvil has a fresh token that ``payer`` has some of, and a wallet of the gateway."""
    wallet = Wallet.ephemeral()
    chain.set_balance(wallet.address, 10**19)
    sender = Sender(chain.connection, wallet)
    token = create(chain, sender, "PayToken", payer.address, TOKENS_OF_ALICE)
    terms = X402Terms(chain.chain_id, str(token.address), wallet.address, "Test Dollar", "2", WEI_PER_UNIT)
    payments = X402Payments(database, terms, sender, time.time)
    accounts = LedgerAccounts(database, time.time, payments)
    app = FastAPI()
    app.state.deps = Deps(cast(Any, None), accounts)
    app.add_exception_handler(GatewayError, error_response)
    app.add_middleware(PaymentHeaders)
    app.include_router(account.router)
    _routes(app)
    with served(app) as url:
        yield PaidApp(url, app, accounts, payments, token, terms)
    accounts.close()
    payments.close()


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """The application behind a loopback port, on a thread; its URL."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, ws="none", lifespan="off"))
    ready = threading.Event()

    async def serve() -> None:
        config = server.config
        config.load()
        server.lifespan = config.lifespan_class(config)
        await server.startup()
        ready.set()
        await server.main_loop()
        await server.shutdown()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert ready.wait(30)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()
