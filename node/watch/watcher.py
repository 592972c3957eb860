"""The watcher: looks at answers, accuses, and keeps its games going until each is over.

One round reads the answer folder and the chain, and makes at most one move per case. A round may
fail anywhere (the RPC server stalls, the process is killed, a block is re-organised): the next
one asks the chain again and goes on. Nothing is sent before the log says why.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.dispute_game import DisputeGame, GameRecord
from nexus_chain.chain.errors import TransactionError
from nexus_chain.chain.transactions import Mined
from nexus_chain.disputes.errors import NothingToDisputeError
from nexus_chain.errors import NexusError
from nexus_chain.evidence.accusation import Accusation
from nexus_chain.evidence.judgement import claim_of, identity_of, judge, keep_signed, keep_usable
from nexus_chain.evidence.proof import InferenceProof
from nexus_chain.evidence.verify import AuditLevel
from nexus_chain.market.documents import require_signer
from nexus_chain.program import IntegerModel
from nexus_chain.routing.errors import ByzantineAttackError
from nexus_chain.routing.reputation import ReputationBook, detect_byzantine
from nexus_chain.routing.reputation_file import save_reputation
from nexus_chain.versions.model_files import find_model_files
from nexus_chain.wire.peer import SignedReceipt
from node.watch.case_facts import CaseFacts
from node.watch.cases import (
    CONFIRMATIONS,
    CONTRADICTION,
    EQUIVOCATION,
    GIVEN_UP,
    STEP,
    AnswerJudged,
    Case,
    CaseEnded,
    CaseOpened,
    CaseReopened,
    GameFound,
    MoveMined,
    ReceiptJudged,
    TraceSeen,
    key_of,
)
from node.watch.errors import CaseDataError
from node.watch.log import CaseBook
from node.watch.moves import CaseMove, Commit, End, Open, Play, Show, Timeout, Void, Wait, next_move, undone
from node.watch.player import Player
from node.watch.policy import Budget
from node.watch.report import report_of

log = logging.getLogger(__name__)

_SAID = {
    "right": "every bit agrees",
    "wrong": "WRONG",
    "incomplete": "its tokens and documents do not fit together; nobody is accused on such a file",
}


@dataclass(frozen=True)
class WatchSettings:
    """``data``: the watcher's own folder; ``answers``: folders with answer files; ``models``: where models lie.

    ``reputation``: the file from which this user's client learns about nodes, if there is one.
    """

    data: Path
    answers: tuple[Path, ...]
    models: tuple[Path, ...]
    level: AuditLevel
    budget: Budget
    reputation: Path | None = None


class Watcher:
    """Audits and disputes with one wallet."""

    def __init__(self, settings: WatchSettings, contracts: Contracts, disputes: DisputeGame, address: str) -> None:
        settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.book = CaseBook(settings.data / "watch.sqlite")
        self._settings, self._contracts, self._disputes, self._address = settings, contracts, disputes, address
        self._facts = CaseFacts(contracts, disputes, address)
        self._player = Player(disputes, contracts.deployment.block)
        self._models: dict[bytes, IntegerModel] = {}
        self._accusations: dict[bytes, Accusation] = {}
        self._seen: set[tuple[Path, int]] = set()
        self._said: dict[bytes, str] = {}
        self._told = ReputationBook()

    def close(self) -> None:
        """Close the log."""
        self.book.close()

    def round(self) -> list[str]:
        """Judge new answers, then make every move that is due; what happened, in words."""
        said = []
        for path in self._new_answers():
            said += self._guarded(f"answer {path.name}", lambda path=path: self._judge(path))
        for case in list(self.book.state.cases.values()):
            name = f"receipt 0x{case.receipt.hex()[:16]}"
            act = self._look_back if case.over else self._advance
            said += self._guarded(name, lambda case=case, act=act: act(case))
        self._guarded("the reputation file", self._tell_client)
        return said + self._guarded("the balance", self._withdraw)

    @staticmethod
    def _guarded(what: str, act: Any) -> list[str]:
        """One broken answer or stalled request must not keep the others from their deadlines."""
        try:
            said: list[str] = act()
        except NexusError as error:
            log.warning("%s has to wait: %s", what, error)
            return []
        except Exception:
            # INVARIANT: nothing that a stranger's file or server makes of us ends the watcher: its games have clocks.
            log.exception("%s has to wait", what)
            return []
        for line in said:
            log.info(line)
        return said

    def _tell_client(self) -> list[str]:
        """Write down what routing should know."""
        path, book = self._settings.reputation, self.book.state.book
        if path is not None and book.records and book != self._told:
            save_reputation(path, book)
            self._told = book
        return []

    def _withdraw(self) -> list[str]:
        """Fetch bonds and rewards once nothing is open: one transaction for all of them."""
        balance = self._disputes.balance_of(self._address) if self.idle and self.book.state.cases else 0
        if not balance:
            return []
        self._disputes.withdraw()
        return [f"withdrew {balance} wei of bonds and rewards"]

    @property
    def idle(self) -> bool:
        """Whether no case is open."""
        return all(case.over for case in self.book.state.cases.values())

    # ---------------------------------------------------------------- judging

    def _new_answers(self) -> Iterator[Path]:
        for folder in self._settings.answers:
            for path in [folder] if folder.is_file() else sorted(folder.rglob("*.json")):
                stamp = _stamp(path)
                if stamp is not None and stamp not in self._seen:
                    yield path

    def _judge(self, path: Path) -> list[str]:
        stamp = _stamp(path)
        # INVARIANT: receipts that the client refused are judged like the others: a lie that nobody paid for is one.
        proof = InferenceProof.load(path).with_disputed
        known = identity_of(proof) in self.book.state.judged
        said = [] if known else self._judge_new(proof)
        if stamp is not None:
            self._seen.add(stamp)
        return said

    def _judge_new(self, proof: InferenceProof) -> list[str]:
        digest, order = identity_of(proof), proof.order
        name = f"answer 0x{proof.order_digest.hex()[:16]}"
        if proof.domain != self._contracts.domain:
            self.book.write(AnswerJudged(digest, "refused"))
            return [f"{name} is for another market"]
        signer = self._contracts.market.session_of(order.session).signer
        require_signer(order, proof.order_signature, proof.domain, signer)
        nodes = {receipt.node for receipt, _ in proof.receipts}
        proof = keep_signed(proof, {node: self._contracts.nodes.receipt_key_of(node) for node in nodes})
        said = self._equivocations(proof)
        proof = keep_usable(proof, signer)
        if not self._settings.level.recompute():
            self.book.write(AnswerJudged(digest, "unchecked"))
            return said
        found = judge(proof, self._model(order.model_version))
        for signed in found.accusations:
            said += self._accuse(proof, signed, STEP)
        self._remember(found.verdicts)
        self.book.write(AnswerJudged(digest, found.word))
        said += self._compromised(found.verdicts)
        return [*said, f"{name}: {_SAID[found.word]}"]

    def _remember(self, verdicts: tuple[tuple[SignedReceipt, bool], ...]) -> None:
        for (receipt, _), right in verdicts:
            digest = receipt.digest(self._contracts.domain)
            self.book.write(ReceiptJudged(digest, receipt.node, "right" if right else "wrong"))

    @staticmethod
    def _compromised(verdicts: tuple[tuple[SignedReceipt, bool], ...]) -> list[str]:
        valid: dict[str, bool] = {}
        for (receipt, _), right in verdicts:
            valid[receipt.node] = valid.get(receipt.node, True) and right
        try:
            detect_byzantine(valid)
        except ByzantineAttackError as error:
            return [str(error)]
        return []

    def _equivocations(self, proof: InferenceProof) -> list[str]:
        """Accuse whoever signed two outputs for one input."""
        said: list[str] = []
        first: dict[bytes, bytes] = {}
        for signed in proof.receipts:
            digest = signed[0].digest(proof.domain)
            known = first.setdefault(claim_of(signed[0]), digest)
            if known != digest and self._kept_receipts(proof)[known][0].out_root != signed[0].out_root:
                said += self._accuse(proof, signed, EQUIVOCATION, known)
        return said

    @staticmethod
    def _kept_receipts(proof: InferenceProof) -> dict[bytes, SignedReceipt]:
        return {signed[0].digest(proof.domain): signed for signed in proof.receipts}

    def _accuse(self, proof: InferenceProof, signed: SignedReceipt, kind: str, other: bytes = b"") -> list[str]:
        receipt, digest = signed[0], signed[0].digest(proof.domain)
        if key_of(kind, digest) in self.book.state.cases:
            return []
        # The evidence must outlive the user's folder: a game lasts for days.
        kept = proof.save(self._settings.data / "evidence" / f"{key_of(kind, digest).hex()}.json")
        self.book.write(
            CaseOpened(
                digest,
                proof.order_digest,
                receipt.node,
                proof.order.session,
                kind,
                str(kept),
                secrets.token_bytes(32),
                other,
            )
        )
        return [f"{receipt.node} is accused for positions up to {receipt.to_position}: {kind}"]

    def _model(self, version: bytes) -> IntegerModel:
        if version not in self._models:
            registered = self._contracts.models.version(version)
            self._models[version] = find_model_files(registered, list(self._settings.models)).model(registered)
        return self._models[version]

    # ---------------------------------------------------------------- playing

    def _advance(self, case: Case) -> list[str]:
        number, game = self._facts.game_of(case)
        # Of a game that is over the chain no longer says what its bond was.
        if game is not None and (number != case.game or game.bond > case.bond):
            self.book.write(GameFound(case.key, number, game.bond or case.bond))
            case = self.book.state.cases[case.key]
        move = next_move(
            case, self._facts.about(case, number, game, self.book.state), self._settings.budget, self.book.state
        )
        try:
            return self._make(case, number, game, move)
        except TransactionError as error:
            # INVARIANT: what a transaction cost counts, also where somebody saw to it that it failed.
            if error.fee:
                self.book.write(MoveMined(case.key, "failed", "", 0, error.fee))
            raise

    def _look_back(self, case: Case) -> list[str]:
        """Take a case up again whose verdict is no longer on the chain."""
        if not case.ended_at or self._facts.head() > case.ended_at + CONFIRMATIONS:
            return []
        number, game = self._facts.game_of(case)
        if not undone(case, self._facts.about(case, number, game, self.book.state)):
            return []
        self.book.write(CaseReopened(case.key))
        return [f"{case.node}: {case.outcome} no longer, a re-organisation took it back"]

    def _make(self, case: Case, number: int, game: GameRecord | None, move: CaseMove) -> list[str]:
        match move:
            case Wait():
                return self._once(case, move.reason)
            case End():
                self.book.write(CaseEnded(case.key, move.outcome, self._facts.head()))
                self._accusations.pop(case.key, None)
                return [f"{case.node}: {move.outcome}, {case.transactions} transactions of ours, {case.gas} gas"]
            case Commit():
                return self._mined(case, "commit", self._disputes.commit(self._facts.commitment(case, self.book.state)))
            case Open():
                return self._open(case, move)
            case Show():
                return self._show(case)
            case Timeout():
                return self._mined(case, "timeout", self._disputes.timeout(number))
            case Void():
                return self._mined(case, "void", self._disputes.void(number))
            case Play():
                return self._play(case, number, game, move)

    def _once(self, case: Case, reason: str) -> list[str]:
        what = reason.partition(":")[0]  # the amounts that follow are others every round
        if self._said.get(case.key) == what:
            return []
        self._said[case.key] = what
        return [f"{case.node}: {reason}"]

    def _open(self, case: Case, move: Open) -> list[str]:
        opening, bond = self._accusation_in(case).opening(case.salt, only_covered=move.only_covered), self._facts.bond()
        number, mined = self._disputes.open_step(opening, bond=bond)
        self.book.write(GameFound(case.key, number, bond))
        how = "" if move.only_covered else ", not covered, as the node's stake is about to leave"
        return self._mined(case, f"open game {number}{how}", mined)

    def _show(self, case: Case) -> list[str]:
        if case.kind == CONTRADICTION:
            first, second = self.book.state.traces[case.receipt], (case.other[:32], case.other[32:])
            mined = self._disputes.contradict(case.node, case.receipt, first, second, case.salt)
            return self._mined(case, "contradict", mined)
        receipts = self._kept_receipts(InferenceProof.load(Path(case.answer)))
        # The commitment names the first receipt of the two.
        mined = self._disputes.equivocate(*receipts[case.receipt], *receipts[case.other], case.salt)
        return self._mined(case, "equivocate", mined)

    def _play(self, case: Case, number: int, game: GameRecord | None, move: Play) -> list[str]:
        if game is None:
            return []
        said = self._note_trace(case)
        try:
            return said + self._mined(case, *self._player.play(number, game, self._accusation_in(case), move.top_up))
        except NothingToDisputeError as error:
            log.error("game %d cannot be won: %s", number, error)
            self.book.write(CaseEnded(case.key, f"{GIVEN_UP}: the node's trace is right", self._facts.head()))
            return [*said, f"{case.node}: its published trace is right"]

    def _note_trace(self, case: Case) -> list[str]:
        """Remember the trace that the node posted; accuse it where it posted another one before a re-organisation."""
        accusation, known = self._accusation_in(case), self.book.state.traces.get(case.receipt)
        posted = self._player.signed_trace(accusation)
        if posted is None or (known is not None and known[0] == posted[0]):
            return []
        if known is None:
            self.book.write(TraceSeen(case.receipt, *posted))
            return []
        return self._accuse(accusation.proof, accusation.signed, CONTRADICTION, b"".join(posted))

    def _mined(self, case: Case, move: str, mined: Mined) -> list[str]:
        self.book.write(MoveMined(case.key, move, mined.hash, mined.gas, mined.fee))
        return [f"{move}: {mined.gas} gas"]

    def _accusation_in(self, case: Case) -> Accusation:
        if case.key not in self._accusations:
            proof = InferenceProof.load(Path(case.answer))
            signed = self._kept_receipts(proof).get(case.receipt)
            if signed is None:
                raise CaseDataError(f"{case.answer} lacks the receipt", advice="Restore the watcher's data folder.")
            self._accusations[case.key] = Accusation(proof, signed, self._model(proof.order.model_version))
        return self._accusations[case.key]

    # -------------------------------------------------------------- reporting

    def report(self) -> dict[str, Any]:
        """See ``report.report_of``."""
        return report_of(self.book.state)


def _stamp(path: Path) -> tuple[Path, int] | None:
    """What tells whether a file was written again; None where there is no file, or none any more."""
    try:
        return (path, path.stat().st_mtime_ns) if path.is_file() else None
    except OSError:
        return None
