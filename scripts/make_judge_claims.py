"""Labelled claims for the judge, one file for each kind.

    python scripts/make_judge_claims.py       # rewrites tests/vectors/judge/KIND.jsonl

Every module of ``scripts/judge_claims`` has a function ``claims() -> list[dict]``; its name is the kind. The script is
deterministic and asks no solver: labels come from whoever wrote a claim, or from how it was generated.

A claim has the fields ``id``, ``kind``, ``claim`` (the JSON document that the judge reads), ``label`` (true, false,
vacuous, undecidable or malformed), ``decidable`` (whether the judge has to decide it) and ``origin``.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "scripts" / "judge_claims"
TARGET = ROOT / "tests" / "vectors" / "judge"
LABELS = frozenset({"true", "false", "vacuous", "undecidable", "malformed"})
FIELDS = frozenset({"id", "kind", "claim", "label", "decidable", "origin"})


def main() -> None:
    """Write the files."""
    TARGET.mkdir(parents=True, exist_ok=True)
    for kind in kinds():
        lines = claims_of(kind)
        (TARGET / f"{kind}.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        print(f"{kind}: {len(lines)} claims")


def kinds() -> list[str]:
    """The modules of the folder."""
    return sorted(module.name for module in iter_modules([str(SOURCES)]))


def claims_of(kind: str) -> list[str]:
    """The lines of a kind's file. Raises ValueError for a claim that lacks a field or repeats an id."""
    made: list[dict[str, Any]] = import_module(f"scripts.judge_claims.{kind}").claims()
    for one in made:
        if set(one) != FIELDS or one["label"] not in LABELS or one["kind"] != kind:
            raise ValueError(f"not a labelled claim: {one}")
    if len({one["id"] for one in made}) != len(made):
        raise ValueError(f"two claims of {kind} have the same id")
    return [json.dumps(one, sort_keys=True) for one in made]


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
