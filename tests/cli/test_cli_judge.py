"""``nexus judge``: sources, claims and artefacts, and an exit code for each outcome."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.invocation import Nexus

TRUE = "intent f(x) { guard { x > 1; } solve { y = 10 / x; } verify { x > 0; y >= 0; } }"
FALSE = "intent f(x) { verify { x > 0; } }"
VACUOUS = "intent f(x) { guard { x > 1; x < 1; } verify { x > 0; } }"


@pytest.mark.parametrize(
    ("source", "code", "word"), [(TRUE, 0, "proved"), (FALSE, 3, "refuted"), (VACUOUS, 4, "unknown")]
)
def test_each_outcome_has_its_exit_code(nexus: Nexus, tmp_path: Path, source: str, code: int, word: str) -> None:
    file = tmp_path / "claim.aethel"
    file.write_text(source)
    printed = nexus("judge", file)
    assert (printed.code, printed.out.split(":")[0]) == (code, word)
    document = nexus("judge", file, "--json").json
    assert (document["outcome"], document["vacuous"]) == (word, source == VACUOUS)
    assert bool(document["artefacts"]) == (code == 0)


def test_a_counterexample_is_shown(nexus: Nexus, tmp_path: Path) -> None:
    file = tmp_path / "claim.ae"
    file.write_text("intent f(x) { guard { x < -3; x > -5; } verify { x > 0; } }")
    assert "  x = -4\n" in nexus("judge", file).out
    assert nexus("judge", file, "--json").json["counterexample"] == {"x": "-4"}


def test_the_artefacts_of_a_proof_are_written_and_run_again_alone(nexus: Nexus, tmp_path: Path) -> None:
    file, folder = tmp_path / "claim.json", tmp_path / "proof"
    file.write_text(json.dumps({"kind": "aethel", "source": TRUE}))
    proofs = nexus("judge", file, "--artefacts", folder, "--json").json["artefacts"]
    assert [path.name for path in sorted(folder.iterdir())] == ["01-f.divisor.1.smt2", "02-f.verify.smt2"]
    for proof in proofs:
        again = nexus("judge", proof["file"], "--json")
        assert again.code == 0
        assert again.json == {
            "sha256": proof["sha256"], "z3": "unsat", "cvc5": "unsat", "outcome": "proved", "model": {}, "reason": "",
        }  # fmt: skip
    printed = nexus("judge", proofs[0]["file"])
    assert printed.out == f"SHA-256  {proofs[0]['sha256']}\nZ3       unsat\ncvc5     unsat\nproved\n"


def test_nothing_is_written_without_a_proof(nexus: Nexus, tmp_path: Path) -> None:
    file = tmp_path / "claim.aethel"
    file.write_text(FALSE)
    assert nexus("judge", file, "--artefacts", tmp_path / "proof").code == 3
    assert not (tmp_path / "proof").exists()


def test_an_artefact_that_is_satisfiable_is_not_proved(nexus: Nexus, tmp_path: Path) -> None:
    file = tmp_path / "one.smt2"
    file.write_text("(set-logic ALL)(declare-const x Int)(assert (= x 7))(check-sat)")
    assert nexus("judge", file).code == 3
    assert nexus("judge", file, "--json").json["model"] == {"x": "7"}


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("one.smt2", b'(echo "unsat")', 1),
        ("one.smt2", b"\xff\xfe", 1),
        ("one.json", b"{", 1),
        ("one.json", b'{"kind": "python"}', 1),
        ("one.txt", b"intent", 2),
        ("big.aethel", b" " * (5 << 20), 1),
    ],
)
def test_bad_input_is_an_error_and_no_verdict(
    nexus: Nexus, tmp_path: Path, name: str, content: bytes, code: int
) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    printed = nexus("judge", file)
    assert (printed.code, printed.out) == (code, "")
    assert "Traceback" not in printed.err


def test_a_file_that_is_not_there_is_an_error(nexus: Nexus, tmp_path: Path) -> None:
    assert nexus("judge", tmp_path / "none.aethel").code == 1


def test_judging_imports_no_network_and_no_tensors(tmp_path: Path) -> None:
    file = tmp_path / "claim.aethel"
    file.write_text(TRUE)
    names = ("torch", "transformers", "web3", "aiohttp", "sqlalchemy", "numpy", "z3", "cvc5", "sympy")
    code = (
        f"import sys\nfrom node.cli.app import run\nassert run(['judge', {str(file)!r}]) == 0\n"
        f"print([name for name in {names!r} if name in sys.modules], 'lark' in sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.stderr.strip() == "[] True"


def test_other_commands_import_no_judge() -> None:
    code = "import sys, node.cli.app\nprint([name for name in sys.modules if 'distillation' in name or name == 'lark'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout.strip() == "[]", done.stderr
