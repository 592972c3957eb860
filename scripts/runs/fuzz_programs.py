"""Random and hostile programs: each is refused by the node's checks, or safe to serve honestly.

    python -m scripts.runs.fuzz_programs [--programs 20000] [--seed 1] [--processes 2]

Needs the contracts compiled (forge build). A worker process that dies counts as a crash of the program that
it was trying. Writes build/bench/fuzz-programs.json: ``programs``, ``refused``, ``served``,
``convicted_honest``, ``crashes``, ``seed``; ``refused_by`` (check), ``steps`` and ``games`` that were judged,
``seconds``, and the seeds of whatever went wrong. Exit code 1 if anything did.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from scripts.bench.record import write_record

ROOT = Path(__file__).resolve().parents[2]
REPORT = ROOT / "build" / "bench" / "fuzz-programs.json"
SHARE = 1000  # programs that a worker process tries; it keeps the overflow proofs that it has made
Tried = tuple[int, Any]  # (seed, Outcome, None where the process died, or the error it ended with)


def work(seeds: range, whole: bool, out: Connection) -> None:
    """Try every program of ``seeds``; sends (seed, outcome)."""
    import torch

    from tests.support.program_trials import Court

    torch.set_num_threads(1)
    court = Court(whole=whole)
    for seed in seeds:
        try:
            out.send((seed, court.try_program(seed)))
        except Exception as error:  # noqa: BLE001 (whatever a program makes of the node, the run goes on)
            out.send((seed, f"{type(error).__name__}: {error}"[:200]))


def tried(seeds: range, whole: bool) -> Iterator[Tried]:
    """Outcomes of all ``seeds``, in worker processes that may die."""
    context = multiprocessing.get_context("spawn")
    left = seeds
    while left:
        ours, theirs = context.Pipe(duplex=False)
        worker = context.Process(target=work, args=(left, whole, theirs))
        worker.start()
        theirs.close()
        try:
            while left:
                found: Tried = ours.recv()
                left = left[1:]
                yield found
        except EOFError:  # the process died
            yield left[0], None
            left = left[1:]
        worker.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--programs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--by-op", action="store_true", help="leave the whole-program check out: finds what it is for")
    options = parser.parse_args()
    began, first = time.monotonic(), options.seed * 10**9
    shares = [range(first + at, first + min(at + SHARE, options.programs)) for at in range(0, options.programs, SHARE)]
    found: list[Tried] = []
    with ThreadPoolExecutor(options.processes) as pool:
        for part in pool.map(lambda share: list(tried(share, not options.by_op)), shares):
            found += part
            print(f"{len(found)} programs tried, {round(time.monotonic() - began)} s", file=sys.stderr, flush=True)
    report = summary(found) | {"seed": options.seed, "seconds": round(time.monotonic() - began)}
    print(json.dumps(report, indent=2))
    if options.by_op:
        return
    write_record(REPORT, report)
    sys.exit(1 if report["convicted_honest"] or report["crashes"] else 0)


def summary(found: list[Tried]) -> dict[str, Any]:
    """The figures of a run; an error that is no refusal counts as a crash."""
    crashed = {seed: outcome for seed, outcome in found if outcome is None or isinstance(outcome, str)}
    rest = {seed: outcome for seed, outcome in found if seed not in crashed}
    served = {seed: outcome for seed, outcome in rest.items() if not outcome.refused}
    convicted = {seed: outcome.convicted_honest for seed, outcome in served.items() if outcome.convicted_honest}
    return {
        "programs": len(found),
        "refused": len(rest) - len(served),
        "served": len(served),
        "convicted_honest": len(convicted),
        "crashes": len(crashed),
        "refused_by": dict(Counter(outcome.refused for outcome in rest.values() if outcome.refused)),
        "steps": sum(outcome.steps for outcome in served.values()),
        "games": sum(outcome.games for outcome in served.values()),
        "failures": {str(seed): problem or "the process died" for seed, problem in (crashed | convicted).items()},
    }


if __name__ == "__main__":
    main()
