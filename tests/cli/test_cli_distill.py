"""``nexus distill``: the answer on standard output, the reasons beside it, and a memory that grows."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_chain.distillation.distiller.agreement import EmbeddingAgreement
from nexus_chain.distillation.memory.embedder import MiniLmEmbedder
from tests.support.invocation import Nexus
from tests.support.small_encoder import saved_model
from tests.support.teacher_server import TEACHER_KEY, TeacherServer, teacher_server

PROMPT = "What is 6 * 7?"


@pytest.fixture
def teacher(tmp_path: Path) -> Iterator[TeacherServer]:
    """Two teachers of one server, one of which lies."""
    with teacher_server(lambda prompt: "The answer is 42.") as good, teacher_server(lambda prompt: "43") as liar:
        describe(tmp_path / "home", good=good, liar=liar)
        yield good


def describe(home: Path, **servers: TeacherServer) -> None:
    """The home's file of free teachers, by their names."""
    folder = home / "distillation"
    folder.mkdir(parents=True)
    (folder / "key").write_text(TEACHER_KEY)
    (folder / "key").chmod(0o600)
    entries = [
        f'[[teacher]]\nname = "{name}"\nendpoint = "{server.url}/v1"\nmodel = "local"\nfree = true\n'
        'api_key_file = "key"\n'
        for name, server in servers.items()
    ]
    (folder / "teachers.toml").write_text("\n".join(entries))


@pytest.fixture
def distill(nexus: Nexus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Nexus:
    monkeypatch.delenv("NEXUS_DISTILLATION_MEMORY", raising=False)
    return lambda *words: nexus("--home", tmp_path / "home", "distill", *words)


def test_the_proved_answer_is_the_result(distill: Nexus, teacher: TeacherServer) -> None:
    printed = distill("ask", PROMPT, "--expected", "6*7")
    assert (printed.code, printed.out) == (0, "The answer is 42.\n")
    for words in ("good", "liar", "proved", "refuted", "The answer of good is proved.", "kept in the memory"):
        assert words in printed.err
    assert TEACHER_KEY not in printed.err
    memory = distill("memory", "--json").json
    assert (memory["total_examples"], memory["categories"], memory["sources"]) == (1, {"math": 1}, {"good": 1})


def test_one_document_in_json(distill: Nexus, teacher: TeacherServer) -> None:
    first = distill("ask", PROMPT, "--expected", "6*7", "--json").json
    assert (first["best_source"], first["remembered"]) == ("good", True)
    assert [score["outcome"] for score in first["all_scores"]] == ["proved", "refuted"]
    again = distill("ask", PROMPT, "--expected", "6*7", "--json").json
    assert again == {**first, "remembered": False}
    assert len(teacher.asked) == 1


def test_nothing_is_taken_and_the_exit_code_says_so(distill: Nexus, teacher: TeacherServer) -> None:
    printed = distill("ask", PROMPT, "--expected", "6*8")
    assert (printed.code, printed.out) == (1, "")
    assert "No answer is taken: none of 2 is proved, and 2 are refuted or vacuous." in printed.err


def test_a_problem_comes_from_a_file(distill: Nexus, teacher: TeacherServer, tmp_path: Path) -> None:
    file = tmp_path / "problem.json"
    file.write_text(json.dumps({"kind": "mathematics", "expected": "42", "domain": "naturals"}))
    assert distill("ask", PROMPT, "--problem", file, "--no-remember").out == "The answer is 42.\n"
    assert distill("memory", "--json").json["total_examples"] == 0
    for content in ("[]", "{", '{"kind": "mathematics"}', "\xff"):
        file.write_text(content, encoding="latin-1")
        printed = distill("ask", PROMPT, "--problem", file)
        assert printed.code == 1
        assert "nexus:" in printed.err
    assert distill("ask", PROMPT, "--problem", file, "--expected", "42").code == 2


def test_without_a_problem_agreement_decides_and_nothing_is_remembered(distill: Nexus, teacher: TeacherServer) -> None:
    printed = distill("ask", PROMPT)
    assert printed.code == 0
    assert "not asked" in printed.err
    assert "It was not judged" in printed.err
    assert distill("memory").out.startswith("0 examples")


def test_answers_are_compared_by_meaning_where_an_encoder_is_named(distill: Nexus, tmp_path: Path) -> None:
    encoder = saved_model(tmp_path / "encoder", "tiny-encoder")
    texts = ["Rivers run to the sea.", "A river runs to the sea"]
    alike = EmbeddingAgreement(MiniLmEmbedder(encoder, threads=1)).likeness(texts)[0][1]
    assert 0 < alike < 1
    with teacher_server(lambda prompt: texts[0]) as one, teacher_server(lambda prompt: texts[1]) as other:
        describe(tmp_path / "home", one=one, other=other)
        for words, expected in (([], 0), (["--agreement", encoder], alike)):
            for mode in ("consistency", "hybrid"):
                found = distill("ask", PROMPT, "--mode", mode, *words, "--json").json
                assert [score["consistency_score"] for score in found["all_scores"]] == [expected, expected]


@pytest.mark.parametrize(
    "words",
    [
        ["--mode", "voting"],
        ["--no-teachers"],
        ["--mode", "formal"],
        ["--teachers", "absent"],
        ["--agreement", "no-such-encoder"],
    ],
)
def test_what_cannot_be_asked_is_said_with_advice(distill: Nexus, teacher: TeacherServer, words: list[str]) -> None:
    printed = distill("ask", PROMPT, *words)
    assert (printed.code, printed.out) == (1, "")
    assert printed.err.startswith("nexus: ")


def test_the_memory_is_exported(distill: Nexus, teacher: TeacherServer, tmp_path: Path) -> None:
    distill("ask", PROMPT, "--expected", "6*7")
    printed = distill("export", tmp_path / "chat.jsonl", "--min-confidence", "0.5", "--json").json
    assert printed["count"] == 1
    (line,) = (tmp_path / "chat.jsonl").read_text().splitlines()
    assert "The answer is 42." in line
    assert distill("export", tmp_path / "none.jsonl", "--min-confidence", "2").code == 2


def test_who_looks_at_the_memory_imports_no_clients_and_no_solvers(tmp_path: Path) -> None:
    code = """
import sys
from node.cli.app import run
code = run(sys.argv[1:])
found = [name for name in ("torch", "openai", "anthropic", "ollama", "z3", "cvc5", "web3") if name in sys.modules]
print(code, found, file=sys.stderr)
"""
    words = ["--home", str(tmp_path), "distill", "memory"]
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.stderr.splitlines()[-1] == "0 []", done.stderr
