"""A distillation is shown as it is, to known callers, without a change to it and without the operator's places."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from node.gateway.learning_panel import LearningPanel
from tests.support.learned_folder import PARENT, PROMPTS, write_learned_run
from tests.support.page_app import ALICE, BLIND, keyed, page_client

RUN = "sums-1.1.0"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("distillation")
    write_learned_run(root / "runs" / RUN)
    return root


def asked(folder: Path | None, path: str, key: str | None = ALICE) -> Any:
    """Status and JSON of one question."""

    async def work() -> tuple[int, Any]:
        panel = LearningPanel(folder) if folder is not None else None
        async with page_client(learning=panel) as client:
            answer = await client.get(path, headers=keyed(key) if key else {})
        if panel is not None:
            await panel.close()
        return answer.status_code, answer.json()

    return asyncio.run(work())


def digests(folder: Path) -> dict[str, str]:
    """Every file of a folder but SQLite's log and its index, which readers open, too; the log they leave empty."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(("-shm", "-wal"))]
    return {str(path): sha256(path.read_bytes()).hexdigest() for path in files}


def test_everything_of_a_run_is_shown_and_nothing_changed(folder: Path) -> None:
    before = digests(folder)
    assert asked(folder, "/page/learning") == (200, [RUN])
    status, shown = asked(folder, f"/page/learning/{RUN}")
    assert status == 200
    assert shown["plan"] == {
        "parent": PARENT, "training": 1_500, "held_out": 300, "seed": 1, "mode": "formal", "judged": True,
    }  # fmt: skip
    assert shown["requests"] == PROMPTS
    tallies = {one["source"]: one for one in shown["sources"]}
    assert tallies["oracle"]["outcomes"] == {"proved": PROMPTS, "refuted": 0, "unknown": 0}
    assert tallies["liar"]["outcomes"]["refuted"] == PROMPTS
    assert (tallies["oracle"]["cost_usd"], tallies["asleep"]["failed"]) == ("0.06", PROMPTS)
    assert shown["memory"]["total_examples"] == PROMPTS
    assert [one["epoch"] for one in shown["versions"][1]["metrics"]] == [1, 2, 3]
    assert shown["in_use"] == 1
    assert shown["scores"]["after"]["accuracy"] == "0.77"
    assert "/operator" not in str(shown)
    assert "secret-checkpoint" not in str(shown)
    assert digests(folder) == before
    assert not any(log.stat().st_size for log in folder.rglob("*-wal"))


def test_answers_stand_side_by_side_with_the_judges_words(folder: Path) -> None:
    _, answers = asked(folder, f"/page/learning/{RUN}/answers")
    assert [one["number"] for one in answers] == list(range(1, PROMPTS + 1))
    first = answers[0]
    said = {answer["source"]: answer for answer in first["answers"]}
    assert (said["oracle"]["outcome"], said["liar"]["outcome"]) == ("proved", "refuted")
    assert said["liar"]["reason"] == "It does not add up."
    assert first["best_source"] in ("oracle", "second")
    assert [failure["source"] for failure in first["failures"]] == ["asleep"]
    _, rest = asked(folder, f"/page/learning/{RUN}/answers?after={PROMPTS - 1}")
    assert [one["number"] for one in rest] == [PROMPTS]
    assert asked(folder, f"/page/learning/{RUN}/answers?outcome=unknown") == (200, [])
    assert len(asked(folder, f"/page/learning/{RUN}/answers?outcome=refuted")[1]) == PROMPTS


def test_the_folder_of_one_run_is_that_run(folder: Path) -> None:
    assert asked(folder / "runs" / RUN, "/page/learning") == (200, [RUN])
    assert asked(folder / "runs" / RUN, f"/page/learning/{RUN}")[0] == 200


@pytest.mark.parametrize("name", ["gone", "%2e%2e%2fruns", "..%2f..%2fetc", "asked"])
def test_a_name_leads_nowhere_else(folder: Path, name: str) -> None:
    assert asked(folder, f"/page/learning/{name}")[0] == 404


def test_only_known_callers_see_it(folder: Path) -> None:
    assert asked(folder, "/page/learning", None)[0] == 401
    assert asked(folder, "/page/learning", BLIND)[0] == 403
    status, refused = asked(None, "/page/learning")
    assert (status, "--distillation" in refused["error"]["message"]) == (404, True)


def test_a_damaged_folder_is_said_and_no_place_with_it(tmp_path: Path) -> None:
    run = write_learned_run(tmp_path / "runs" / "broken", prompts=1)
    run.journal.write_bytes(b"no database " * 100)
    status, refused = asked(tmp_path, "/page/learning/broken")
    assert status == 503
    assert str(tmp_path) not in str(refused)


def test_an_empty_folder_has_nothing(tmp_path: Path) -> None:
    assert asked(tmp_path, "/page/learning") == (200, [])
