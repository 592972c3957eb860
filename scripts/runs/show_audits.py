#!/usr/bin/env python
"""Who earns what where audits are bought: 200 answers, one in twenty a lie, a tenth of the receipts audited.

    python -m scripts.runs.show_audits [--answers 200] [--rate 0.1] [--seed 2]

Real contracts on Anvil, ``nexus-node`` processes, the real client and watcher. A cheap node alters one element
of what its segment puts out, in long questions only, and signs. Two other nodes sell audits. When an auditor's root
differs, the answer file goes to a watcher, who plays the game to the verdict. ``--seed`` makes the draws
repeatable here; a client's own are secret. The table is in build/bench/audits.json, amounts in wei.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenizers import ByteLevelBPETokenizer

from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.deployer import ArtefactCreator, deploy
from nexus_chain.chain.local import DEVELOPMENT_KEYS, LocalChain, anvil
from nexus_chain.chain.model_registry import ModelVersion, SemVer
from nexus_chain.chain.wallet import Wallet
from nexus_chain.client import auditing
from nexus_chain.client.answer import Answer
from nexus_chain.client.client import Client
from nexus_chain.client.home import ClientHome
from nexus_chain.client.order import AskOptions
from nexus_chain.client.session import Session
from nexus_chain.commitments.tensor_block import write_tensor_block
from nexus_chain.commitments.weights import ModelCommitment
from nexus_chain.evidence.verify import FULL
from nexus_chain.program import IntegerModel, ModelShape, random_model
from nexus_chain.versions.model_files import ModelFiles
from nexus_chain.wire.tls_peer import dial
from node.watch.policy import Budget
from node.watch.watcher import Watcher, WatchSettings
from scripts.bench.record import write_record
from scripts.runs.demo_network import STAKE_WEI, ShardProcess, running, shard_settings
from scripts.runs.lying_node import Lie, environment

ROOT = Path(__file__).resolve().parents[2]

OUT = ROOT / "build" / "bench" / "audits.json"
SHAPE = ModelShape(layers=3, width=64, heads=4, kv_heads=2, head_dim=16, ffn=96, vocab=300, context=200)
SPLIT = ((0, 1), (1, 3))
PRICE = 10**9
LIE_EVERY = 20
LIE_AT = 40
"""The position that the liar alters: only the long questions have it."""
TOKENS = 6
WAIT_SECONDS = 120.0


@dataclass(frozen=True)
class Part:
    """One node's part: its layers, what it asks for a token, and for a token of an audit (0: sells none)."""

    name: str
    layers: tuple[int, int]
    price: int
    audit_price: int = 0


PARTS = (
    Part("liar", SPLIT[0], PRICE // 4),
    Part("honest 0", SPLIT[0], PRICE),
    Part("honest 1", SPLIT[1], PRICE),
    Part("auditor 0", SPLIT[0], 40 * PRICE, PRICE),
    Part("auditor 1", SPLIT[1], 40 * PRICE, PRICE),
)


@dataclass
class Stage:
    """Chain, nodes, user and finder of one run."""

    chain: LocalChain
    contracts: Contracts
    folder: Path
    version: bytes
    files: ModelFiles
    nodes: dict[str, ShardProcess]
    client: Client
    finder: Wallet
    counts: dict[str, int] = field(default_factory=lambda: {"answers": 0, "lies": 0, "audits": 0, "decoys": 0})
    found: dict[str, Any] = field(default_factory=dict)

    @property
    def liar(self) -> str:
        return self.nodes["liar"].address


@contextmanager
def stage(folder: Path) -> Iterator[Stage]:
    """Everything running; all of it stopped in the end."""
    with anvil() as chain:
        payer = Wallet.from_hex(DEVELOPMENT_KEYS[0])
        path = folder / "deployment.json"
        creator = ArtefactCreator(chain.connection, payer)
        deployment, _ = deploy(creator, payer.address, preset="local", path=path)
        publisher = Contracts.at(chain.connection, deployment, payer)
        model = random_model(SHAPE, seed=11)
        version = publish(publisher, model, folder)
        nodes = {part.name: shard(part, chain, path, folder, version, model) for part in PARTS}
        with running(list(nodes.values())), ThreadPoolExecutor(4) as pool:
            list(pool.map(start, nodes.values()))
            user = Contracts.at(chain.connection, deployment, Wallet.from_hex(DEVELOPMENT_KEYS[1]))
            finder = Wallet.ephemeral()
            chain.set_balance(finder.address, 10**18)
            with Client(user, ClientHome(folder / "home"), dial) as client:
                files = ModelFiles(folder / "model")
                yield Stage(chain, publisher, folder, version, files, nodes, client, finder)


def publish(contracts: Contracts, model: IntegerModel, folder: Path) -> bytes:
    """Write the model, its tokenizer and its blocks; register it."""
    model.save(folder / "model")
    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(["def fib(n):\n    return n\n"] * 4, vocab_size=SHAPE.vocab, show_progress=False)
    tokenizer.save(str(folder / "model" / "tokenizer.json"))
    commitment = ModelCommitment.of(model)
    for start_layer, end_layer in SPLIT:
        write_tensor_block(model, block(folder, (start_layer, end_layer)), start_layer, end_layer, commitment)
    tokenizer_hash = hashlib.sha256((folder / "model" / "tokenizer.json").read_bytes()).digest()
    roots = commitment.weights_root, commitment.program_root, tokenizer_hash
    version, _ = contracts.models.publish(ModelVersion(*roots, 2 * PRICE, SHAPE.layers, SemVer(1, 0, 0), "bafkqaaa"))
    return version


def block(folder: Path, layers: tuple[int, int]) -> Path:
    return folder / f"block-{layers[0]}-{layers[1]}.safetensors"


def shard(
    part: Part, chain: LocalChain, deployment: Path, folder: Path, version: bytes, model: IntegerModel
) -> ShardProcess:
    """The node of a part, registered by ``start``."""
    settings = shard_settings(chain, deployment, str(block(folder, part.layers)), version, part.price)
    node = ShardProcess(
        part.name, folder / part.name.replace(" ", "-"), [*settings, "--audit-price", str(part.audit_price)]
    )
    if part.name == "liar":
        last = model.program.segment(*part.layers)[-1].outputs[0].name
        node.program = (str(ROOT / "scripts" / "runs" / "lying_node.py"),)
        node.environment = environment(Lie(last, LIE_AT, 7, 16))
    node.create_wallet(chain, "correct horse")
    return node


def start(node: ShardProcess) -> None:
    program, node.program = node.program, ("-m", "node.daemon")
    node.run("register", "--stake", str(STAKE_WEI))
    node.program = program
    node.launch()
    node.wait_until_serving()


# -------------------------------------------------------------------------- the story


class Draws:
    """Repeatable draws: an answer's own do not depend on how many receipts the answers before it had."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.begin(0)

    def begin(self, answer: int) -> None:
        self._chance = random.Random(f"{self._seed}.{answer}")

    def draw(self, share: float) -> bool:
        return self._chance.random() < share


def question(number: int, chance: random.Random) -> tuple[str, bool]:
    """A question and whether it is so long that the liar lies."""
    long = number % LIE_EVERY == LIE_EVERY // 2
    letters = "".join(chance.choice("abcdefghijklmnop") for _ in range(LIE_AT + 8 if long else 12))
    return letters, long


def ask_all(at: Stage, answers: int, rate: float, chance: random.Random, draws: Draws) -> list[bytes]:
    """Ask, audit, hand disagreements to the watcher; the sessions used."""
    sessions = [opened(at, answers)]
    while at.counts["answers"] < answers:
        text, long = question(at.counts["answers"], chance)
        draws.begin(at.counts["answers"])
        options = AskOptions(TOKENS, drafting=False, audit_rate=rate, audit_budget=10**15)
        answer = sessions[-1].start(text, options).result()
        at.counts["answers"] += 1
        if at.counts["answers"] % 20 == 0:
            print(f"{at.counts['answers']} answers, {at.counts['lies']} lies, {at.counts['audits']} audits", flush=True)
        at.counts["lies"] += long and at.liar in {receipt.node for receipt, _ in answer.proof.receipts}
        at.counts["audits"] += sum(bool(one.node) for one in answer.audits)
        at.counts["decoys"] += sum(not one.node for one in answer.audits)
        if not all(one.agreed for one in answer.audits):
            dispute(at, answer)
            sessions.append(opened(at, answers))
    return [session.id for session in sessions]


def opened(at: Stage, answers: int) -> Session:
    session, _ = at.client.open_session(at.version, at.files, tokens=30 * answers)
    return session


def dispute(at: Stage, answer: Answer) -> None:
    """The real watcher, on the one file in which two receipts differ, until its case is over."""
    (one,) = (audit for audit in answer.audits if not audit.agreed)
    answer.proof.save(at.folder / "answers" / "answer.json")
    contracts = Contracts.at(at.chain.connection, at.contracts.deployment, at.finder)
    settings = WatchSettings(
        at.folder / "watch", (at.folder / "answers",), (at.folder / "model",), FULL, Budget(10**18, 10**18)
    )
    watcher = Watcher(settings, contracts, contracts.disputes, at.finder.address)
    try:
        deadline, first = time.monotonic() + WAIT_SECONDS, True
        while first or not watcher.idle or contracts.disputes.balance_of(at.finder.address):
            first = False
            watcher.round()
            if time.monotonic() > deadline:
                raise SystemExit(f"the game did not end: {json.dumps(watcher.report(), indent=1)}")
            time.sleep(0.2)
        (case,) = watcher.report()["cases"]
    finally:
        watcher.close()
    name = next(name for name, node in at.nodes.items() if node.address == case["node"])
    at.found = {
        "at_answer": at.counts["answers"],
        "lies_told_until_then": at.counts["lies"],
        "accused": name,
        "outcome": case["outcome"],
        "refuted_by_the_client": [name for name, node in at.nodes.items() if node.address in one.wrong],
        "finder_transactions": case["transactions"],
        "finder_gas": case["gas"],
        "finder_fees": case["fees_wei"],
    }


def settle(at: Stage, sessions: Sequence[bytes]) -> None:
    """Close the sessions, let the nodes post their vouchers, let the windows pass, settle."""
    market, store = at.contracts.market, at.client.store
    for session in sessions:
        at.client.session(session, at.files).close()
    deadline = time.monotonic() + WAIT_SECONDS
    while not all(_posted(at, session, node) for session in sessions for node in store.lines(session)):
        if time.monotonic() > deadline:
            raise SystemExit("not every voucher was posted in time")
        time.sleep(0.3)
    ends = [market.line_of(session, node).end for session in sessions for node in store.lines(session)]
    at.chain.advance(max(0, max(ends) - market.now()) + 2)
    for session in sessions:
        for node in store.lines(session):
            if not market.line_of(session, node).settled:
                at.client.session(session, at.files).settle()
                break


def _posted(at: Stage, session: bytes, node: str) -> bool:
    line, promised = at.contracts.market.line_of(session, node), at.client.store.lines(session)[node].promised
    return line.settled or line.cumulative >= promised or at.contracts.nodes.is_convicted(node)


# -------------------------------------------------------------------------- the table


def earnings(at: Stage, finder_before: int) -> dict[str, Any]:
    """What everybody got, from the chain's events; wei, before the gas that each pays for its own transactions."""
    market, start_block = at.contracts.market, at.contracts.deployment.block
    lines = [e.arguments for e in market.events("LineSettled", start_block)]
    early = [e.arguments for e in market.events("LineRefunded", start_block)]
    verdicts = [e.arguments for e in at.contracts.disputes.events("NodeConvicted", start_block)]
    found = sum(verdict["refund"] + verdict["bounty"] for verdict in verdicts)
    nodes = {
        name: {
            "served_and_audited": sum(line["toNode"] for line in lines if line["node"] == node.address),
            "stake": at.contracts.nodes.node(node.address).stake - STAKE_WEI,
        }
        for name, node in at.nodes.items()
    }
    return {
        "nodes": nodes,
        "vault": {
            "share_of_lines": sum(line["toVault"] for line in lines),
            "slashed": len(verdicts) * STAKE_WEI - found,
        },
        "user": {
            "paid": -sum(line["toNode"] + line["toVault"] for line in lines),
            "returned_of_caps": sum(line["toUser"] for line in lines + early),
            "of_that_from_the_liar": sum(line["toUser"] for line in lines + early if line["node"] == at.liar),
        },
        "finder": {
            "refund_of_gas": sum(verdict["refund"] for verdict in verdicts),
            "bounty": sum(verdict["bounty"] for verdict in verdicts),
            "after_gas": at.chain.connection.balance(at.finder.address) - finder_before,
        },
    }


def shown(report: dict[str, Any]) -> Iterator[str]:
    """The report in lines."""
    counts, found = report["counts"], report["verdict"]
    yield (
        f"{counts['answers']} answers, {counts['lies']} lies, {counts['audits']} audits, {counts['decoys']} decoys "
        f"in {report['seconds']} s"
    )
    if found:
        yield (
            f"answer {found['at_answer']}: an auditor's root differs, after {found['lies_told_until_then']} lies; "
            f"{found['accused']} is {found['outcome']} in {found['finder_transactions']} transactions of the finder"
        )
    else:
        yield "no lie was drawn: nobody was convicted"
    for name, sums in report["earned"]["nodes"].items():
        yield f"  {name:10} {sums['served_and_audited']:>22,} wei   stake {sums['stake']:>26,}"
    for name in ("vault", "user", "finder"):
        yield f"  {name:10} " + "   ".join(f"{what} {wei:,}" for what, wei in report["earned"][name].items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=int, default=200)
    parser.add_argument("--rate", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=2)
    asked = parser.parse_args()
    draws = Draws(asked.seed)
    auditing.draw = draws.draw
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch, stage(Path(scratch)) as at:
        before = at.chain.connection.balance(at.finder.address)
        sessions = ask_all(at, asked.answers, asked.rate, random.Random(asked.seed + 1), draws)
        settle(at, sessions)
        report = {
            "counts": at.counts,
            "lie_share": 1 / LIE_EVERY,
            "audit_rate": asked.rate,
            "seed": asked.seed,
            "verdict": at.found,
            "earned": earnings(at, before),
            "seconds": round(time.monotonic() - started, 1),
        }
    write_record(OUT, report)
    for line in shown(report):
        print(line)


if __name__ == "__main__":
    main()
