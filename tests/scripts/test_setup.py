"""``scripts/setup.sh`` on machines that lack something: one clear line, and nothing is installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NODE_OF = '#!/bin/sh\ncase "$1" in -p) echo {major};; *) echo v{major}.0.0;; esac\n'


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with the script and a ``bin`` that holds the shell's tools and nothing else."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "setup.sh", tmp_path / "scripts")
    (tmp_path / "bin").mkdir()
    for tool in ("bash", "sh", "env", "dirname", "cat"):
        found = shutil.which(tool)
        assert found is not None
        (tmp_path / "bin" / tool).symlink_to(found)
    return tmp_path


def provide(clone: Path, name: str, script: str | None = None) -> None:
    """Put a program into the clone's ``bin``: ``script``, or this Python."""
    target = clone / "bin" / name
    if script is None:
        target.symlink_to(sys.executable)
    else:
        target.write_text(script)
        target.chmod(0o755)


def setup(clone: Path) -> str:
    """What the script says; it has to fail, in one line, before it changes anything."""
    script = clone / "scripts" / "setup.sh"
    done = subprocess.run([script], env={"PATH": str(clone / "bin")}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stdout == ""
    assert not (clone / ".venv").exists()
    (line,) = done.stderr.splitlines()
    return line


def test_no_python(clone: Path) -> None:
    assert "Python 3.11 or 3.12 is needed and was not found; install it" in setup(clone)


def test_wrong_python(clone: Path) -> None:
    provide(clone, "python3", "#!/bin/sh\nexit 1\n")  # what the version check of any other Python gives
    assert "Python 3.11 or 3.12 is needed and was not found; install it" in setup(clone)


def test_no_node(clone: Path) -> None:
    provide(clone, "python3")
    assert "Node.js 20 or newer is needed and was not found; install it" in setup(clone)


def test_no_npm(clone: Path) -> None:
    provide(clone, "python3")
    provide(clone, "node", NODE_OF.format(major=20))
    assert "npm is needed and was not found; install it" in setup(clone)


def test_old_node(clone: Path) -> None:
    provide(clone, "python3")
    for name in ("node", "npm"):
        provide(clone, name, NODE_OF.format(major=18))
    assert "Node.js 20 or newer is needed and v18.0.0 was found; upgrade it" in setup(clone)


def test_an_unchanged_tree_returns_at_once(clone: Path) -> None:
    """Offline, and with programs that could install nothing."""
    provide(clone, "python3")
    for name in ("node", "npm"):
        provide(clone, name, NODE_OF.format(major=20))
    contents = b""
    for name in ("pyproject.toml", "constraints.txt", "package.json", "package-lock.json"):
        (clone / name).write_text(name)
        contents += name.encode()
    contents += (clone / "scripts" / "setup.sh").read_bytes()
    (clone / ".venv").mkdir()
    (clone / "node_modules" / "@foundry-rs").mkdir(parents=True)
    (clone / ".venv" / ".setup-stamp").write_text(sha256(contents).hexdigest() + "\n")
    script = clone / "scripts" / "setup.sh"
    done = subprocess.run([script], env={"PATH": str(clone / "bin")}, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
