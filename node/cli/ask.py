"""``nexus ask``: a prompt in, text out as it is computed, evidence and bill at the end."""

from __future__ import annotations

import gc
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.output import emit_json, ether, hex_id, note, table
from node.cli.settings import JsonFlag, OperatorsOption, ValueOption, workspace_of
from node.cli.typed_text import require_text, standard_input

if TYPE_CHECKING:
    from nexus_chain.client.answer import Answer
    from nexus_chain.client.opening import WantedLock
    from nexus_chain.client.segment import FailoverEvent
    from nexus_chain.workflows.asking import KeptAnswer
    from nexus_chain.workflows.observer import TaskObserver

DirectFlag = Annotated[bool, typer.Option("--direct", help="Pay for this answer alone, without a session.")]
SessionOption = Annotated[str | None, typer.Option(help="Session id or its beginning [default: newest open].")]
ModelOption = Annotated[str | None, typer.Option(help="Model version for --direct [default: newest here].")]
MaxWeiOption = Annotated[int | None, typer.Option(min=1, help="Refuse when the answer could cost more.")]
#: What a session that is opened for an answer is for, and the most that it locks where the user gives no limit.
SESSION_TOKENS, SESSION_SECONDS, MOST_LOCKED = 4096, 3600, 10**16


def ask(
    context: typer.Context,
    prompt: Annotated[str, typer.Argument(help="What you say, or the text to continue; - reads standard input.")],
    direct: DirectFlag = False,
    session: SessionOption = None,
    model: Annotated[
        str | None, typer.Option(help="Model version for --direct or a new session [default: newest here].")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Open a session without a question where none is open.")] = False,
    max_tokens: Annotated[int, typer.Option(min=1, help="Most tokens of the answer.")] = 64,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 takes the likeliest token every time.")] = 0.0,
    seed: Annotated[int | None, typer.Option(min=0, help="Sampling seed; the same one gives the same text.")] = None,
    max_wei: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Refuse when the answer could cost more, or a session for it would lock more [that: 0.01 ether].",
        ),
    ] = None,
    value_at_risk: ValueOption = None,
    operators: OperatorsOption = None,
    receipted: Annotated[bool, typer.Option("--receipted", help="Show text only once its receipts are here.")] = False,
    audits: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of receipts that a second node recomputes, for pay.")
    ] = 0.02,
    drafts: Annotated[bool, typer.Option(help="Guess what comes next: fewer rounds, same text.")] = True,
    chat: Annotated[
        bool | None,
        typer.Option("--chat/--raw", help="As a message, or as a text to continue [default: as the model was made]."),
    ] = None,
    special: Annotated[
        bool, typer.Option("--special", help="In a raw text, names of control tokens are these tokens.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Where to keep the answer [default: NEXUS_HOME/answers].")] = None,
    json: JsonFlag = False,
) -> None:
    """Ask a model. Streams the text; keeps order, tokens and receipts for `nexus verify`.

    A model that has a chat format gets the prompt as a message of its user, any other one continues it. Where no
    session is open it says what one would lock, and asks.
    """
    from nexus_chain.client.order import AskOptions
    from nexus_chain.workflows.asking import Inquiry, Purchase, SessionTerms, Wording
    from nexus_chain.workflows.sessions import SessionRequest

    workspace = workspace_of(context, quiet=json)
    text = standard_input() if prompt == "-" else require_text(prompt, "the prompt")
    options = AskOptions(
        max_tokens,
        temperature,
        None if seed is None else seed.to_bytes(32, "big"),
        max_wei,
        drafts,
        audit_rate=audits,
        receipted=receipted,
        value_at_risk=value_at_risk,
        operators=workspace.operators(operators),
    )
    opening = None
    if yes or (sys.stdin.isatty() and not json):
        request = SessionRequest(SESSION_TOKENS, SESSION_SECONDS, model, value_at_risk or 0, options.operators)
        opening = SessionTerms(
            request, lambda lock: _require_yes(lock, max_wei or MOST_LOCKED, workspace.observer, yes=yes)
        )
    purchase = Purchase(options, direct, model if direct else session, opening)
    with workspace.client(locked=True) as client:
        # A bar that moves would write over the question.
        with nullcontext() if opening and not yes else workspace.observer.stage("Looking for nodes"):
            inquiry = Inquiry(
                client,
                workspace.library,
                text,
                purchase,
                wording=Wording(chat, special),
                on_failover=None if json else tell_failover,
            )
        gc.freeze()  # what was imported stays: no collection in the middle of the answer looks through it
        try:
            _show(iter(inquiry), quiet=json)
        except KeyboardInterrupt:
            note("\n[stopped; what was computed is receipted and kept]")
        kept = inquiry.keep(workspace.home.answers, out)
    if json:
        emit_json(kept.to_dict())
    else:
        _say_bill(kept)


def _require_yes(lock: WantedLock, most: int, observer: TaskObserver, *, yes: bool) -> None:
    """Ask whether a session may lock so much, unless that was answered. Raises PriceError."""
    from nexus_chain.market.errors import PriceError
    from nexus_chain.market.publisher_share import per_cent

    share = f", {ether(lock.share_wei)} of it for the publisher's {per_cent(lock.share)}" if lock.share else ""
    minutes = SESSION_SECONDS // 60
    said = f"No session is open. One of {minutes} minutes locks {ether(lock.wei)}{share}; the rest comes back"
    # INVARIANT: nobody's money is locked without a yes, and never more than the limit.
    if lock.wei > most:
        raise PriceError(
            f"{said}. That is more than {ether(most)}",
            advice="Raise --max-wei, give --direct, or open a smaller one with `nexus session open --tokens`.",
        )
    if yes:
        observer.note(f"{said}.")
    elif not typer.confirm(f"{said}. Open it?", err=True):
        raise PriceError("no session was opened", advice="Give --direct to pay for this answer alone.")


def tell_failover(event: FailoverEvent) -> None:
    """Say that another node continues."""
    note(f"\n[segment {event.segment}: {event.reason}; {event.spare} continues at position {event.position}]")


def _say_bill(kept: KeptAnswer) -> None:
    """The receipts, the price and the file, beside the text."""
    answer = kept.answer
    print()
    rows = [
        (r.segment, r.node, f"[{r.from_position}, {r.to_position})", ether(r.price)) for r, _ in answer.proof.receipts
    ]
    table(f"{len(rows)} receipts", ("segment", "node", "positions", "price"), rows, aside=True)
    note(
        f"{len(answer.tokens)} tokens, {answer.tokens_per_second:.1f} a second; cost {_cost(answer)} "
        f"in session {hex_id(answer.session)[:12]}"
    )
    note(f"answer kept in {kept.file}; check it with `nexus verify {kept.file}`")


def _cost(answer: Answer) -> str:
    """What was paid to nodes and vault, and what its publisher gets beside it."""
    return ether(answer.cost_wei) + (f" and {ether(answer.share_wei)} for the publisher" if answer.share_wei else "")


def _show(pieces: Iterator[str], *, quiet: bool) -> None:
    """Print the answer as it comes. Raises KeyboardInterrupt once it has ended because the user had enough."""
    with first_interrupt_noted() as enough, closing(pieces):  # type: ignore[type-var]  # a generator
        for piece in pieces:
            if not quiet:
                print(piece, end="", flush=True)
            if enough.is_set():
                raise KeyboardInterrupt


@contextmanager
def first_interrupt_noted() -> Iterator[threading.Event]:
    """Ctrl-C sets the event the first time, and interrupts the second.

    Between two tokens everything is paid, written down and answered; in the middle of that an interrupt costs a
    connection, or the last token's place in the store.
    """
    enough = threading.Event()

    def noted(number: int, frame: FrameType | None) -> None:
        if enough.is_set():
            raise KeyboardInterrupt
        enough.set()

    if threading.current_thread() is not threading.main_thread():  # no signals there
        yield enough
        return
    before = signal.signal(signal.SIGINT, noted)
    try:
        yield enough
    finally:
        signal.signal(signal.SIGINT, before)
