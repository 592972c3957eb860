"""A distillation's folder as others may look at it: answers, verdicts, memory, training. Nothing is changed.

Places on the operator's disk are left out: they help nobody who looks from elsewhere.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nexus_chain.distillation.distiller.journal_reader import AnsweredRequest, JournalReader
from nexus_chain.distillation.lora.registry import VersionRegistry
from nexus_chain.distillation.lora.version import LearnedVersion
from nexus_chain.distillation.memory.read_only import statistics_in
from nexus_chain.json_text import parse_json
from nexus_chain.workflows.learning.errors import RunFolderError, UnknownRunError
from nexus_chain.workflows.learning.plan import RunFolder

OWN = "asked"
"""What is asked without a run: the journal and the memory in the folder itself."""
MOST_REQUESTS = 50
_PLAN = ("parent", "training", "held_out", "seed", "mode", "judged")


@dataclass(frozen=True)
class LearningView:
    """``folder``: NEXUS_HOME/distillation, or the folder of one run."""

    folder: Path

    def names(self) -> list[str]:
        """Everything that can be looked at, by name."""
        return sorted(self._places())

    def overview(self, name: str) -> dict[str, Any]:
        """All but the answers, as JSON values. Raises UnknownRunError, DistillationError."""
        place = self._place(name)
        has_journal, has_memory = place.journal.is_file(), place.memory.is_file()
        journal = JournalReader(place.journal)
        state = VersionRegistry(place.trainings).state()
        return {
            "name": name,
            "plan": _plan(place.plan),
            "requests": journal.count() if has_journal else 0,
            "sources": [
                {**asdict(one), "cost_usd": f"{one.cost_usd:f}"} for one in (journal.tallies() if has_journal else ())
            ],
            "memory": _memory(place.memory) if has_memory else None,
            "versions": [_version(one) for one in state.versions],
            "in_use": state.in_use,
            "scores": _scores(place.records / "distillation.json"),
        }

    def answers(self, name: str, after: int, outcome: str = "") -> list[dict[str, Any]]:
        """At most MOST_REQUESTS requests behind number ``after`` with every answer. Raises as ``overview``."""
        place = self._place(name)
        if not place.journal.is_file():
            return []
        return [_answered(one) for one in JournalReader(place.journal).requests(after, MOST_REQUESTS, outcome)]

    def _places(self) -> dict[str, RunFolder]:
        """INVARIANT: a name that a caller gives is looked up here, and never joined to a path."""
        if (self.folder / "plan.json").is_file():
            return {self.folder.name: RunFolder(self.folder)}
        runs = self.folder / "runs"
        found = {one.name: RunFolder(one) for one in (runs.iterdir() if runs.is_dir() else ()) if one.is_dir()}
        own = RunFolder(self.folder)
        return {**found, OWN: own} if own.journal.is_file() or own.memory.is_file() else found

    def _place(self, name: str) -> RunFolder:
        places = self._places()
        if name not in places:
            known = ", ".join(sorted(places)) or "none"
            raise UnknownRunError(f"there is no distillation {name[:80]!r} here", advice=f"Known are: {known}.")
        return places[name]


def _plan(path: Path) -> dict[str, Any] | None:
    found = _document(path)
    return None if found is None else {name: found.get(name) for name in _PLAN}


def _scores(path: Path) -> dict[str, Any] | None:
    """What parent and child made of the evaluation set; None before both were measured."""
    found = _document(path)
    if found is None:
        return None
    shown = ("hits", "accuracy", "accuracy_low", "accuracy_high", "loss", "perplexity")
    try:
        return {which: {name: found[which][name] for name in shown} for which in ("before", "after")}
    except (KeyError, TypeError) as error:
        raise _damaged(path, error) from error


def _document(path: Path) -> dict[str, Any] | None:
    """A JSON object; None where there is no file. Raises RunFolderError."""
    try:
        found = parse_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from error
    if not isinstance(found, dict):
        raise _damaged(path, TypeError("no JSON object"))
    return found


def _damaged(path: Path, error: Exception) -> RunFolderError:
    return RunFolderError(f"{path.name} cannot be read ({error})", advice="Restore the run's folder from a backup.")


def _memory(path: Path) -> dict[str, Any]:
    found = vars(statistics_in(path))
    return {name: value if isinstance(value, int | float | None) else dict(value) for name, value in found.items()}


def _version(one: LearnedVersion) -> dict[str, Any]:
    return {
        "version": one.version,
        "parent": one.parent,
        "trained_at": one.training_date,
        "examples": one.num_examples,
        "accuracy": one.validation_accuracy,
        "adapter_sha256": one.adapter_sha256,
        "cpu_class": one.cpu_class,
        "metrics": [asdict(epoch) for epoch in one.metrics],
    }


def _answered(one: AnsweredRequest) -> dict[str, Any]:
    head = {"number": one.number, "prompt": one.prompt, "category": one.category, "mode": one.mode}
    if one.result is None:
        return {**head, "decided": False, "answers": [], "failures": [], "best_source": None, "explanation": ""}
    answers = [
        {**asdict(score), "checked": words.checked, "reason": words.reason}
        if (words := one.words.get(score.source))
        else {**asdict(score), "checked": "", "reason": ""}
        for score in one.result.all_scores
    ]
    failures = [{"source": failure.source, "reason": failure.reason} for failure in one.result.failures]
    chosen = {"best_source": one.result.best_source, "explanation": one.result.explanation}
    return {**head, "decided": True, "answers": answers, "failures": failures, **chosen}
