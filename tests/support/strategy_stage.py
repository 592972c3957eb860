"""One lie on the real contracts: who is there, what they can send, and what each of them owns at the end.

The step verifier is a double: a game that published the wrong leaf convicts, whatever the witness says. Gas is charged
from a table (measured on Anvil) at the block's base fee, as the in-process EVM charges none.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from pyrevm import BlockEnv

from nexus_chain.chain.deployer import DEPLOYMENT_PRESETS, created_address
from nexus_chain.chain.dispute_game import abi_values, commitment_of
from nexus_chain.chain.wallet import Wallet
from nexus_chain.commitments.merkle import MerkleTree, leaf_hash
from nexus_chain.commitments.tensor import commit, tensor_tree
from nexus_chain.market.documents import Ask, Domain, Line, Order, Receipt, TraceDocument, Voucher
from tests.support.evm import CALLER, Contract, Machine, Reverted, artefact

ETHER, GWEI = 10**18, 10**9
ANSWERS_GAS = 9_000_000
LINEAR, COLUMNS, LEAVES = 7, 300, 3
LIE, RIGHT = 1, 0  # leaves of tensor 1
LIAR_KEY, RECEIPT_KEY, SESSION_KEY = (Wallet(bytes([n]) * 32) for n in (1, 2, 3))
LIAR, OWNER = LIAR_KEY.address, "0x" + "b2" * 20
FRIEND, USER, COPIER, FINDER = ("0x" + digit * 40 for digit in "5678")
PEOPLE = (LIAR, FRIEND, USER, COPIER, FINDER)
RICH = 10_000 * ETHER
START = 2_000_000_000
POSITIONS = 3
SALTS = {name: bytes([n]) * 32 for n, name in enumerate(("order", "game", "proof", "fill"), start=16)}
FILLING = 8  # games that the contract covers at a time
#: Gas of each move and of those that came too late, as scripts/bench/incentives.py measures it on Anvil. `open` is the
#: first about a receipt.
GAS = {
    "close": 29_272,
    "closeLine": 32_224,
    "commit": 45_653,
    "convict": 208_544,
    "convict refused": 34_597,
    "leaf": 97_154,
    "leaf refused": 35_602,
    "open": 491_009,
    "open again": 198_680,
    "open late": 101_486,
    "open refused": 78_179,
    "post": 45_226,
    "postBytes": 139_096,
    "postRows": 169_727,
    "postTrace": 180_787,
    "proof": 153_410,
    "settle": 61_069,
    "tensor": 115_366,
    "tensor refused": 35_602,
    "timeout": 160_204,
    "timeout refused": 34_069,
    "unbond": 29_088,
    "void": 86_200,
    "void refused": 34_134,
    "withdraw": 31_097,
}


@dataclass(frozen=True)
class Setting:
    """Numbers of one world, in wei and seconds."""

    preset: str
    base_fee: int
    line: int  # what the disputed line locks, all of it vouched for
    proof: str = "equivocate"  # or "contradict": what the liar can convict itself with
    #: Seconds before the end of the session at which the search begins.
    left: int | None = None


@dataclass
class Papers:
    """Every document that was signed before the search begins, as calldata."""

    domain: Domain
    session: bytes
    version: bytes
    line: int
    rows: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        tokens = torch.arange(POSITIONS, dtype=torch.int32)
        salt = SALTS["order"]
        self.prompt_tree, prompt = tensor_tree(tokens).root(), commit(tokens, salt)
        values = torch.arange(LEAVES * COLUMNS, dtype=torch.int32).reshape(LEAVES, COLUMNS)
        self.leaves = [values[row].numpy().tobytes() for row in range(LEAVES)]
        self.tree = tensor_tree(values)
        self.roots = [prompt, commit(values, salt), b"\2" * 32, b"\3" * 32]
        self.trace = MerkleTree(leaf_hash(root) for root in self.roots)
        asks = (Ask(0, 11, 1), Ask(11, 22, 1))
        self.order = Order(self.session, salt, self.version, prompt, 8, bytes(32), 0, ETHER, asks, START + 10**6)
        self.receipt, self.other = (self._receipt(root) for root in (self.roots[3], b"\4" * 32))
        self.digest = self.receipt.digest(self.domain)

    def _receipt(self, out_root: bytes) -> Receipt:
        ordered = self.order.digest(self.domain)
        return Receipt(ordered, LIAR, 0, 0, POSITIONS, self.roots[0], out_root, (), self.line)

    def opening(self, salt: bytes, only_covered: bool) -> tuple[Any, ...]:
        order_signature = SESSION_KEY.sign(self.order, self.domain)
        receipt_signature = RECEIPT_KEY.sign(self.receipt, self.domain)
        signed = (abi_values(self.order), order_signature, abi_values(self.receipt), receipt_signature)
        return (*signed, POSITIONS, self.prompt_tree, salt, only_covered)

    def signed_trace(self, root: bytes) -> bytes:
        return RECEIPT_KEY.sign(TraceDocument(self.digest, root), self.domain)

    def voucher(self) -> tuple[Any, bytes]:
        document = Voucher(self.session, (Line(LIAR, self.line),))
        return abi_values(document), SESSION_KEY.sign(document, self.domain)

    def proof(self, kind: str) -> tuple[bytes, tuple[Any, ...]]:
        """Of the liar against itself: the digest to commit to, and the arguments."""
        if kind == "equivocate":
            pairs = [(abi_values(one), RECEIPT_KEY.sign(one, self.domain)) for one in (self.receipt, self.other)]
            return self.digest, (*pairs[0], *pairs[1], SALTS["proof"])
        roots = (self.trace.root(), b"\5" * 32)
        signed = [part for root in roots for part in (root, self.signed_trace(root))]
        committed = TraceDocument(self.digest, roots[0]).digest(self.domain)
        return committed, (LIAR, self.digest, *signed, SALTS["proof"])

    def answers(self) -> dict[str, tuple[Any, ...]]:
        """What the node posts, by call; `postBytes` by leaf."""
        empty: tuple[int, int, list[bytes], list[bytes]] = (0, 0, [], [])
        producer = (0, 0, [bytes([1, LINEAR])], [])
        hashes = [leaf_hash(leaf) for leaf in self.leaves]
        found: dict[str, tuple[Any, ...]] = {
            "postTrace": (self.roots, (empty, empty), self.signed_trace(self.trace.root())),
            "postRows": (self.trace.inclusion(1), producer, hashes),
        }
        for leaf in (LIE, RIGHT):
            found[f"postBytes{leaf}"] = (self.tree.inclusion(leaf), self.leaves[leaf])
        return found


class StrategyStage:
    """The contracts, one registered liar with a signed receipt and an open session, and the clock."""

    def __init__(self, setting: Setting, machine: Machine | None = None) -> None:
        self.setting, self.machine = setting, machine or Machine(number_is_base_fee=True)
        self.numbers = DEPLOYMENT_PRESETS[setting.preset]
        self.set_time(START)
        for person in (*PEOPLE, OWNER, CALLER):
            self.machine.evm.set_balance(person, RICH)
        self._create()
        self._populate()
        self._prepare()

    def set_time(self, now: int) -> None:
        self.now = now
        self.machine.evm.set_block_env(BlockEnv(number=self.setting.base_fee, timestamp=now))

    def _create(self) -> None:
        numbers, deploy = self.numbers, self.machine.deploy
        self.vault, self.models = deploy("GenesisVault", OWNER), deploy("ModelRegistry")
        self.verifier = deploy("StepVerifierDouble")
        foreseen = created_address(CALLER, self.machine.evm.basic(CALLER).nonce + 2)
        timing = (numbers.longest_session, numbers.challenge_window, numbers.clock, numbers.minimum_move)
        stake = numbers.minimum_stake
        self.nodes = deploy("NodeRegistry", self.models.address, self.vault.address, foreseen, stake, timing)
        self.market = deploy("InferenceMarket", self.nodes.address)
        parts = (self.market.address, self.nodes.address, self.models.address, self.verifier.address)
        game = deploy("DisputeGame", parts, numbers.minimum_bond, ANSWERS_GAS, numbers.bounty)
        self.game = Contract(self.machine, game.address, artefact("IDisputeGame")["abi"])

    def _populate(self) -> None:
        """Model, node and session; the step verifier's double knows the trace's shapes, and finds the step wrong."""
        word = b"\2" * 32
        version = (word, word, word, bytes(32), 1, 22, (1, 0, 0), "b" * 59)
        published = bytes(self.models.call("publish", version, caller=OWNER))
        stake, key = self.numbers.minimum_stake, RECEIPT_KEY.address
        self.nodes.call("register", "h:1", word, key, caller=LIAR, value=stake)
        line, expiry = self.setting.line, START + self.numbers.longest_session
        opened = (SESSION_KEY.address, expiry, [(LIAR, line)], word)
        session = self.market.call("open", *opened, caller=USER, value=line)
        self.verifier.call("setTensors", 4)
        self.verifier.call("setShape", 1, 3, (LEAVES, COLUMNS), LEAVES)
        self.verifier.call("setVerdict", True)
        domain = Domain(self.machine.chain_id, self.market.address)
        self.papers = Papers(domain, session, published, line)
        self.end = expiry + self.numbers.challenge_window

    def _prepare(self) -> None:
        """Calldata of everything whose arguments are known."""
        papers, encode = self.papers, self.game.encode
        self.bond = int(self.game.call("bondNow"))
        self.answers = papers.answers()
        committed, arguments = papers.proof(self.setting.proof)
        self.data: dict[str, bytes] = {
            "proof": encode(self.setting.proof, *arguments),
            "post": self.market.encode("post", *papers.voucher()),
            "closeLine": self.market.encode("closeLine", papers.session),
            "close": self.market.encode("close", papers.session),
            "settle": self.market.encode("settle", papers.session, LIAR),
            "unbond": self.nodes.encode("requestUnbond"),
            "completeUnbond": self.nodes.encode("completeUnbond"),
            "withdraw": encode("withdraw"),
            "isConvicted": self.nodes.encode("isConvicted", LIAR),
            "stakeOf": self.nodes.encode("stakeOf", LIAR),
            "sessionOf": self.market.encode("sessionOf", papers.session),
            "lineOf": self.market.encode("lineOf", papers.session, LIAR),
            "coveredNow": encode("coveredNow", LIAR),
            "claimsOn": encode("claimsOn", LIAR),
            "gameCount": encode("gameCount"),
        }
        for covered in (False, True):
            self.data[f"open{int(covered)}"] = encode("openStep", papers.opening(SALTS["game"], covered))
        salts = [SALTS["fill"][:31] + bytes([n]) for n in range(FILLING)]
        self.fillings = [
            (
                encode("commit", commitment_of(papers.digest, FRIEND, salt)),
                encode("openStep", papers.opening(salt, False)),
            )
            for salt in salts
        ]  # calldata of a commitment and an opening, eight times
        for person in PEOPLE:
            self.data[f"balanceOf{person}"] = encode("balanceOf", person)
            for name, digest in (("game", papers.digest), ("proof", committed)):
                self.data[f"commit {name}{person}"] = encode("commit", commitment_of(digest, person, SALTS[name]))

    # ------------------------------------------------------------------- sending

    def send(self, contract: Contract, data: bytes, caller: str, value: int = 0) -> bool:
        """Whether a transaction went through."""
        try:
            contract.run(data, caller=caller, value=value)
        except Reverted:
            return False
        return True

    def word(self, contract: Contract, view: str) -> int:
        return int.from_bytes(contract.run(self.data[view])[:32], "big")

    def wealth(self, person: str) -> int:
        """Wei in the pocket, to be withdrawn, and at stake."""
        owned = int(self.machine.evm.get_balance(person)) - RICH
        for contract in (self.nodes, self.market, self.game):
            owned += self.word(contract, f"balanceOf{person}")
        return owned + (self.word(self.nodes, "stakeOf") if person == LIAR else 0)
