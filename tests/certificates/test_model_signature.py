"""OpenSSF signatures: the official verifier takes ours, and refuses a folder that was tampered with."""

from __future__ import annotations

import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nexus_chain.certificates.errors import ModelSignatureError
from nexus_chain.certificates.model_signature import SIGNATURE_FILE, new_signing_key, sign_folder, verify_folder


@pytest.fixture
def signed(tmp_path: Path) -> Path:
    """A signed folder, with its signature inside and the keys beside it."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(bytes(range(256)) * 40)
    (folder / "config.json").write_text("{}")
    new_signing_key(tmp_path / "key.pem", tmp_path / "key.pub")
    sign_folder(folder, folder / SIGNATURE_FILE, tmp_path / "key.pem")
    return folder


def official(folder: Path, public: Path) -> subprocess.CompletedProcess[str]:
    """What the command line of the official package says."""
    arguments = ["verify", "key", str(folder), "--signature", str(folder / SIGNATURE_FILE), "--public_key", str(public)]
    command = [sys.executable, "-m", "model_signing", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_official_verifier_takes_it(signed: Path, tmp_path: Path) -> None:
    found = official(signed, tmp_path / "key.pub")
    assert found.returncode == 0, found.stdout + found.stderr
    (signed / "config.json").write_text("{ }")
    assert official(signed, tmp_path / "key.pub").returncode != 0


def change_a_byte(folder: Path) -> None:
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[1000] ^= 1
    (folder / "model.safetensors").write_bytes(data)


def change_the_signature(folder: Path) -> None:
    text = (folder / SIGNATURE_FILE).read_text()
    (folder / SIGNATURE_FILE).write_text(text.replace('"sig":"', '"sig":"AA', 1))


@pytest.mark.parametrize(
    "tamper",
    [
        change_a_byte,
        change_the_signature,
        lambda folder: (folder / "added.py").write_text(""),
        lambda folder: (folder / "config.json").unlink(),
        lambda folder: (folder / "config.json").rename(folder / "other.json"),
        lambda folder: (folder / SIGNATURE_FILE).write_text("no signature"),
        lambda folder: (folder / SIGNATURE_FILE).unlink(),
    ],
)
def test_tampering_is_refused(signed: Path, tmp_path: Path, tamper: Callable[[Path], object]) -> None:
    verify_folder(signed, signed / SIGNATURE_FILE, tmp_path / "key.pub")
    tamper(signed)
    with pytest.raises(ModelSignatureError, match="is not what"):
        verify_folder(signed, signed / SIGNATURE_FILE, tmp_path / "key.pub")


def test_another_key_is_refused(signed: Path, tmp_path: Path) -> None:
    new_signing_key(tmp_path / "other.pem", tmp_path / "other.pub")
    with pytest.raises(ModelSignatureError, match="is not what"):
        verify_folder(signed, signed / SIGNATURE_FILE, tmp_path / "other.pub")


def test_a_key_is_private_and_never_overwritten(signed: Path, tmp_path: Path) -> None:
    assert stat.S_IMODE((tmp_path / "key.pem").stat().st_mode) == 0o600
    before = (tmp_path / "key.pem").read_bytes()
    with pytest.raises(ModelSignatureError, match="exists"):
        new_signing_key(tmp_path / "key.pem", tmp_path / "key.pub")
    assert (tmp_path / "key.pem").read_bytes() == before


def test_a_key_that_is_none_leaves_nothing_behind(signed: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.pem").write_text("secret words")
    before = sorted(path.name for path in signed.iterdir())
    with pytest.raises(ModelSignatureError, match="cannot be signed") as caught:
        sign_folder(signed, signed / SIGNATURE_FILE, tmp_path / "bad.pem")
    assert "secret words" not in str(caught.value)
    assert sorted(path.name for path in signed.iterdir()) == before
