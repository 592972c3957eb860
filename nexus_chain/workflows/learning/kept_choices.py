"""What a run's folder keeps of the run itself: its plan, and the models that were asked.

A folder's journal and memory hold the answers of one plan. Another plan in it would learn from examples whose verdicts
its certificate does not list.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nexus_chain.distillation.distiller.agreement import ExactAgreement
from nexus_chain.json_text import parse_json
from nexus_chain.staging import write_whole
from nexus_chain.workflows.distilling import DescribedSource
from nexus_chain.workflows.learning.errors import OtherPlanError, RunFolderError
from nexus_chain.workflows.learning.plan import DistillationPlan, RunFolder

UNKNOWN_MODEL = "unknown"
"""Of a source whose model the folder does not name."""


def keep_plan(
    plan: DistillationPlan, folder: RunFolder, *, judged: bool = True, agreement: str = ExactAgreement.name
) -> None:
    """Write down what the folder's answers depend on. Raises OtherPlanError where it holds another plan's, OSError.

    ``agreement``: the name of how answers are compared: their confidence depends on it. What only a later stage depends
    on may change: settings of the training, the child's name, version and price.
    """
    wanted = _choices(plan, judged, agreement)
    if not folder.plan.exists():
        write_whole(folder.plan, json.dumps(wanted, indent=1) + "\n")
        return
    kept = _read(folder.plan)
    changed = sorted(name for name in {*kept, *wanted} if kept.get(name) != wanted.get(name))
    if changed:
        name = changed[0]
        raise OtherPlanError(
            f"{folder.root} holds a run with another plan: {name} was {_short(kept.get(name))}, "
            f"and is {_short(wanted.get(name))} now",
            advice="Use another folder, or start it with the plan that it had.",
        )


def keep_models(sources: Sequence[DescribedSource], folder: RunFolder) -> None:
    """Write down which model each source is, before anybody is asked. Raises RunFolderError, OSError."""
    known = _models(folder.models)
    for one in sources:
        models = known.setdefault(one.source.name, [])
        if one.model not in models:
            models.append(one.model)
    write_whole(folder.models, json.dumps(known, indent=1) + "\n")


def kept_models(folder: RunFolder) -> Mapping[str, str]:
    """Models by the source's name; several, where a source changed its model. Raises RunFolderError."""
    return {name: ", ".join(models) for name, models in _models(folder.models).items()}


def _choices(plan: DistillationPlan, judged: bool, agreement: str) -> dict[str, Any]:
    """As they come back from JSON; the usual agreement is not named."""
    return dict(
        json.loads(
            json.dumps(
                {
                    "parent": plan.parent.lower().removeprefix("0x"),
                    "checkpoint": str(plan.checkpoint.resolve()),
                    "training": plan.training,
                    "held_out": plan.held_out,
                    "seed": plan.seed,
                    "generators": [asdict(one) for one in plan.generators],
                    "mode": str(plan.mode),
                    "judged": judged,
                    **({} if agreement == ExactAgreement.name else {"agreement": agreement}),
                }
            )
        )
    )


def _models(path: Path) -> dict[str, list[str]]:
    if not path.exists():
        return {}
    found = _read(path)
    if not all(isinstance(one, list) and all(isinstance(name, str) for name in one) for one in found.values()):
        raise _damaged(path, "it names no models")
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        found = parse_json(path.read_bytes())
    except (OSError, ValueError, RecursionError) as cause:
        raise _damaged(path, str(cause)) from cause
    if not isinstance(found, dict):
        raise _damaged(path, "it is no JSON object")
    return found


def _damaged(path: Path, why: str) -> RunFolderError:
    return RunFolderError(f"{path} cannot be read ({why})", advice="Restore it from a backup, or use another folder.")


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
