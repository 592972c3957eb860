"""The network as one user sees it from Python: connect, ask, verify.

    import nexus_chain as nexus

    with nexus.connect() as network:
        print(network.ask("def fib(n):").text)

Settings come from arguments, else from where the command line takes them (``nexus_chain.settings``). Money is locked
when the first answer needs it, in sessions that later programs of the same user go on with.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from nexus_chain.chain.transactions import Mined
from nexus_chain.chain.wallet import Wallet
from nexus_chain.client.answer import Answer
from nexus_chain.client.answer_threads import ANSWERS_AT_ONCE, AnswerThreads, AsyncAnswer
from nexus_chain.client.client import Client
from nexus_chain.client.directory import NodeDirectory
from nexus_chain.client.network import route_over
from nexus_chain.client.network_facts import ContractFacts
from nexus_chain.client.order import AskOptions
from nexus_chain.client.pool import PooledAnswer, PoolPolicy, SessionPool
from nexus_chain.evidence.proof import InferenceProof
from nexus_chain.evidence.verify import FULL, AuditLevel, VerificationReport
from nexus_chain.routing.errors import NoNodeForLayersError
from nexus_chain.settings import load_settings
from nexus_chain.versions.model_files import ModelFiles
from nexus_chain.wire.tls_peer import dial
from nexus_chain.workflows.own_weights import OwnWeights
from nexus_chain.workflows.verification import verify_answer
from nexus_chain.workflows.workspace import Workspace


def connect_network(
    *,
    version: str | None = None,
    wallet: Wallet | Path | str | None = None,
    config: Path | None = None,
    policy: PoolPolicy | None = None,
    answers: int = ANSWERS_AT_ONCE,
    **given: Any,
) -> Network:
    """Connect to the chain and to the nodes of one model version. No money is locked before the first answer.

    ``version``: the beginning of a registered version's id; None: the newest whose files are on this machine.
    ``wallet``: an open wallet, or its keystore file. ``config``: the TOML file of settings. ``policy``: how much money
    sessions lock. ``answers``: at once. ``given``: other settings by name (``rpc``, ``deployment``, ``home``,
    ``password_file``, ``model_dir``, ``operators``, ...), which win over environment and file.

    Raises SettingsError, WalletError, ModelFilesError, and the chain package's errors.
    """
    is_open = isinstance(wallet, Wallet)
    workspace = Workspace(load_settings({**given, "wallet": None if is_open else wallet}, config))
    if isinstance(wallet, Wallet):
        workspace.use_wallet(wallet)
    chosen = workspace.library.choose(version)
    return Network(workspace, chosen, policy or PoolPolicy(), answers)


async def connect_network_async(**words: Any) -> AsyncNetwork:
    """As ``connect``, for a program with an event loop."""
    return (await asyncio.to_thread(lambda: connect_network(**words))).aio


class Network:
    """One user, one model version. Threads may ask at once. ``close`` it, or use it as a context manager."""

    def __init__(self, workspace: Workspace, version: bytes, policy: PoolPolicy, answers: int) -> None:
        """Takes over the user's sessions of the version. ``answers``: at once, each with connections that lie ready."""
        self.version, self._workspace = version, workspace
        self._answers = answers
        self.files: ModelFiles = workspace.library.files_of(version)
        self.client: Client = workspace.client()
        facts, operators = ContractFacts(workspace.chain, workspace.home), workspace.operators()
        self.directory = NodeDirectory(facts, self.client.store, dial, ready=answers, operators=operators)
        try:
            self.client.use_nodes(self.directory)
            self.directory.follow(version)
            self.pool = SessionPool(self.client, version, self.files, policy, operators)
        except BaseException:
            self.directory.close()
            self.client.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, prompt: str | Sequence[int], options: AskOptions | None = None, **choices: Any) -> Answer:
        """The whole answer to a text, or to token ids.

        ``choices`` are fields of AskOptions: ``max_tokens=100``, ``temperature=0.7``.

        Raises PromptTooLongError, PriceError, NoNodeForLayersError, StakeTooSmallError, UnfundedWalletError, and what
        ends an answer: NoSpareError, AnswerWrongError, DisagreementError.
        """
        stream = self.stream(prompt, options, **choices)
        for _ in stream:
            pass
        return stream.result()

    def stream(self, prompt: str | Sequence[int], options: AskOptions | None = None, **choices: Any) -> PooledAnswer:
        """The answer piece by piece: iterate it, then take its ``result``. Any thread may ``cancel`` it.

        Reading it raises as ``ask`` does.
        """
        return self.pool.ask(prompt, replace(options or AskOptions(), **choices))

    def wei_per_token(self) -> int:
        """What a position costs at most now, all segments together: by the routes of open sessions, and the best one.

        Waits for the chain only where what is known of nodes is too old. Raises NoNodeForLayersError and the chain
        package's errors.
        """
        nodes, program = self.directory.candidates(self.version, self.pool.operators), self.files.program
        prices = [sum(ask.wei_per_token for ask in route_over(nodes, program).asks)]
        for session in self.pool.sessions:
            with suppress(NoNodeForLayersError):  # its nodes are gone: another session will be opened
                route = route_over(nodes, program, list(self.client.store.lines(session.id)))
                prices.append(sum(ask.wei_per_token for ask in route.asks))
        return max(prices)

    def most_share(self) -> int:
        """What the publisher gets at most of an answer that begins now, basis points on top of what nodes earn.

        By open sessions, and by what a new one would be opened with. Raises the chain package's errors.
        """
        now = self.client.contracts.models.share_of(self.version).basis_points
        return max(now, *(self.client.store.share(session.id) for session in self.pool.sessions), 0)

    @cached_property
    def aio(self) -> AsyncNetwork:
        """The same for an event loop."""
        return AsyncNetwork(self, AnswerThreads(self._answers))

    def verify(self, answer: Answer | InferenceProof, level: AuditLevel = FULL) -> VerificationReport:
        """Check an answer as the registered model computes it; ``passed`` says whether all of it is right.

        Raises ModelFilesError where the weights are not on this machine and ``level`` needs them.
        """
        return verify_answer(self._workspace, answer.proof if isinstance(answer, Answer) else answer, level)

    @cached_property
    def own_weights(self) -> OwnWeights:
        """What this machine computes by itself with the version's weights. Asks the chain for their root once."""
        return OwnWeights(self.files, self._workspace.library.record_of(self.version))

    def recompute(self, answer: Answer) -> VerificationReport:
        """As ``verify`` in full, with weights that stay loaded: for a program that checks many answers."""
        keys = {receipt.node: self.directory.receipt_key_of(receipt.node) for receipt, _ in answer.proof.receipts}
        return self.own_weights.verify(answer.proof, keys)

    def withdraw(self) -> tuple[int, Mined | None]:
        """Fetch what settled sessions gave back: wei, and the transaction; (0, None) when there is nothing."""
        return self.client.withdraw()

    def close(self, *, end_sessions: bool = False) -> None:
        """Hang up. Sessions stay open for the next program, unless ``end_sessions``: then each is closed on the chain.

        The next program settles what is closed, once its challenge window is over.
        """
        if "aio" in self.__dict__:
            self.aio.threads.close()
        self.pool.close(end_sessions=end_sessions)
        self.directory.close()
        self.client.close()


class AsyncNetwork:
    """A Network for an event loop: at most so many threads as it allows answers at once."""

    def __init__(self, network: Network, threads: AnswerThreads) -> None:
        self.network, self.threads = network, threads

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def ask(self, prompt: str | Sequence[int], options: AskOptions | None = None, **choices: Any) -> AsyncAnswer:
        """The answer to a text, or to token ids: ``async for`` its pieces, or ``await`` it whole.

        Raises as ``Network.ask`` then.

        A task that is cancelled ends its answer; what was computed is receipted and kept.
        """
        return self.threads.answer(self.network.stream(prompt, options, **choices))

    async def verify(self, answer: Answer | InferenceProof, level: AuditLevel = FULL) -> VerificationReport:
        """As ``Network.verify``."""
        return await asyncio.to_thread(self.network.verify, answer, level)

    async def close(self, *, end_sessions: bool = False) -> None:
        """As ``Network.close``."""
        await asyncio.to_thread(lambda: self.network.close(end_sessions=end_sessions))
