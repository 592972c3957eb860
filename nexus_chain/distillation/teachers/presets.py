"""What is known of providers: addresses, and how they want to be told an answer's length. Prices are the user's.

Each speaks OpenAI's chat completions unless it says otherwise. Addresses are the providers' documented ones (2026-11).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class TeacherProtocol(StrEnum):
    """Which official client speaks to the teacher."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"


class LengthField(StrEnum):
    """The field of OpenAI's protocol that bounds an answer: newer models of OpenAI refuse the older one."""

    MAX_TOKENS = "max_tokens"
    MAX_COMPLETION_TOKENS = "max_completion_tokens"


@dataclass(frozen=True)
class TeacherPreset:
    """Where a provider is, and how it is spoken to."""

    endpoint: str
    protocol: TeacherProtocol = TeacherProtocol.OPENAI
    length_field: LengthField = LengthField.MAX_TOKENS


TEACHER_PRESETS = {
    "openai": TeacherPreset("https://api.openai.com/v1", length_field=LengthField.MAX_COMPLETION_TOKENS),
    "deepseek": TeacherPreset("https://api.deepseek.com"),
    "groq": TeacherPreset("https://api.groq.com/openai/v1", length_field=LengthField.MAX_COMPLETION_TOKENS),
    "gemini": TeacherPreset("https://generativelanguage.googleapis.com/v1beta/openai"),
    "openrouter": TeacherPreset("https://openrouter.ai/api/v1"),
    "huggingface": TeacherPreset("https://router.huggingface.co/v1"),
    "anthropic": TeacherPreset("https://api.anthropic.com", protocol=TeacherProtocol.ANTHROPIC),
}
