"""What can be made of one lie: a search over the strategies of a liar and its friends, on the real contracts.

    python -m scripts.bench.incentives        # needs the contracts compiled (forge build), minutes

Gas of each move is measured on Anvil first. Then, on the in-process EVM, every coalition with the liar in it plays
every sequence of moves to a depth, before and after the finder in every block. Its moves are: commit, open, answer or
fall silent, pick, convict, let a clock run out, void, prove its own lie, copy the finder's transaction in front of
it, fill all covered places, post, close, settle, unbond. The finder plays by the rules. It commits, opens with
`onlyCovered`, moves at once, ends games that stand in its way and let their time pass, claims late moves where
somebody else convicted, and withdraws.

Against honest play, a rational liar with the stake S loses this:

    S - min(S / 2, bounty + refunds) + what its unsettled lines would have paid it

Refunds are for moves that were really made: 5/4 of the gas in the contract's schedule, at the base fee of each move.
So at least S / 2 is gone, whatever the coalition does. Three things come back beyond gas: the bounty, a quarter of
the gas, and what the schedule allows beyond the measured gas. Where a play ends with the liar's stake untouched,
`best_gain_unpunished_wei` says what the coalition paid for that.

Writes build/bench/incentives.json: `worst_liar_gain_wei` (best end of any coalition less its honest play: below 0),
`worst_finder_loss_wei` (most that the finder ever lost, start less end: 0 or below where it never loses), `coalitions`
(by setting and members), `gas`, and how much was searched.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from nexus_chain.chain.local import LOCAL_CHAIN_ID, LocalChain, anvil
from nexus_chain.chain.rpc_answers import TransactionReceipt
from nexus_chain.market.documents import checksum
from scripts.bench.record import write_record
from tests.support.evm import Machine
from tests.support.strategies import Outcome, Search, coalitions
from tests.support.strategy_stage import COPIER, ETHER, FRIEND, GWEI, LIAR, USER, Setting

ROOT = Path(__file__).resolve().parents[2]

REPORT = ROOT / "build" / "bench" / "incentives.json"
#: With the number of moves that the coalition has in each.
SETTINGS = (
    (Setting("mainnet", 30 * GWEI, ETHER), 3),
    (Setting("mainnet", 30 * GWEI, ETHER, proof="contradict"), 2),
    (Setting("mainnet", 30 * GWEI, ETHER, left=3_600), 2),
    (Setting("mainnet", 1 * GWEI, ETHER), 3),
    (Setting("mainnet", 300 * GWEI, ETHER), 2),
    (Setting("rollup", GWEI // 10, ETHER // 16), 2),
)
ANVIL_GAS = 15_000_000


class AnvilEvm:
    """The part of pyrevm's EVM that a stage uses, on a running Anvil."""

    def __init__(self, chain: LocalChain) -> None:
        self.connection, self._chain, self.used = chain.connection, chain, 0
        self._request("anvil_autoImpersonateAccount", True)

    def message_call(self, caller: str, to: str, *, calldata: bytes, value: int, gas: int) -> bytes:
        call: Any = {"from": checksum(caller), "to": checksum(to), "data": calldata, "value": value}
        try:
            found = self.connection.call(call)
        except Exception as error:
            self._mine(call)
            raise RuntimeError(str(error)) from error
        self._mine(call)
        return found

    def deploy(self, caller: str, code: bytes) -> str:
        return str(self._mine({"from": checksum(caller), "data": code}).contract)

    def basic(self, address: str) -> Any:
        return SimpleNamespace(nonce=self.connection.transaction_count(checksum(address)))

    def get_balance(self, address: str) -> int:
        return self.connection.balance(checksum(address))

    def set_balance(self, address: str, wei: int) -> None:
        self._chain.set_balance(address, wei)

    def set_block_env(self, block: Any) -> None:
        if self.connection.block().timestamp < block.timestamp:
            self._request("evm_setNextBlockTimestamp", block.timestamp)
            self._request("evm_mine")  # what is asked before it is sent is asked at that time

    def _mine(self, transaction: Any) -> TransactionReceipt:
        priced = {**transaction, "data": "0x" + transaction["data"].hex(), "value": hex(transaction.get("value", 0))}
        sent = self._request("eth_sendTransaction", {**priced, "gas": hex(ANVIL_GAS), "gasPrice": hex(3 * GWEI)})
        self.connection.web3.eth.wait_for_transaction_receipt(sent)
        receipt = self.connection.receipt(sent)
        if receipt is None:
            raise RuntimeError(f"{sent} is not mined")
        self.used = receipt.gas
        return receipt

    def _request(self, method: str, *params: object) -> Any:
        return self.connection.request(method, *params)


class AnvilMachine(Machine):
    """Deploys and calls on Anvil instead of in this process."""

    chain_id = LOCAL_CHAIN_ID

    def __init__(self, chain: LocalChain) -> None:
        super().__init__()
        self.evm: Any = AnvilEvm(chain)


class Meter(Search):
    """Plays by hand, and notes what each move costs."""

    def __init__(self, chain: LocalChain, proof: str = "equivocate") -> None:
        self.noted: dict[str, int] = {}
        setting = Setting("mainnet", 0, ETHER, proof)
        super().__init__(setting, ("liar", "friend", "user", "copier"), {}, 0, AnvilMachine(chain))

    def _paid(self, person: str, name: str, sent: bool) -> bool:
        used, name = self.stage.machine.evm.used, name if sent else f"{name} refused"
        self.noted[name] = max(self.noted.get(name, 0), used)
        return sent

    def _charge(self, person: str, name: str) -> None:
        """Failed moves were noted when they were sent."""

    def turn(self, *plans: str) -> None:
        for plan in plans:
            self._next_block()
            self.position.plan = plan
            self._finder()

    def answer(self) -> None:
        self._next_block()
        self._answer("finder", self._game("finder"))

    def whole_game(self) -> None:
        """A conviction by step, with a friend's game beside it that is void-ed."""
        self.turn("commit")
        self._move(LIAR, "post")
        self._commit(FRIEND, "game")
        self.turn("open")
        self._open(FRIEND, "friend", "open0")
        self.answer()
        self.turn("tensor")
        self.answer()
        self.turn("leaf")
        self.answer()
        self.turn("convict", "convict", "leaf", "timeout", "withdraw")
        self._end_game(FRIEND, "friend", "void")
        self._end_game(COPIER, "friend", "void")

    def proof(self) -> None:
        """A conviction by the liar's own proof, before the finder can open."""
        self.turn("commit")
        for name in ("closeLine", "unbond"):
            self._move(LIAR, name)
        self._move(USER, "close")
        self._commit(self.helper, "proof")
        self._next_block()
        self._move(self.helper, "proof")
        self.turn("open")
        self._pass_to(self._session_end() + 1)
        self._move(USER, "settle")

    def filled(self) -> None:
        """All covered places are taken in front of the finder's opening."""
        self.turn("commit")
        self._commit_fill()
        self._next_block()
        self._fill()
        self.turn("open")

    def silence(self) -> None:
        """A conviction by the clock."""
        self.turn("commit", "open")
        self._pass_to(self._game("finder").deadline + 1)
        self.position.plan = "timeout"
        self._finder()
        self.turn("commit", "withdraw")


def measure() -> dict[str, int]:
    """Most gas of each move, by name; ``... refused``: of one that came too late."""
    found: dict[str, int] = {}
    for play, proof in (
        ("whole_game", "equivocate"),
        ("proof", "equivocate"),
        ("proof", "contradict"),
        ("filled", ""),
        ("silence", ""),
    ):
        with anvil() as chain:
            meter = Meter(chain, proof or "equivocate")
            getattr(meter, play)()
        found |= {name: max(gas, found.get(name, 0)) for name, gas in meter.noted.items()}
    found["open refused"] = found.pop("open again refused")
    found["tensor refused"] = found["leaf refused"]  # both fail where the node turns out to be convicted
    return dict(sorted(found.items()))


def table_row(search: Search, outcome: Outcome) -> dict[str, Any]:
    """A coalition's best end against its honest play, and the finder's worst; wei, each with its moves."""
    honest, (gain, moves) = search.honest(), outcome["gain"]
    row: dict[str, Any] = {"honest_wei": honest, "best_gain_wei": gain - honest, "moves": moves}
    for name in ("finder loss", "finder loss in game"):
        if name in outcome:
            row[f"{name} wei".replace(" ", "_")], row[f"{name} moves".replace(" ", "_")] = outcome[name]
    if "escape" in outcome:
        escape, moves = outcome["escape"]
        row |= {"best_gain_unpunished_wei": escape - honest, "unpunished_moves": moves}
    return row | {"transitions": search.transitions, "states": len(search.seen), "endings": search.endings}


def agrees(search: Search, row: dict[str, Any]) -> bool:
    """Whether a punished coalition lost half of the stake at least, as the formula says."""
    punished = row["best_gain_wei"]
    if "best_gain_unpunished_wei" in row and row["best_gain_unpunished_wei"] == punished:
        return True
    return bool(punished <= -(search.stage.numbers.minimum_stake // 2))


def search_setting(setting: Setting, depth: int, gas: dict[str, int]) -> dict[str, Any]:
    rows, agreed = {}, True
    for members in coalitions():
        search = Search(setting, members, gas, depth)
        row = rows["+".join(members)] = table_row(search, search.run())
        agreed = agreed and agrees(search, row)
        name = f"{setting.preset}, {setting.base_fee / GWEI} gwei, {'+'.join(members)}"
        print(f"{name}: {row['best_gain_wei'] / ETHER:.4f} ether", flush=True)
    return {"setting": asdict(setting), "depth": depth, "formula_holds": agreed, "coalitions": rows}


def report(gas: dict[str, int]) -> dict[str, Any]:
    began = time.monotonic()
    found = [search_setting(setting, depth, gas) for setting, depth in SETTINGS]
    rows = [row for setting in found for row in setting["coalitions"].values()]
    return {
        "worst_liar_gain_wei": max(row["best_gain_wei"] for row in rows),
        "worst_finder_loss_wei": max(row["finder_loss_wei"] for row in rows),
        "worst_finder_loss_in_game_wei": max(row["finder_loss_in_game_wei"] for row in rows),
        "formula": "stake - min(stake / 2, bounty + refunds) + what the unsettled lines would have paid",
        "formula_holds": all(setting["formula_holds"] for setting in found),
        "coalitions": found,
        "gas": gas,
        "transitions": sum(row["transitions"] for row in rows),
        "states": sum(row["states"] for row in rows),
        "endings": sum(row["endings"] for row in rows),
        "seconds": round(time.monotonic() - began, 1),
    }


def main() -> int:
    written = report(measure())
    write_record(REPORT, written)
    summary = {name: value for name, value in written.items() if name not in ("coalitions", "gas")}
    print(json.dumps(summary, indent=2))
    good = written["worst_liar_gain_wei"] < 0 and written["worst_finder_loss_wei"] <= 0 and written["formula_holds"]
    if not good:
        print("bench-incentives: a lie pays, a finder loses, or the formula does not hold", file=sys.stderr)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
