"""The whole protocol on an in-process EVM: contracts, a published model, sessions, and one game at a time."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

from pyrevm import BlockEnv

from nexus_chain.chain.deployer import created_address
from nexus_chain.chain.dispute_game import GameState, abi_values, commitment_of
from nexus_chain.chain.wallet import Wallet
from nexus_chain.commitments.tensor import commit, tensor_tree
from nexus_chain.disputes.stored_trace import StoredTrace
from nexus_chain.disputes.witnesses import PublishedModel
from nexus_chain.market.documents import Ask, Domain, Order, Receipt, Scores, TraceDocument
from tests.support.evm import CALLER, Contract, Machine, Reverted, artefact

ETHER = 10**18
STAKE, BOND, BOUNTY, PRICE = ETHER, ETHER // 100, ETHER // 1000, 1000
CLOCK, MINIMUM_MOVE, WINDOW, SESSION = 600, 60, 10_000, 100_000
LONGEST_GAME = 2 * CLOCK + 8 * MINIMUM_MOVE
USER, OWNER = "0x" + "a1" * 20, "0x" + "b2" * 20
CHALLENGER, FRIEND = "0x" + "c3" * 20, "0x" + "d4" * 20


@dataclass(frozen=True)
class Case:
    """A disputed receipt: who signed it, and the trace that it claims."""

    node: Wallet
    key: Wallet
    session: bytes
    order: Order
    receipt: Receipt
    signatures: tuple[bytes, bytes]
    posted: StoredTrace
    roots: list[bytes]
    digest: bytes


@dataclass
class Stage:
    """Contracts and clock; ``money`` is everything that was ever given to an account."""

    model: PublishedModel
    machine: Machine = field(default_factory=Machine)
    now: int = 1_700_000_000
    money: int = 0
    accounts: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.numbers = itertools.count()
        self.pass_time(0)
        self.vault = self.machine.deploy("GenesisVault", OWNER)
        self.models = self.machine.deploy("ModelRegistry")
        self.verifier = self.machine.deploy("StepVerifier")
        foreseen = created_address(CALLER, self.machine.evm.basic(CALLER).nonce + 2)
        timing = (SESSION, WINDOW, CLOCK, MINIMUM_MOVE)
        arguments = (self.models.address, self.vault.address, foreseen, STAKE, timing)
        self.nodes = self.machine.deploy("NodeRegistry", *arguments)
        self.market = self.machine.deploy("InferenceMarket", self.nodes.address)
        parts = (self.market.address, self.nodes.address, self.models.address, self.verifier.address)
        game = self.machine.deploy("DisputeGame", parts, BOND, 9_000_000, BOUNTY)
        assert game.address.lower() == foreseen.lower()
        self.game = Contract(self.machine, game.address, artefact("IDisputeGame")["abi"])
        self.domain = Domain(1, self.market.address)
        for account in (USER, CHALLENGER, FRIEND):
            self.give(account, 10**6 * ETHER)
        self.version = self._publish()

    def give(self, account: str, wei: int) -> None:
        """Money from nowhere, counted."""
        self.machine.evm.set_balance(account, self.balance(account) + wei)
        self.money += wei
        if account not in self.accounts:
            self.accounts.append(account)

    def balance(self, account: str) -> int:
        return int(self.machine.evm.get_balance(account))

    def pass_time(self, seconds: int) -> None:
        self.now += seconds
        self.machine.evm.set_block_env(BlockEnv(number=self.now, timestamp=self.now, basefee=0))

    def total(self) -> int:
        """Wei on all accounts and contracts: always what was given."""
        contracts = (self.vault, self.nodes, self.market, self.game)
        return sum(map(self.balance, self.accounts)) + sum(self.balance(part.address) for part in contracts)

    def case(self, posted: StoredTrace) -> Case:
        """A newly registered node that signs a receipt over ``posted`` in a session of its own."""
        node, key, signer, number = Wallet.ephemeral(), Wallet.ephemeral(), Wallet.ephemeral(), next(self.numbers)
        self.give(node.address, 2 * STAKE)
        self.nodes.call("register", f"h:{number}", b"\1" * 32, key.address, caller=node.address, value=STAKE)
        layout, sequence, roots = posted.layout, posted.sequence, posted.roots()
        price = PRICE * layout.positions
        nonce = number.to_bytes(32, "big")
        opened = (signer.address, self.now + SESSION - 10, [(node.address, price)], nonce)
        session = self.market.call("open", *opened, caller=USER, value=price)
        layers = layout.program.shape.layers
        cuts = sorted({0, layout.start, layout.end, layers})
        asks = tuple(Ask(a, b, PRICE) for a, b in itertools.pairwise(cuts))
        order = Order(
            session, sequence.salt, self.version, commit(sequence.prompt, sequence.salt), 100,
            sequence.sampling.seed, sequence.sampling.beta, 10**9, asks, self.now + SESSION,
        )  # fmt: skip
        place = cuts.index(layout.start), 0, layout.positions
        digest = order.digest(self.domain)
        receipt = Receipt(digest, node.address, *place, roots[0], roots[-1], (), price)
        signatures = signer.sign(order, self.domain), key.sign(receipt, self.domain)
        return Case(node, key, session, order, receipt, signatures, posted, roots, receipt.digest(self.domain))

    def open(self, case: Case, challenger: str = CHALLENGER, *, only_covered: bool = False) -> int:
        """Commit and open a step game; its number."""
        salt = b"\7" * 32
        self.game.call("commit", commitment_of(case.digest, challenger, salt), caller=challenger)
        self.pass_time(2)
        prompt = case.posted.sequence.prompt
        opening = (
            abi_values(case.order), case.signatures[0], abi_values(case.receipt), case.signatures[1],
            len(prompt), tensor_tree(prompt).root(), salt, only_covered,
        )  # fmt: skip
        return int(self.game.call("openStep", opening, caller=challenger, value=BOND))

    def state(self, game: int) -> tuple[GameState, dict[str, Any]]:
        """A game's state and view."""
        names = [part["name"] for part in self.game.functions["gameOf"]["outputs"][0]["components"]]
        found = dict(zip(names, self.game.call("gameOf", game), strict=True))
        return GameState(found["state"]), found

    def sign_trace(self, case: Case, root: bytes) -> bytes:
        return case.key.sign(TraceDocument(case.digest, root), self.domain)

    def sign_scores(self, case: Case, view: dict[str, Any], root: bytes) -> bytes:
        document = Scores(case.digest, view["tensor"], view["leaf"], view["element"], root)
        return case.key.sign(document, self.domain)

    def attempt(self, function: str, *arguments: Any, caller: str = CHALLENGER) -> bool:
        """Whether a move went through."""
        try:
            self.game.call(function, *arguments, caller=caller)
        except Reverted:
            return False
        return True

    def _publish(self) -> bytes:
        word, layers = b"\2" * 32, self.model.program.shape.layers
        roots = self.model.weights_root, self.model.program_root
        version = (*roots, word, bytes(32), PRICE, layers, (1, 0, 0), "b" * 59)
        return bytes(self.models.call("publish", version, caller=OWNER))
