"""``make demo``: the whole product on this machine, told in words.

A local chain, contracts deployed through ape, the shipped model published with its certificate,
four node processes (two shards, one spare each), a user who pays for real completions both ways,
a node killed in the middle of an answer, a lie that verification finds, settlement 90/10, a node that
lies for real and loses its stake to the contract's own arithmetic, and the certificate's audit.
Prints what happens and writes the same facts to ``build/demo.json``.

Everything is real: processes, TLS, transactions, signatures, the trained model. Only the chain is
local and its clock is moved past the challenge window instead of waiting for it.
"""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.earnings import get_node_earnings, sum_settlements
from nexus_chain.chain.local import LocalChain, anvil
from nexus_chain.chain.wallet import Wallet
from nexus_chain.client.client import Client
from nexus_chain.client.home import ClientHome
from nexus_chain.client.order import AskOptions
from nexus_chain.commitments.tensor import commit
from nexus_chain.engine.engine import Engine
from nexus_chain.engine.generation import generate
from nexus_chain.errors import NexusError
from nexus_chain.evidence.proof import InferenceProof
from nexus_chain.market.documents import Order
from nexus_chain.program.sampling import Sampling
from nexus_chain.versions.model_files import ModelFiles, find_model_files
from nexus_chain.wire.tls_peer import dial
from node.cli.output import ether
from node.daemon.configuration import NodeConfiguration
from node.daemon.identity import NodeKeys
from scripts.runs.demo_network import (
    ROOT,
    STAKE_WEI,
    DemoError,
    ShardProcess,
    contracts_for,
    deploy_through_ape,
    gas_by_call,
    in_parallel,
    moves_of_games,
    nexus,
    nexus_verdict,
    running,
    set_user_environment,
    shard_settings,
)
from scripts.runs.lying_node import Lie, choose_lie, environment

FOLDER = ROOT / "build" / "demo"
CHECKPOINT = ROOT / "nexus_chain" / "models" / "python-stdlib"
USER_PASSWORD = "demo user"  # play money on a chain that ends with the demo
PRICE_WEI = 10**9  # per position and segment
SETTLE_WAIT_SECONDS = 40.0

DIRECT_PROMPT = 'def read_lines(path):\n    """Return the lines of a file."""\n    with open(path) as f:\n'
SESSION_PROMPT = "import os\nimport re\nimport sys\n\ndef main():\n    parser = argparse."
FAILOVER_PROMPT = "def read_config(path):\n    with open(path) as f:\n"
KILL_AFTER_PIECES = 40  # in the second chunk
DISPUTED_PROMPT = "class Queue:\n    def __init__(self):\n"
WATCH_SECONDS = 240

BEGAN = time.monotonic()
# The file is named, because commands run inside this process with another sys.stdout.
console = Console(highlight=False, file=sys.stdout)
working = console.status("")  # on a terminal: something moves while nothing is said


@dataclass
class Story:
    """What has happened so far: the stage for the later acts and the facts for ``demo.json``."""

    chain: LocalChain
    contracts: Contracts
    nodes: list[ShardProcess]
    home: ClientHome
    version: bytes = bytes(32)
    certificate_cid: str = ""
    answers: list[Path] = field(default_factory=list)
    earned: dict[str, int] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=lambda: {"inferences": []})

    @property
    def files(self) -> ModelFiles:
        """The published model on this machine."""
        return find_model_files(self.contracts.models.version(self.version), [self.home.models])

    def client(self) -> Client:
        wallet = Wallet.load(self.home.wallet, USER_PASSWORD)
        return Client(self.contracts.with_wallet(wallet), self.home, dial)


def act(title: str) -> None:
    """A heading with the time, so that the reader sees where it goes."""
    console.print(f"\n[bold]{title}[/bold] [dim](after {time.monotonic() - BEGAN:.0f} s)[/dim]")
    working.update(title)


def tell(text: str) -> None:
    console.print(f"  {text}", markup=False, soft_wrap=True)


# ------------------------------------------------------------------------------- acts


def publish_model(story: Story) -> None:
    act("2. Publish the model, with its certificate")
    console.print(f"  $ nexus model publish {CHECKPOINT.relative_to(ROOT)}", markup=False)
    published = nexus("model", "publish", str(CHECKPOINT), "--version", "1.0.0", "--price", str(2 * PRICE_WEI))
    story.version = bytes.fromhex(published["model_version"][2:])
    story.certificate_cid = published["certificate_cid"]
    tell(f"Model version {published['model_version'][:18]}... is on the chain; it can never change.")
    tell(f"Z3 proved that no operation overflows: the largest intermediate needs {published['overflow_bits']} bits.")
    tell(f"Its certificate is {story.certificate_cid}, anchored on the chain.")


def start_nodes(story: Story, deployment: Path) -> None:
    act("3. Four node operators stake and serve: two shards, one spare each")
    folder = FOLDER / "shards"
    shards = nexus("model", "shard", str(story.files.folder), "--shards", "2", "--out", str(folder))["shards"]
    for number, shard in enumerate(shards):
        for role in ("primary", "spare"):
            story.nodes.append(_new_node(story, deployment, f"shard {number} {role}", shard["file"]))
    in_parallel(story.nodes, "register", "--stake", str(STAKE_WEI))
    tell(f"$ nexus-node register --stake {STAKE_WEI}    (each from its own wallet: {ether(STAKE_WEI)})")
    for node in story.nodes:
        node.launch()
    for node in story.nodes:
        tell(f"{node.name}: {node.wait_until_serving()}")


def _new_node(story: Story, deployment: Path, name: str, block: str) -> ShardProcess:
    settings = shard_settings(story.chain, deployment, block, story.version, PRICE_WEI)
    node = ShardProcess(name, FOLDER / "nodes" / name.replace(" ", "-"), settings)
    node.create_wallet(story.chain, USER_PASSWORD)
    return node


def ask_direct(story: Story) -> None:
    act("4. A user pays for one inference directly (payPerInference)")
    console.print("  $ nexus ask --direct ...", markup=False)
    answer = nexus("ask", DIRECT_PROMPT, "--direct", "--max-tokens", "48")
    _record_answer(story, answer)


def ask_in_session(story: Story) -> None:
    act("5. ... and in a session: one lock, many answers, one voucher that grows")
    opened = nexus("session", "open", "--tokens", "1024")
    tell(f"$ nexus session open    (locked {ether(int(opened['locked_wei']))}, a cap for each node)")
    console.print("  $ nexus ask ...", markup=False)
    answer = nexus("ask", SESSION_PROMPT, "--max-tokens", "64", "--temperature", "0.5", "--seed", "7")
    _record_answer(story, answer)
    story.facts["tokens_per_second"] = answer["tokens_per_second"]


def _record_answer(story: Story, answer: dict[str, Any]) -> None:
    """Show an answer, verify it by recomputation, and keep the facts."""
    _show_completion(answer["prompt"], answer["text"])
    path = Path(answer["answer_file"])
    code, verdict = nexus_verdict("verify", str(path))
    story.answers.append(path)
    story.facts["inferences"].append(
        {
            "mode": answer["mode"],
            "prompt": answer["prompt"],
            "completion": answer["text"],
            "paid_wei": int(answer["cost_wei"]),
            "receipts": len(answer["receipts"]),
            "verified": code == 0 and verdict["recomputed"],
        }
    )
    tell(
        f"{len(answer['tokens'])} tokens, {answer['tokens_per_second']:.0f} a second, "
        f"{ether(int(answer['cost_wei']))}, {len(answer['receipts'])} signed receipts; "
        f"recomputed here: {'every bit agrees' if code == 0 else 'WRONG'}."
    )


def _show_completion(prompt: str, text: str) -> None:
    for line in (prompt + "\N{LEFT-POINTING DOUBLE ANGLE QUOTATION MARK}" + text).splitlines():
        console.print(f"    | {line}", markup=False, soft_wrap=True)


def survive_a_node(story: Story) -> None:
    act("6. Kill a node in the middle of an answer")
    options = AskOptions(max_tokens=72)
    with story.client() as client:
        session = client.session(next(r.id for r in client.sessions() if r.state == "open"), story.files)
        asking = session.start(FAILOVER_PROMPT, options, on_failover=lambda event: tell(_failover_line(story, event)))
        victim = story.nodes[-1]
        for count, _ in enumerate(asking, 1):
            if count == KILL_AFTER_PIECES:
                victim = _serving(story, client, 1)
                victim.kill()
                tell(f"kill -9 {victim.name} after {count} tokens")
        answer = asking.answer
        path = answer.proof.save(FOLDER / "failover-answer.json")
    expected = _without_any_node(story, FAILOVER_PROMPT, len(answer.tokens))
    same = list(answer.tokens) == expected
    document = {**answer.to_dict(), "answer_file": str(path)}
    _record_answer(story, document)
    tell(f"The same prompt computed without any node gives {'the same' if same else 'OTHER'} tokens.")
    story.facts["failover"] = {"killed": victim.name, "same_bits": same and bool(answer.failovers)}
    victim.launch()
    victim.wait_until_serving()
    tell(f"{victim.name} is up again: its write-ahead log kept every receipt and voucher.")


def _failover_line(story: Story, event: Any) -> str:
    spare = next(node.name for node in story.nodes if node.address == event.spare)
    return f"the client noticed; {spare} replays {event.position} boundary rows and continues"


def _serving(story: Story, client: Client, segment: int) -> ShardProcess:
    """The node whose receipts of the running answer are those of ``segment``."""
    digest = client.store.order_digests()[-1]
    receipts = [r for r, _ in client.store.order(digest).receipts if r.segment == segment]
    return next(node for node in story.nodes if node.address == receipts[-1].node)


def _without_any_node(story: Story, prompt: str, count: int) -> list[int]:
    files = story.files
    model = files.model(story.contracts.models.version(story.version))
    return list(generate([Engine(model.program, model.weights)], files.codec.encode(prompt), count, Sampling()))


def catch_a_lie(story: Story) -> None:
    act("7. A node signs a wrong token: the papers are perfect, the bits are not")
    proof = InferenceProof.load(story.answers[0])
    receipt, _ = proof.receipts[-1]
    liar = next(node for node in story.nodes if node.address == receipt.node)
    tokens = (*proof.tokens[:-1], proof.tokens[-1] ^ 1)
    forged = replace(receipt, out_root=_token_root(proof.order, tokens[: receipt.to_position + 1]))
    signature = _receipt_key(liar).sign(forged, proof.domain)
    lie = replace(proof, tokens=tokens, receipts=(*proof.receipts[:-1], (forged, signature)))
    path = lie.save(FOLDER / "tampered-answer.json")
    console.print(f"  $ nexus verify {path.relative_to(ROOT)}", markup=False)
    code, verdict = nexus_verdict("verify", str(path))
    failed = [f"{step['number']} {step['name']}: {step['reason']}" for step in verdict["steps"] if not step["passed"]]
    story.facts["tamper"] = {"detected": code == 1 and verdict["recomputed"], "failed_steps": failed}
    for line in failed:
        tell(f"step {line}")


def _token_root(order: Order, tokens: Sequence[int]) -> bytes:
    return commit(torch.tensor(tokens, dtype=torch.int32), order.salt)


def _receipt_key(node: ShardProcess) -> Wallet:
    configuration = NodeConfiguration(data=node.folder, password_file=node.folder / "password")
    return NodeKeys.open(configuration).receipt_key


def settle(story: Story) -> None:
    act("8. Commit the receipts, let the challenge window pass, split the money 90/10")
    for line in in_parallel([node for node in story.nodes if _has_receipts(story, node)], "post-root"):
        tell(f"$ nexus-node post-root: {line}")
    nexus("session", "close")
    tell("$ nexus session close    (vouchers still count until the window ends)")
    sessions = [record["session"] for record in nexus("session", "list")["sessions"]]
    _wait_for_vouchers(story)
    window = story.contracts.market.challenge_window()
    story.chain.advance(window + 1)
    tell(f"{window} s challenge window over, nobody objected")
    for session in sessions:
        _settle_session(story, session)
    story.contracts.vault.collect(story.contracts.market)
    back = nexus("withdraw")
    tell(f"$ nexus withdraw: {ether(int(back['withdrawn_wei']))} unused money back")
    sums = sum_settlements(story.contracts)
    story.earned = {node.address: get_node_earnings(story.contracts, node.address) for node in story.nodes}
    story.facts["settlement"] = {
        "total_wei": sums.to_nodes + sums.to_vault,
        "nodes_wei": sums.to_nodes,
        "vault_wei": sums.to_vault,
        "refund_wei": sums.to_users,
    }


def _settle_session(story: Story, session: str) -> None:
    """Settle what the nodes have not settled already: anyone may, and they look twice a second."""
    code, document = nexus_verdict("session", "settle", session)
    if code != 0 and document["error"]["type"] not in ("SessionStateError", "ContractRevertedError"):
        raise DemoError(f"session {session} cannot be settled: {document['error']['message']}")


def _has_receipts(story: Story, node: ShardProcess) -> bool:
    return any(
        receipt.node == node.address for path in story.answers for receipt, _ in InferenceProof.load(path).receipts
    )


def _wait_for_vouchers(story: Story) -> None:
    """Nodes post their vouchers when they see a line closing; wait until the chain has what was promised."""
    deadline = time.monotonic() + SETTLE_WAIT_SECONDS
    with story.client() as client:
        promised = {
            (record.id, node): line.promised
            for record in client.sessions()
            for node, line in client.store.lines(record.id).items()
        }
    while any(story.contracts.market.line_of(s, n).cumulative < wei for (s, n), wei in promised.items()):
        if time.monotonic() > deadline:
            raise DemoError(f"not every voucher was posted within {SETTLE_WAIT_SECONDS:.0f} s")
        time.sleep(0.2)


def dispute_a_lie(story: Story, deployment: Path) -> None:
    act("9. A node lies for real: one element of one op. A watcher takes it to the contract")
    liar, spare = (node for node in story.nodes if node.name.startswith("shard 0"))
    lie = _become_liar(story, liar, spare)
    began, block = time.monotonic(), story.contracts.connection.block_number() + 1
    honest = {node.address: story.contracts.nodes.node(node.address).stake for node in story.nodes if node is not liar}
    answer = nexus("ask", DISPUTED_PROMPT, "--direct", "--max-tokens", "16")
    tell(f"The user pays for {len(answer['tokens'])} tokens; every signature on the papers is right.")
    console.print("  $ nexus-node watch --policy full", markup=False)
    report = _watch(story, deployment, Path(answer["answer_file"]).parent)
    (case,) = report["cases"]
    tell(f"{report['answers'].get('right', 0)} answers agree in every bit, {report['answers']['wrong']} does not.")
    # Fetching the bond and the refund afterwards is no part of the game.
    moves = [entry for entry in moves_of_games(story.contracts, block) if entry[0] != "withdraw"]
    _show_game(story, moves, liar)
    verdict = next(story.contracts.disputes.events("NodeConvicted", block, where={"node": liar.address}), None)
    if verdict is None:
        raise DemoError(
            f"the game ended otherwise: {case['outcome']}; {liar.name}: {(liar.folder / 'log').read_text()}"
        )
    intact = all(story.contracts.nodes.node(address).stake == stake for address, stake in honest.items())
    paid = verdict.arguments["refund"] + verdict.arguments["bounty"]
    program = story.files.program
    op = next(op for op in program.ops if lie.tensor in {spec.name for spec in op.outputs})
    story.facts["dispute"] = {
        "op": op.kind,
        "layer": op.layer,
        "tensor": lie.tensor,
        "transactions": sum(move != "commit" for move, _, _ in moves),
        "gas": sum(gas for _, gas, _ in moves),
        "moves": [{"move": move, "gas": gas} for move, gas, _ in moves],
        "seconds": round(time.monotonic() - began, 1),
        "verdict": case["outcome"],
        "slashed_wei": STAKE_WEI - story.contracts.nodes.node(liar.address).stake,
        "challenger_wei": paid,
        "bounty_wei": verdict.arguments["bounty"],
        "vault_wei": STAKE_WEI - paid,
        "honest_stakes_intact": intact,
        "refund_wei": _refund(story, InferenceProof.load(Path(answer["answer_file"])).order.session, liar),
    }
    _tell_verdict(story.facts["dispute"], liar)


def _become_liar(story: Story, liar: ShardProcess, spare: ShardProcess) -> Lie:
    """Restart a node around a lying engine, its spare away; returns the lie, drawn at random."""
    offer = story.contracts.nodes.announcement_of(liar.address, story.version)
    model = story.files.model(story.contracts.models.version(story.version))
    prompt = torch.tensor(story.files.codec.encode(DISPUTED_PROMPT), dtype=torch.int32)
    layers = (offer.layer_start, offer.layer_end) if offer else (0, 1)
    lie = choose_lie(model.program, model.weights, layers, prompt, secrets.randbelow(2**32))
    for node in (liar, spare):
        node.stop()
    liar.program, liar.environment = (str(ROOT / "scripts" / "runs" / "lying_node.py"),), environment(lie)
    liar.launch()
    liar.wait_until_serving()
    tell(f"{liar.name} now alters one element of {lie.tensor} (position {lie.position}, column {lie.column})")
    tell("and computes everything after it from there. It signs, and it will defend its lie.")
    return lie


def _watch(story: Story, deployment: Path, answers: Path) -> dict[str, Any]:
    """Run a watcher with a wallet of its own until its cases are over; its report."""
    chain = ["--rpc", story.chain.rpc_url, "--chain-id", str(story.chain.chain_id), "--deployment", str(deployment)]
    watcher = ShardProcess("watcher", FOLDER / "watcher", chain)
    watcher.create_wallet(story.chain, USER_PASSWORD)
    options = ["--answers", str(answers), "--model-dir", str(story.home.models), "--policy", "full"]
    command = watcher.command("watch", *options, "--interval", "0.3", "--until-idle", "--json")
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=WATCH_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise DemoError(f"the watcher did not finish within {WATCH_SECONDS} s: {error.stderr!r}") from None
    if done.returncode != 0:
        raise DemoError(f"the watcher failed: {done.stderr.strip()}")
    report: dict[str, Any] = json.loads(done.stdout)
    if not report["cases"]:
        raise DemoError(f"the watcher found nothing: {done.stderr.strip()}")
    return report


def _show_game(story: Story, moves: list[tuple[str, int, str]], liar: ShardProcess) -> None:
    table = Table(title="The game on the chain", title_justify="left")
    for column in ("move", "by", "gas"):
        table.add_column(column, justify="right" if column == "gas" else "left")
    for move, gas, sender in moves:
        table.add_row(move, liar.name if sender == liar.address else "watcher", f"{gas:,}")
    console.print(table)


def _refund(story: Story, session: bytes, liar: ShardProcess) -> int:
    """Settle the liar's line once its window is over: all of it is the user's again, wei."""
    market = story.contracts.market
    line = market.line_of(session, liar.address)
    if not line.settled:
        story.chain.advance(max(0, line.end - market.now()) + 1)
        market.settle(session, liar.address)
    event = next(iter(market.events("LineSettled", where={"session": session, "node": liar.address})))
    return int(event.arguments["toUser"])


def _tell_verdict(facts: dict[str, Any], liar: ShardProcess) -> None:
    tell(
        f"{facts['transactions']} transactions from opening to verdict, {facts['gas']:,} gas, "
        f"{facts['seconds']:.0f} s. "
        f"The contract recomputed one element of {facts['op']} in layer {facts['layer']}."
    )
    tell(
        f"{liar.name} is {facts['verdict']}: {ether(facts['slashed_wei'])} of stake gone, "
        f"{ether(facts['vault_wei'])} to the vault, {ether(facts['challenger_wei'])} to the watcher, "
        f"{ether(facts['refund_wei'])} of the line back to the user."
    )
    tell("The honest nodes' stakes are untouched." if facts["honest_stakes_intact"] else "HONEST STAKES WERE TOUCHED.")


def audit_certificate(story: Story) -> None:
    act("10. Audit the model's certificate from its CID and the chain alone")
    console.print(f"  $ nexus audit {story.certificate_cid}", markup=False)
    code, report = nexus_verdict("audit", story.certificate_cid)
    steps = report["steps"]
    for step in steps:
        tell(f"{step['number']:2} {'passed' if step['passed'] else 'FAILED'}  {step['title']}: {step['detail']}")
    story.facts["certificate"] = {"cid": story.certificate_cid, "audit_passed": code == 0, "steps": len(steps)}


# ------------------------------------------------------------------------------ ending


def summary(story: Story) -> None:
    """Who paid, who earned, what it cost."""
    money = story.facts["settlement"]
    table = Table(title="Who paid, who earned", title_justify="left")
    for column in ("who", "wei", "share"):
        table.add_column(column, justify="left" if column == "who" else "right")
    table.add_row("user paid", f"{money['total_wei']:,}", "100 %")
    for node in story.nodes:
        earned = story.earned[node.address]
        table.add_row(f"{node.name} earned", f"{earned:,}", f"{100 * earned / money['total_wei']:.1f} %")
    table.add_row("Genesis Vault", f"{money['vault_wei']:,}", f"{100 * money['vault_wei'] / money['total_wei']:.1f} %")
    table.add_row("unused, back to the user", f"{money['refund_wei']:,}", "")
    console.print()
    console.print(table)
    gas = Table(title="Gas of each step (median)", title_justify="left")
    gas.add_column("call")
    gas.add_column("gas", justify="right")
    for call, spent in story.facts["gas"].items():
        gas.add_row(call, f"{spent:,}")
    console.print(gas)
    console.print(
        f"{story.facts['tokens_per_second']:.0f} tokens per second through two node processes; "
        f"{story.facts['seconds']:.0f} s for everything; facts in build/demo.json"
    )


def require_success(facts: dict[str, Any]) -> None:
    """Raise DemoError unless everything that the demo shows is true."""
    wrong = [f"inference {i['prompt']!r} was not verified" for i in facts["inferences"] if not i["verified"]]
    if not facts["failover"]["same_bits"]:
        wrong.append("the spare did not give the same bits")
    if not facts["tamper"]["detected"]:
        wrong.append("the lie was not detected")
    dispute = facts["dispute"]
    if dispute["verdict"] != "convicted" or dispute["slashed_wei"] != STAKE_WEI or not dispute["honest_stakes_intact"]:
        wrong.append("the lie was not punished, or somebody else was")
    if not facts["certificate"]["audit_passed"]:
        wrong.append("the certificate's audit failed")
    money = facts["settlement"]
    paid = sum(inference["paid_wei"] for inference in facts["inferences"])
    if money["total_wei"] < paid or money["nodes_wei"] + money["vault_wei"] != money["total_wei"]:
        wrong.append("the settlement does not add up")
    if wrong:
        raise DemoError("; ".join(wrong))


def run(story: Story, deployment: Path) -> None:
    publish_model(story)
    with running(story.nodes):
        start_nodes(story, deployment)
        ask_direct(story)
        ask_in_session(story)
        survive_a_node(story)
        catch_a_lie(story)
        settle(story)
        dispute_a_lie(story, deployment)
        audit_certificate(story)


def main() -> int:
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    deployment_file = FOLDER / "deployment.json"
    try:
        with working, anvil() as chain:
            act("1. A chain, and the contracts deployed through ape")
            deployment = deploy_through_ape(chain.rpc_url, deployment_file)
            tell(f"Anvil at {chain.rpc_url}; InferenceMarket at {deployment.inference_market}. Nobody owns the funds.")
            set_user_environment(FOLDER / "user", chain.rpc_url, deployment_file, USER_PASSWORD)
            story = Story(chain, contracts_for(chain, deployment), [], ClientHome(FOLDER / "user"))
            address = nexus("wallet", "new")["address"]
            chain.set_balance(address, 10**18)
            run(story, deployment_file)
            story.facts["gas"] = gas_by_call(story.contracts)
            story.facts["seconds"] = round(time.monotonic() - BEGAN, 1)
            summary(story)
    except (DemoError, NexusError) as error:
        console.print(f"\ndemo: {error}", markup=False, style="red")
        return 1
    (ROOT / "build" / "demo.json").write_text(json.dumps(story.facts, indent=1) + "\n")
    try:
        require_success(story.facts)
    except DemoError as error:
        console.print(f"\ndemo: {error}", markup=False, style="red")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
