"""Ctrl-C and SIGTERM at any moment of a command: what is open is closed, one line is said, and no traceback.

Exit code 130 after SIGINT, 143 after SIGTERM, as shells expect. A program whose caller closed its standard streams, or
whose output finds no room, ends as cleanly.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

AGAIN_SECONDS = 0.001
COLLECTION_OBJECTS = 100_000
"""New objects after which Python looks for what can be freed; its own number is 700."""
_USUAL_THRESHOLDS = gc.get_threshold()
EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


def settle_memory() -> None:
    """For a program that goes on from here: what it has made by now stays, and no collection looks through it; what it
    makes from now on is collected as often as Python does. With the rhythm of imports, memory grows for minutes.
    """
    gc.freeze()
    gc.set_threshold(*_USUAL_THRESHOLDS)


def end_cleanly(program: str, run: Callable[[], int]) -> NoReturn:
    """Run ``run``, a program's whole work, to its end or until a signal interrupts it; leave with its exit code.

    The first signal is a KeyboardInterrupt in the main thread. Commands may take the signals over.
    """
    pressed: list[int] = []
    _open_streams()

    def note(number: int, frame: FrameType | None) -> None:
        pressed.append(number)
        raise KeyboardInterrupt

    def put_again(unraisable: Any) -> None:
        # Where Python cannot raise (in a destructor), the keypress would be lost: it comes again a moment later.
        if isinstance(unraisable.exc_value, KeyboardInterrupt) and pressed:
            signal.setitimer(signal.ITIMER_REAL, AGAIN_SECONDS)
        elif not pressed:
            sys.__unraisablehook__(unraisable)

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    # Half of a command's time goes by in imports, whose objects all stay: looking through them again and again for
    # what could be freed takes a fifth of it.
    gc.set_threshold(COLLECTION_OBJECTS, 20, 20)
    sys.unraisablehook = put_again
    signal.signal(signal.SIGALRM, interrupt)
    try:
        for number in EXIT_CODES:
            signal.signal(number, note)
        code = run()
    except BaseException:
        # Libraries turn an interrupt into errors of their own, most of all while they are imported.
        if not pressed:
            raise
        code = 130
    if pressed:
        _leave(program, EXIT_CODES[signal.Signals(pressed[0])])
    if code in EXIT_CODES.values():  # a command that took the signals over, and was ended by them
        _leave(program, code)
    for number in EXIT_CODES:
        signal.signal(number, signal.SIG_IGN)  # what is left is to say goodbye
    gc.freeze()  # nor does anybody look through them at the end
    sys.exit(code if _flush(program, quiet=code != 0) else code or 1)


def _open_streams() -> None:
    """INVARIANT: no file of the program becomes a standard stream: where the caller closed one, nothing is there."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            nothing = os.open(os.devnull, os.O_RDWR)
            if nothing != number:
                os.dup2(nothing, number)
                os.close(nothing)
            setattr(sys, name, os.fdopen(number, mode, closefd=False))


def _flush(program: str, *, quiet: bool) -> bool:
    """Whether the output went where it should: Python itself would say so in its own way, with exit code 120.

    ``quiet``: another error was told.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            if not (quiet or isinstance(error, BrokenPipeError)):
                with contextlib.suppress(OSError):
                    print(f"{program}: the output cannot be written: {error.strerror}", file=sys.stderr, flush=True)
            return False
    return True


def _leave(program: str, code: int) -> NoReturn:
    """End at once: threads that wait for a server would keep the process, and say so at its end."""
    for number in (*EXIT_CODES, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    with contextlib.suppress(OSError, ValueError):
        print(f"{program}: interrupted", file=sys.stderr, flush=True)
    os._exit(code)
