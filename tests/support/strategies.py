"""Everything that a coalition can do around one lie, searched to a depth; and the finder, which plays by the rules.

A state is a block in the making. The finder chose its transaction when the block began; members of the coalition put
any number of theirs before it or after it, then the next block comes: two seconds later or, while nobody honest has
anything to do, after the next deadline. States that were seen with the same number of moves left are not played twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations

from nexus_chain.chain.dispute_game import GameState
from tests.support.evm import CALLER, Machine
from tests.support.strategy_stage import (
    COPIER,
    FINDER,
    FRIEND,
    LIAR,
    LIE,
    PEOPLE,
    RICH,
    RIGHT,
    USER,
    Setting,
    StrategyStage,
)

ROLES = {"liar": LIAR, "friend": FRIEND, "user": USER, "copier": COPIER}
BLOCK = 2  # seconds
COMMITMENT_LIFETIME = 3_600  # likewise
NODES_TURN = (GameState.TRACE, GameState.ROWS, GameState.BYTES)


def words_of(data: bytes) -> tuple[int, ...]:
    """A view's result without dynamic parts, as numbers."""
    return tuple(int.from_bytes(data[at : at + 32], "big") for at in range(0, len(data), 32))


def coalitions() -> list[tuple[str, ...]]:
    """Every coalition that the liar is in."""
    others = [role for role in ROLES if role != "liar"]
    return [("liar", *chosen) for size in range(4) for chosen in combinations(others, size)]


@dataclass(frozen=True)
class Game:
    """What the search looks at of a game."""

    number: int
    state: GameState
    deadline: int
    leaf: int


@dataclass
class Position:
    """What the chain does not say: who committed, which games are whose, what the finder means to do, gas so far."""

    games: dict[str, int] = field(default_factory=dict)
    commitments: dict[tuple[str, str], int] = field(default_factory=dict)  # (who, what): when
    filled: bool = False
    spent: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PEOPLE, 0))
    plan: str = "asleep"
    finished: bool = False
    now: int = 0
    late: bool = False  # the finder's opening came after a conviction

    def copy(self) -> Position:
        return Position(
            dict(self.games), dict(self.commitments), self.filled, dict(self.spent), self.plan, self.finished, self.now,
            self.late,
        )  # fmt: skip

    def key(self) -> tuple[object, ...]:
        return (
            tuple(sorted(self.games.items())), tuple(sorted(self.commitments.items())), self.filled,
            tuple(self.spent.values()), self.plan, self.finished, self.now, self.late,
        )  # fmt: skip


#: The most of each that any play reaches, wei, and the moves that reach it. `gain`: what the coalition owns at the end;
#: `escape`: likewise, where the liar keeps its stake; `finder loss`: what the finder owns less at the end than at the
#: start; `finder loss in game`: likewise, where it opened a game.
Outcome = dict[str, tuple[int, tuple[str, ...]]]


def after(move: str, outcome: Outcome) -> Outcome:
    return {name: (value, (move, *moves)) for name, (value, moves) in outcome.items()}


def joined(one: Outcome, other: Outcome) -> Outcome:
    found = dict(one)
    for name, (value, moves) in other.items():
        if name not in found or value > found[name][0]:
            found[name] = value, moves
    return found


class Search:
    """One coalition in one setting."""

    def __init__(
        self, setting: Setting, members: tuple[str, ...], gas: Mapping[str, int], depth: int,
        machine: Machine | None = None,
    ) -> None:  # fmt: skip
        self.stage, self.members, self.gas, self.depth = StrategyStage(setting, machine), members, gas, depth
        self.start = self.stage.end - setting.left if setting.left else self.stage.now
        self.helper = next(ROLES[role] for role in ("friend", "copier", "liar") if role in members)
        self.seen: dict[tuple[object, ...], Outcome] = {}
        self.position = Position(now=self.start)
        self.transitions = self.endings = 0
        self.stage.set_time(self.start)
        if "user" not in members:  # who pays the line itself may do better without
            self._move(LIAR, "post")

    def run(self) -> Outcome:
        """Search everything."""
        return self._explore(self.depth)

    def honest(self) -> int:
        """What the same coalition owns at the end when the liar computes rightly, or nobody orders anything."""
        idle, _ = self._after(self._wind_up)
        return max(self._after(self._serve)[0], idle) if "user" in self.members else idle

    def _serve(self) -> None:
        self._move(LIAR, "post")
        self._wind_up()

    # ------------------------------------------------------------------- the tree

    def _explore(self, left: int) -> Outcome:
        key = (left, *self._key())
        found = self.seen.get(key)
        if found is None:
            found = self.seen[key] = self._expand(left)
        return found

    def _expand(self, left: int) -> Outcome:
        if self.position.finished:
            return self._ending()
        found: Outcome = {}
        for name, act, cost in self._choices(left):
            outcome = self._try(name, act, left - cost)
            if outcome is not None:
                found = joined(found, outcome)
        assert found, self.position
        return found

    def _try(self, name: str, act: Callable[[], bool], left: int) -> Outcome | None:
        """The outcome after a choice; None if it is impossible. Leaves everything as it was."""
        evm, before = self.stage.machine.evm, self.position
        snapshot, self.position = evm.snapshot(), before.copy()
        self.transitions += 1
        found = after(name, self._explore(left)) if act() else None
        evm.revert(snapshot)
        self.position = before
        self.stage.set_time(before.now)
        return found

    def _choices(self, left: int) -> Iterator[tuple[str, Callable[[], bool], int]]:
        """Name, move, and what it costs of the moves left."""
        plan = self.position.plan
        if plan == "asleep":
            yield "finder looks", self._wake, 0
        elif plan not in ("", "done"):
            yield f"finder: {plan}", self._finder, 0
        else:
            yield "wait", self._wait, 0
        if plan == "asleep" and left:
            yield "next block", self._next_block, 1
        if left:
            for name, act in self._moves():
                yield name, act, 1

    def _after(self, act: Callable[[], object]) -> tuple[int, bool]:
        """What the coalition owns after ``act``, and whether the liar kept its stake. Leaves everything as it was."""
        evm, before = self.stage.machine.evm, self.position
        snapshot, self.position = evm.snapshot(), before.copy()
        act()
        found = self._wealth(), not self.stage.word(self.stage.nodes, "isConvicted")
        evm.revert(snapshot)
        self.position = before
        self.stage.set_time(before.now)
        return found

    # ------------------------------------------------------------------- moves of the coalition

    def _moves(self) -> Iterator[tuple[str, Callable[[], bool]]]:
        members = self.members
        yield from self._proofs()
        yield from self._answers()
        if "user" in members and not self._line()[1]:
            yield "liar: post", lambda: self._move(LIAR, "post")
        for name in ("closeLine", "unbond"):
            yield f"liar: {name}", lambda name=name: self._move(LIAR, name)
        if "user" in members:
            yield "user: close", lambda: self._move(USER, "close")
            if self.position.now > self.stage.end - self.stage.numbers.longest_session:
                yield "user: settle", lambda: self._move(USER, "settle")
        if "friend" in members:
            yield from self._games()
        if "copier" in members and self.position.plan in ("convict", "timeout", "void"):
            yield f"copier: {self.position.plan}", lambda: self._end_game(COPIER, "finder", self.position.plan)

    def _proofs(self) -> Iterator[tuple[str, Callable[[], bool]]]:
        role = next(name for name, person in ROLES.items() if person == self.helper)
        if (self.helper, "proof") not in self.position.commitments:
            yield f"{role}: commit to a proof", lambda: self._commit(self.helper, "proof")
        else:
            yield f"{role}: {self.stage.setting.proof}", lambda: self._move(self.helper, "proof")

    def _answers(self) -> Iterator[tuple[str, Callable[[], bool]]]:
        for owner in self.position.games:
            game = self._game(owner)
            if game.state in NODES_TURN and self.position.now <= game.deadline:
                yield f"liar: answer {owner}", lambda owner=owner, game=game: self._answer(owner, game)

    def _games(self) -> Iterator[tuple[str, Callable[[], bool]]]:
        position = self.position
        if "friend" not in position.games:
            if (FRIEND, "game") not in position.commitments:
                yield "friend: commit", lambda: self._commit(FRIEND, "game")
            else:
                yield "friend: open", lambda: self._open(FRIEND, "friend", "open0")
        else:
            yield from self._friends_game(self._game("friend"))
        if (FRIEND, "fill") not in position.commitments:
            yield "friend: commit to eight games", lambda: self._commit_fill()
        elif not position.filled:
            yield "friend: open eight games", lambda: self._fill()

    def _friends_game(self, game: Game) -> Iterator[tuple[str, Callable[[], bool]]]:
        if game.state == GameState.PICK_TENSOR:
            yield "friend: pick the tensor", lambda: self._pick(FRIEND, "friend", game, 1)
        if game.state == GameState.PICK_LEAF:
            for leaf in (LIE, RIGHT):
                yield f"friend: pick leaf {leaf}", lambda leaf=leaf: self._pick(FRIEND, "friend", game, leaf)
        if game.state == GameState.CONVICT and game.leaf == LIE:
            yield "friend: convict", lambda: self._end_game(FRIEND, "friend", "convict")
        if not game.state.final:
            for name in ("timeout", "void"):
                yield f"friend: {name}", lambda name=name: self._end_game(FRIEND, "friend", name)

    # ------------------------------------------------------------------- the finder, by the rules

    def _wake(self) -> bool:
        self.position.plan = self._planned()
        return True

    def _planned(self) -> str:
        """Its transaction of this block; "" while there is nothing to do, "done" when that stays so."""
        position, stage = self.position, self.stage
        if "finder" in position.games:
            return self._planned_in(self._game("finder"))
        if stage.word(stage.nodes, "isConvicted"):
            if (FINDER, "game") in position.commitments and not position.late:
                return "open"
            return "withdraw" if stage.word(stage.game, f"balanceOf{FINDER}") else "done"
        if self._stalled():
            return "free"
        if position.now > self._session_end() or not stage.word(stage.game, "coveredNow"):
            return ""
        committed = position.commitments.get((FINDER, "game"))
        fresh = committed is not None and position.now - committed <= COMMITMENT_LIFETIME
        return "open" if fresh else "commit"

    def _stalled(self) -> str | None:
        """Whose game holds its place though its mover let its time pass: ending it is paid, whoever opened it."""
        for owner in self.position.games:
            game = self._game(owner)
            if not game.state.final and self.position.now > game.deadline:
                return owner
        return None

    def _planned_in(self, game: Game) -> str:
        if game.state.final:
            owed = self.stage.word(self.stage.game, f"balanceOf{FINDER}")
            return "withdraw" if owed else "done"
        if self.stage.word(self.stage.nodes, "isConvicted"):
            return "convict" if game.state == GameState.CONVICT and self.position.now <= game.deadline else "void"
        if game.state in NODES_TURN:
            return "timeout" if self.position.now > game.deadline else ""
        return {GameState.PICK_TENSOR: "tensor", GameState.PICK_LEAF: "leaf", GameState.CONVICT: "convict"}[game.state]

    def _finder(self) -> bool:
        """Send what was planned: an adversary may have come first, and a transaction that fails costs gas too."""
        plan = self.position.plan
        sent = {
            "commit": lambda: self._commit(FINDER, "game"),
            "open": lambda: self._open(FINDER, "finder", "open1"),
            "tensor": lambda: self._pick(FINDER, "finder", self._game("finder"), 1),
            "leaf": lambda: self._pick(FINDER, "finder", self._game("finder"), LIE),
            "withdraw": lambda: self._move(FINDER, "withdraw"),
            "free": lambda: self._end_game(FINDER, self._stalled() or "", "timeout"),
        }.get(plan, lambda: self._end_game(FINDER, "finder", plan))()
        if not sent:
            self._charge(FINDER, f"{'timeout' if plan == 'free' else plan} refused")
            if plan == "open" and self.stage.word(self.stage.nodes, "isConvicted"):
                self.position.late = True  # its commitment is too old or too young to be paid for
        self.position.plan = ""
        return True

    # ------------------------------------------------------------------- time

    def _next_block(self) -> bool:
        self._pass_to(self.position.now + BLOCK)
        return True

    def _wait(self) -> bool:
        """The next block in which the finder has something to do, or the end."""
        self._pass_to(self.position.now + BLOCK)
        self.position.plan = self._planned()
        while self.position.plan == "" and (late := self._next_deadline()) is not None:
            self._pass_to(late + 1)
            self.position.plan = self._planned()
        if self.position.plan in ("", "done"):
            self.position.finished = True
        return True

    def _next_deadline(self) -> int | None:
        now, times = self.position.now, [self._session_end()]
        times += [game.deadline for owner in self.position.games if not (game := self._game(owner)).state.final]
        return min((time for time in times if time >= now), default=None)

    def _pass_to(self, now: int) -> None:
        self.position.now = now
        self.stage.set_time(now)

    def _session_end(self) -> int:
        closed = words_of(self.stage.market.run(self.stage.data["sessionOf"]))[3]
        return closed or self.stage.end

    # ------------------------------------------------------------------- transactions

    def _move(self, person: str, name: str) -> bool:
        stage = self.stage
        contract = {"proof": stage.game, "withdraw": stage.game, "unbond": stage.nodes}.get(name, stage.market)
        return self._paid(person, name, stage.send(contract, stage.data[name], person))

    def _commit(self, person: str, what: str) -> bool:
        self.position.commitments[person, what] = self.position.now
        return self._move_game(person, "commit", self.stage.data[f"commit {what}{person}"])

    def _open(self, person: str, owner: str, data: str) -> bool:
        stage = self.stage
        name = self._opening()
        if not self._move_game(person, name, stage.data[data], stage.bond):
            return False
        if name != "open late":
            self.position.games[owner] = stage.word(stage.game, "gameCount")
        elif person == FINDER:
            self.position.late = True
        return True

    def _opening(self) -> str:
        if self.stage.word(self.stage.nodes, "isConvicted"):
            return "open late"
        return "open" if not self.stage.word(self.stage.game, "gameCount") else "open again"

    def _pick(self, person: str, owner: str, game: Game, place: int) -> bool:
        call = "pickTensor" if game.state == GameState.PICK_TENSOR else "pickLeaf"
        data = self._encoded(call, game.number, place, self.stage.papers.trace.root(), name=str(place))
        return self._move_game(person, "tensor" if call == "pickTensor" else "leaf", data)

    def _answer(self, owner: str, game: Game) -> bool:
        call = {GameState.TRACE: "postTrace", GameState.ROWS: "postRows"}.get(game.state, "postBytes")
        name = call + (str(game.leaf) if call == "postBytes" else "")
        return self._move_game(LIAR, call, self._encoded(call, game.number, *self.stage.answers[name], name=name))

    def _end_game(self, person: str, owner: str, name: str) -> bool:
        number = self.position.games.get(owner, 0)
        data = self._encoded("convict", number, b"") if name == "convict" else self._encoded(name, number)
        return self._move_game(person, name, data)

    def _commit_fill(self) -> bool:
        self.position.commitments[FRIEND, "fill"] = self.position.now
        return all(self._move_game(FRIEND, "commit", commitment) for commitment, _ in self.stage.fillings)

    def _fill(self) -> bool:
        """Eight games at once; the friend goes on with none of them."""
        stage = self.stage
        self.position.filled = True
        for number, (_, data) in enumerate(stage.fillings):
            name = self._opening()
            if not self._move_game(FRIEND, name, data, stage.bond):
                return False
            if name != "open late":
                self.position.games[f"filling {number}"] = stage.word(stage.game, "gameCount")
        return True

    def _move_game(self, person: str, name: str, data: bytes, value: int = 0) -> bool:
        return self._paid(person, name, self.stage.send(self.stage.game, data, person, value))

    def _paid(self, person: str, name: str, sent: bool) -> bool:
        if sent:
            self._charge(person, name)
        return sent

    def _charge(self, person: str, name: str) -> None:
        self.position.spent[person] += self.gas[name] * self.stage.setting.base_fee

    def _encoded(self, call: str, number: int, *arguments: object, name: str = "") -> bytes:
        """Calldata of a call about a game; ``name`` tells calls with other arguments apart."""
        key = f"{call} {number} {name}"
        found = self.stage.data.get(key)
        if found is None:
            found = self.stage.data[key] = self.stage.game.encode(call, number, *arguments)
        return found

    # ------------------------------------------------------------------- looking

    def _game(self, owner: str) -> Game:
        return self._read(self.position.games[owner])

    def _read(self, number: int) -> Game:
        view = words_of(self._view(number))
        return Game(number, GameState(view[0]), view[10], view[14])

    def _view(self, number: int) -> bytes:
        return self.stage.game.run(self._encoded("gameOf", number))

    def _line(self) -> tuple[int, ...]:
        return words_of(self.stage.market.run(self.stage.data["lineOf"]))

    def _key(self) -> tuple[object, ...]:
        """Two positions with the same key go on alike: chain and plans."""
        stage = self.stage
        games = tuple(self._view(number) for number in self.position.games.values())
        money = tuple(stage.machine.evm.get_balance(person) for person in PEOPLE)
        owed = tuple(stage.word(stage.game, f"balanceOf{person}") for person in PEOPLE)
        seen = stage.word(stage.game, "claimsOn"), stage.word(stage.nodes, "isConvicted")
        line = stage.market.run(stage.data["lineOf"])
        return (*self.position.key(), games, money, owed, seen, line)

    # ------------------------------------------------------------------- endings

    def _ending(self) -> Outcome:
        """All clocks run out; whatever the coalition can still fetch, it fetches without paying for gas."""
        lost = RICH - int(self.stage.machine.evm.get_balance(FINDER)) + self.position.spent[FINDER]
        owned, escaped = self._after(self._wind_up)
        self.endings += 1
        found: Outcome = {"gain": (owned, ()), "finder loss": (lost, ())}
        if escaped:
            found["escape"] = owned, ()
        if "finder" in self.position.games:
            found["finder loss in game"] = lost, ()
        return found

    def _wind_up(self) -> None:
        stage = self.stage
        for _ in range(3):
            late = max((self._read(number + 1).deadline for number in range(self._count())), default=0)
            self._pass_to(max(self.position.now, late, self._session_end()) + 3_601)  # from then on anybody may void
            for number in range(1, self._count() + 1):
                for name in ("void", "timeout"):
                    stage.send(stage.game, self._encoded(name, number), CALLER)
        stage.send(stage.market, stage.data["settle"], CALLER)

    def _count(self) -> int:
        return self.stage.word(self.stage.game, "gameCount")

    def _wealth(self) -> int:
        people = [ROLES[role] for role in self.members]
        return sum(self.stage.wealth(person) - self.position.spent[person] for person in people)
