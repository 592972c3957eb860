"""``teachers.toml``, good and bad."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from nexus_chain.distillation.errors import DistillationError
from nexus_chain.distillation.secret import Secret
from nexus_chain.distillation.teachers.config import QuotaLimits, TeacherConfig
from nexus_chain.distillation.teachers.config_file import read_teachers_file
from nexus_chain.distillation.teachers.errors import TeacherConfigError
from nexus_chain.distillation.teachers.presets import TEACHER_PRESETS, LengthField, TeacherProtocol
from nexus_chain.distillation.teachers.teacher_apis import TeacherAPIs
from tests.support.teacher_server import TEACHER_KEY, teacher_server

WHOLE = """
budget_usd = 5.10
state_file = "state/teachers.sqlite"

[[teacher]]
name = "groq"
preset = "groq"
model = "openai/gpt-oss-120b"
api_key_env = "A_TEST_KEY"
free = true
rate_limit_rpm = 30
requests_per_day = 1000
tokens_per_month = 500_000

[[teacher]]
name = "claude"
preset = "anthropic"
model = "claude"
api_key_file = "claude.key"
input_cost_per_1k = 0.003
output_cost_per_1k = 0.015
temperature = 0
timeout_seconds = 30

[[teacher]]
name = "ours"
endpoint = "http://127.0.0.1:8000/v1"
model = "tiny"
free = true
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "teachers.toml"
    path.write_text(text)
    return path


def test_a_whole_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TEST_KEY", TEACHER_KEY)
    (tmp_path / "claude.key").write_text("sk-ant-0123456789\n")
    found = read_teachers_file(written(tmp_path, WHOLE))
    assert found.budget_usd == Decimal("5.10")
    assert found.state_file == tmp_path / "state" / "teachers.sqlite"
    groq, claude, ours = found.configs
    assert groq.endpoint == "https://api.groq.com/openai/v1"
    assert (groq.protocol, groq.length_field) == (TeacherProtocol.OPENAI, LengthField.MAX_COMPLETION_TOKENS)
    assert groq.api_key is not None
    assert groq.api_key.reveal() == TEACHER_KEY
    assert groq.quota == QuotaLimits(requests_per_day=1000, tokens_per_month=500_000)
    assert (claude.protocol, claude.temperature, claude.timeout_seconds) == (TeacherProtocol.ANTHROPIC, 0.0, 30.0)
    assert claude.api_key is not None
    assert claude.api_key.reveal() == "sk-ant-0123456789"
    assert (claude.prices.read, claude.prices.written) == (3_000_000, 15_000_000)
    assert ours.api_key is None
    with TeacherAPIs(found.configs, budget_usd=found.budget_usd, state_file=found.state_file) as teachers:
        assert teachers.names == ("groq", "claude", "ours")
        assert teachers.get_cheapest_teacher() == "groq"


def test_a_file_asks_a_server(tmp_path: Path) -> None:
    with teacher_server(lambda prompt: "yes") as server:
        (tmp_path / "key").write_text(TEACHER_KEY)
        text = f'[[teacher]]\nname="it"\nendpoint="{server.url}"\nprotocol="anthropic"\nmodel="m"\nfree=true\n'
        found = read_teachers_file(written(tmp_path, text + 'api_key_file="key"'))
        with TeacherAPIs(found.configs) as teachers:
            assert teachers.query_with_fallback("Hi").text == "yes"


def test_presets_are_encrypted_addresses() -> None:
    for name, preset in TEACHER_PRESETS.items():
        config = TeacherConfig(
            name,
            None,
            preset.endpoint,
            model="m",
            free=True,
            protocol=preset.protocol,
            length_field=preset.length_field,
        )
        assert config.endpoint.startswith("https://")


ONE = '[[teacher]]\nname = "a"\nmodel = "m"\n'
AT = 'endpoint = "https://example.org/v1"\nfree = true\n'
BAD = {
    "no TOML": "[[teacher",
    "a setting too many": "budget = 1",
    "teacher: a table": "[teacher]\nname = 'a'",
    "teacher: numbers": "teacher = [1]",
    "budget in words": 'budget_usd = "much"',
    "budget: true": "budget_usd = true",
    "state: a number": "state_file = 1",
    "a key": ONE + AT + f'api_key = "{TEACHER_KEY}"',
    "two keys": ONE + AT + 'api_key_file = "a"\napi_key_env = "B"',
    "no key file": ONE + AT + 'api_key_file = "none"',
    "no variable": ONE + AT + 'api_key_env = "NOT_SET_ANYWHERE_8172"',
    "a key as a variable": ONE + AT + f'api_key_env = "{TEACHER_KEY}"',
    "an unknown setting": ONE + AT + "speed = 1",
    "an unknown preset": ONE + 'preset = "skynet"\nfree = true',
    "an unknown protocol": ONE + AT + 'protocol = "gopher"',
    "no endpoint": ONE + "free = true",
    "no model": '[[teacher]]\nname = "a"\n' + AT,
    "no name": '[[teacher]]\nmodel = "a"\n' + AT,
    "no price": ONE + 'endpoint = "https://example.org/v1"\n',
    "free with a price": ONE + AT + "cost_per_1k_tokens = 0.1",
    "a price in words": ONE + 'endpoint = "https://example.org/v1"\ncost_per_1k_tokens = "cheap"',
    "a negative price": ONE + 'endpoint = "https://example.org/v1"\ncost_per_1k_tokens = -0.1',
    "free: 1": ONE + 'endpoint = "https://example.org/v1"\nfree = 1',
    "rate: true": ONE + AT + "rate_limit_rpm = true",
    "rate: half": ONE + AT + "rate_limit_rpm = 0.5",
    "rate: none": ONE + AT + "rate_limit_rpm = 0",
    "quota: none": ONE + AT + "tokens_per_day = 0",
    "no time": ONE + AT + "timeout_seconds = 0",
    "endless time": ONE + AT + "timeout_seconds = inf",
    "heat": ONE + AT + "temperature = 3",
    "no number": ONE + AT + "temperature = nan",
    "overhead": ONE + AT + "prompt_overhead = -1",
    "open line": ONE + 'endpoint = "http://example.org/v1"\nfree = true',
    "a password": ONE + 'endpoint = "https://me:open-sesame@example.org/v1"\nfree = true',
    "a query": ONE + 'endpoint = "https://example.org/v1?key=open-sesame"\nfree = true',
    "no port": ONE + 'endpoint = "https://example.org:99999/v1"\nfree = true',
    "no host": ONE + 'endpoint = "https:///v1"\nfree = true',
    "another scheme": ONE + 'endpoint = "file:///etc/passwd"\nfree = true',
    "a long label": ONE + f'endpoint = "https://{"a" * 64}.org/v1"\nfree = true',
}  # fmt: skip


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_bad_files(tmp_path: Path, text: str) -> None:
    with pytest.raises(DistillationError) as caught:
        read_teachers_file(written(tmp_path, text))
    assert caught.value.advice.endswith(".")
    for secret in (TEACHER_KEY, "open-sesame"):
        assert secret not in str(caught.value)


NO_FILES = {
    "no text": b"\xff\xfe",
    "deep": b"a = " + b"[" * 10_000,
    "large": b"#" * (1 << 20) + b"\n",
    "a huge number": b"a = 1e999999999999999999",
}


@pytest.mark.parametrize("content", NO_FILES.values(), ids=NO_FILES)
def test_files_that_are_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "teachers.toml").write_bytes(content)
    with pytest.raises(TeacherConfigError):
        read_teachers_file(tmp_path / "teachers.toml")
    with pytest.raises(TeacherConfigError, match="No such file"):
        read_teachers_file(tmp_path / "none.toml")


def test_a_key_given_as_text_is_hidden_at_once() -> None:
    words: dict[str, Any] = {"api_key": TEACHER_KEY}
    config = TeacherConfig("a", endpoint="https://example.org", model="m", free=True, **words)
    assert isinstance(config.api_key, Secret)
    assert TEACHER_KEY not in repr(config)


@pytest.mark.parametrize(
    ("limit", "is_kept"),
    [("budget_usd = 1\n", True), ("", False)],
)
def test_a_budget_holds_for_all_starts(tmp_path: Path, limit: str, is_kept: bool) -> None:
    found = read_teachers_file(
        written(
            tmp_path, f'{limit}[[teacher]]\nname = "it"\nendpoint = "http://127.0.0.1:1/v1"\nmodel = "m"\nfree = true\n'
        )
    )
    assert found.state_file == (tmp_path / "teachers.sqlite" if is_kept else None)


def test_a_quota_holds_for_all_starts(tmp_path: Path) -> None:
    text = '[[teacher]]\nname = "it"\nendpoint = "{}"\nmodel = "m"\nfree = true\nrequests_per_day = 1\n'
    text += 'api_key_file = "key"\n'
    (tmp_path / "key").write_text(TEACHER_KEY)
    with teacher_server(lambda _: "forty two") as server:
        file = written(tmp_path, text.format(f"{server.url}/v1"))
        outcomes = []
        for _ in range(2):
            found = read_teachers_file(file)
            with TeacherAPIs(found.configs, budget_usd=found.budget_usd, state_file=found.state_file) as teachers:
                outcomes.append(len(teachers.query_all("Hi").responses))
    assert outcomes == [1, 0]
