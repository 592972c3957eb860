"""What SmolLM2 learns from judged teachers, from poisoned ones, and from poisoned ones whom nobody judges.

Three runs of the whole loop up to the measured child, over the same problems and with the same training:

- ``judged``: two oracles that err at known rates, and a liar;
- ``poisoned``: two liars that agree with each other on a fifth of the problems, and one honest oracle that is slow to
  be believed; the judge decides;
- ``unjudged``: the same sources, and whatever most of them say.

Writes ``build/bench/distill.json``: ``accuracy_before``, ``accuracy_after``, ``interval``, ``poisoned_accuracy_after``,
``unjudged_accuracy_after``, ``examples`` and ``seconds`` by run. A run that was interrupted goes on where it was.

    python -m scripts.bench.distill [--training 1500] [--held-out 300] [--run NAME ...]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from nexus_chain.client.home import ClientHome
from nexus_chain.distillation.distiller.adapters import TeacherSource
from nexus_chain.distillation.distiller.request import VerificationMode
from nexus_chain.distillation.teachers.teacher_apis import TeacherAPIs
from nexus_chain.errors import NexusError
from nexus_chain.program import IntegerModel
from nexus_chain.program.file_names import TOKENIZER_FILE
from nexus_chain.versions.model_files import ModelFiles
from nexus_chain.workflows.catalogue import entry_named, fetch_model
from nexus_chain.workflows.checkpoints import opened_folder
from nexus_chain.workflows.distilling import DescribedSource
from nexus_chain.workflows.importing import convert, keep_model
from nexus_chain.workflows.learning.evaluating import ProgramUnderTest
from nexus_chain.workflows.learning.plan import DistillationPlan, RunFolder
from nexus_chain.workflows.learning.run import LearnedModel, learn
from node.cli.output import Shown
from scripts.bench.record import FOLDER, ROOT, write_record
from scripts.runs.sum_teachers import near_sum, poisoned_number, poisoned_sum, right_sum
from tests.support.teacher_server import oracle, teacher_server

MODEL = "smollm2-135m-instruct"
PLACE = ROOT / "build" / "bench-distill"
REPORT = FOLDER / "distill.json"
Answers = Mapping[str, Callable[[str], str]]

POISONED: Answers = {
    "liar-one": poisoned_number,
    "liar-two": poisoned_number,
    "oracle": oracle(right_sum, near_sum, 0.05, seed=3),
}
RUNS: Mapping[str, tuple[Answers, bool]] = {
    "judged": (
        {
            "careful": oracle(right_sum, near_sum, 0.02, seed=1),
            "hasty": oracle(right_sum, near_sum, 0.10, seed=2),
            "liar": poisoned_sum,
        },
        True,
    ),
    "poisoned": (POISONED, True),
    "unjudged": (POISONED, False),
}


def main() -> int:
    """Run the bench; returns 1 where a run fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--training", type=int, default=1_500)
    parser.add_argument("--held-out", type=int, default=300)
    parser.add_argument("--run", action="append", choices=tuple(RUNS), help="Only these; the record keeps the others.")
    wanted = parser.parse_args()
    try:
        checkpoint, parent = parent_program(ClientHome(PLACE / "home"))
        for name in wanted.run or RUNS:
            keep(name, one_run(name, checkpoint, parent, wanted.training, wanted.held_out))
    except NexusError as error:
        print(f"bench-distill failed: {error}", file=sys.stderr)
        return 1
    print(json.dumps(write_record(REPORT, json.loads((PLACE / "figures.json").read_text())), indent=1))
    return 0


def parent_program(home: ClientHome) -> tuple[Path, ProgramUnderTest]:
    """SmolLM2 as it is catalogued: its GGUF file, and its integer program, imported once."""
    checkpoint, folder = fetch_model(entry_named(MODEL), home, Shown(quiet=False)), home.models / MODEL
    if not folder.is_dir():
        with opened_folder(checkpoint, home, Shown(quiet=False)) as floats:
            imported = convert(floats)
            keep_model(imported.model, imported.recipe, floats, folder)
    return checkpoint, ProgramUnderTest(IntegerModel.load(folder), ModelFiles(folder).folder / TOKENIZER_FILE, "parent")


def one_run(name: str, checkpoint: Path, parent: ProgramUnderTest, training: int, held_out: int) -> dict[str, Any]:
    """The figures of a run."""
    answers, judged = RUNS[name]
    mode = VerificationMode.FORMAL if judged else VerificationMode.CONSISTENCY
    plan = DistillationPlan(
        "", checkpoint, f"smollm2-sums-{name}", "1.1.0", training=training, held_out=held_out, mode=mode
    )
    began = time.monotonic()
    with sources(answers) as described:
        learned = learn(plan, parent, described, RunFolder(PLACE / name), Shown(quiet=False), judged=judged)
    return figures(learned, time.monotonic() - began)


@contextmanager
def sources(answers: Answers) -> Iterator[list[DescribedSource]]:
    """Local servers for the block, each a provider of its own."""
    with ExitStack() as opened:
        servers = {name: opened.enter_context(teacher_server(answer)) for name, answer in answers.items()}
        desk = opened.enter_context(TeacherAPIs([one.config(name, max_tokens=64) for name, one in servers.items()]))
        yield [DescribedSource(TeacherSource(desk, name, name, is_free=True), "local") for name in servers]


def figures(learned: LearnedModel, seconds: float) -> dict[str, Any]:
    """What a run came to."""
    after = learned.after
    return {
        "accuracy_before": float(learned.before.accuracy),
        "accuracy_after": float(after.accuracy),
        "interval": [float(after.accuracy_low), float(after.accuracy_high)],
        "examples": learned.collected.dataset.total_count,
        "is_better": learned.is_better,
        "adapter_sha256": learned.adaptation.version.adapter_sha256,
        "seconds_of": dict(learned.seconds),
        "seconds": round(seconds, 1),
    }


def keep(name: str, found: dict[str, Any]) -> None:
    """Add a run's figures to those of the others."""
    path = PLACE / "figures.json"
    known: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {"runs": {}}
    runs = {**known["runs"], name: found}
    main_run = runs.get("judged", {})
    top = {key: main_run.get(key) for key in ("accuracy_before", "accuracy_after", "interval", "seconds")}
    for other in ("poisoned", "unjudged"):
        top[f"{other}_accuracy_after"] = runs.get(other, {}).get("accuracy_after")
    path.write_text(json.dumps({**top, "runs": runs}, indent=1))


if __name__ == "__main__":
    sys.exit(main())
