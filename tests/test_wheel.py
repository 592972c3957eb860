"""The wheel, installed outside the repository, is the whole product: both programs, kernels, contracts, the model.

It is built offline from a copy of the sources, and installed without dependencies into a fresh environment that
sees those of this one. Downloading torch again would prove nothing about the wheel.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from nexus_chain.chain.interfaces import CONTRACTS
from nexus_chain.chain.local import DEVELOPMENT_KEYS, anvil, free_port

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
DEPENDENCIES = Path(sysconfig.get_path("purelib"))
BUILD = """
import sys
sys.path.append(sys.argv[1])
from setuptools import build_meta
build_meta.build_wheel(sys.argv[2])
"""
PAGE = ROOT / "node" / "web"
GENERATED = shutil.ignore_patterns("__pycache__", "node_modules")


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel in it, and a folder outside the repository to work in."""

    environment: Path
    folder: Path

    def run(self, program: str, *words: object) -> str:
        """Standard output of one of the environment's programs. It has to succeed."""
        home = {"HOME": str(self.folder), "XDG_CACHE_HOME": str(self.folder / "cache"), "HF_HUB_OFFLINE": "1"}
        done = subprocess.run(
            [str(self.environment / "bin" / program), *map(str, words)],
            cwd=self.folder, env={"PATH": os.environ["PATH"], **home}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def nexus(self, *words: object) -> Any:
        """The JSON document of a ``nexus`` command."""
        return json.loads(self.run("nexus", *words, "--json"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as an installer builds it, with setuptools alone in sight."""
    source, builder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("builder")
    for package in ("nexus_chain", "node"):
        shutil.copytree(ROOT / package, source / package, ignore=GENERATED)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    for part in (*DEPENDENCIES.glob("setuptools*"), DEPENDENCIES / "_distutils_hack"):
        (builder / part.name).symlink_to(part)
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-I", "-S", "-c", BUILD, str(builder), str(out)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    environment, folder = tmp_path_factory.mktemp("environment"), tmp_path_factory.mktemp("elsewhere")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    python = environment / "bin" / "python"
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(f"{DEPENDENCIES}\n")
    # The environment of the dependencies may hold this product, too: that one does not count.
    install = ["install", "--no-deps", "--no-index", "--ignore-installed", "--disable-pip-version-check", str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", "--python", str(python), *install], check=True, capture_output=True)
    return Installed(environment, folder)


def test_the_wheel_holds_what_the_programs_need_and_no_tests(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    source = {
        str(path.relative_to(ROOT))
        for package in ("nexus_chain", "node")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and PAGE not in path.parents
    } | {str(path.relative_to(ROOT)) for path in (PAGE / "dist").rglob("*") if path.is_file()}
    left_out = {name for name in source - names if not name.endswith((".proto", ".md", ".pyi"))}
    assert not left_out
    assert {"node/web/dist/index.html", "node/web/dist/licenses.md"} <= names
    assert not {name for name in names if name.startswith("node/web/") and not name.startswith("node/web/dist/")}
    assert {f"nexus_chain/chain/artefacts/{contract}.json" for contract in CONTRACTS} <= names
    assert {"nexus_chain/engine/native/program.c", "nexus_chain/models/python-stdlib/model.safetensors"} <= names
    assert {"nexus_chain/models/catalogue.toml", "nexus_chain/models/recipes/smollm2-135m-instruct.json"} <= names
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"nexus_chain", "node"}


def test_it_runs_from_its_own_files(installed: Installed) -> None:
    places = installed.run("python", "-c", "import nexus_chain, node; print(nexus_chain.__file__, node.__file__)")
    assert all(place.startswith(str(installed.environment)) for place in places.split())
    version = installed.run("nexus", "--version").split()[1]
    assert installed.run("nexus", "--version") == f"nexus {version}\n"
    assert installed.run("nexus-node", "--version") == f"nexus-node {version}\n"
    assert "register" in installed.run("nexus-node", "--help")


def test_the_shipped_model_is_imported_and_sharded(installed: Installed) -> None:
    (shipped,) = installed.environment.glob("lib/python*/site-packages/nexus_chain/models/python-stdlib")
    imported = installed.nexus("model", "import", shipped, "--unmeasured")
    assert Path(imported["folder"]) == installed.folder / ".nexus" / "models" / "python-stdlib"
    shards = installed.nexus("model", "shard", imported["folder"])["shards"]
    part = installed.nexus("model", "inspect", shards[0]["file"])
    assert (part["weights_root"], part["model_layers"]) == (imported["weights_root"], imported["layers"])


def test_it_knows_models_by_name(installed: Installed) -> None:
    listed = {row["name"]: row["folder"] for row in installed.nexus("model", "catalogue")["models"]}
    assert str(listed["python-stdlib"]).startswith(str(installed.environment))
    assert listed["smollm2-135m-instruct"] is None


def test_a_local_network_comes_up_outside_the_repository(installed: Installed) -> None:
    ports = ["--port", str(free_port()), "--chain-port", str(free_port())]
    try:
        found = installed.nexus("up", "--model", "python-stdlib", "--copies", 1, *ports, "--detach")
        assert installed.nexus("status")["serves"]
        key = Path(found["api_key_file"]).read_text().strip()
        models = requests.get(found["gateway"] + "/v1/models", headers={"Authorization": f"Bearer {key}"}, timeout=60)
        assert [model["id"] for model in models.json()["data"]] == ["python-stdlib"]
    finally:
        assert installed.nexus("down") in ({"stopped": True}, {"stopped": False})


def test_its_kernels_are_compiled(installed: Installed) -> None:
    code = "from nexus_chain.engine.native_library import load_library; print(load_library()._name)"
    assert installed.run("python", "-c", code).startswith(str(installed.folder / "cache"))


def test_its_contracts_are_deployed_and_read(installed: Installed) -> None:
    code = """
import sys
from pathlib import Path
from nexus_chain.chain.connection import connect
from nexus_chain.chain.deployer import ArtefactCreator, deploy
from nexus_chain.chain.wallet import Wallet
payer = Wallet.from_hex(sys.argv[2])
deploy(ArtefactCreator(connect(sys.argv[1]), payer), payer.address, preset="local")
"""
    with anvil() as chain:
        installed.run("python", "-c", code, chain.rpc_url, DEVELOPMENT_KEYS[0])
        assert (installed.folder / ".nexus" / "deployments" / f"{chain.chain_id}.json").is_file()
        assert installed.nexus("--rpc", chain.rpc_url, "models") == {"models": []}
        assert installed.nexus("--rpc", chain.rpc_url, "nodes") == {"nodes": []}
