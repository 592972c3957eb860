"""Both engines against ``nexus-gateway`` before real nodes, a real chain and a real model."""

from __future__ import annotations

import asyncio
from pathlib import Path

from nexus_chain.distillation.local.async_engine import AsyncLocalEngine
from nexus_chain.distillation.local.engine import LocalEngine
from nexus_chain.distillation.local.models import LocalInferenceRequest
from nexus_chain.distillation.secret import Secret
from tests.support.gateway_process import gateway_process
from tests.support.live_network import SHAPE, live_network

PROMPT, TOKENS = "def fib(n):", 24
ASKED = LocalInferenceRequest(PROMPT, "tiny", temperature=0.0, max_tokens=TOKENS)


def test_the_engines_say_what_the_program_says(tmp_path: Path) -> None:
    with live_network(tmp_path / "live") as live, gateway_process(live, live.folder / "gateway") as gateway:
        expected = live.files.codec.decode(live.expected(PROMPT, TOKENS))
        key = Secret(gateway.key)

        async def later() -> str:
            async with AsyncLocalEngine(gateway.url, api_key=key) as engine:
                return (await engine.generate(ASKED)).text

        with LocalEngine(gateway.url, api_key=key) as engine:
            assert engine.check_ollama_available()
            (model,) = engine.list_models()
            assert (model.name, model.context_length) == ("tiny:latest", SHAPE.context)
            found = engine.generate(ASKED)
            assert (found.text, found.tokens_generated) == (expected, TOKENS)
            assert "".join(engine.stream_generate(ASKED)) == expected
            assert engine.usage_statistics()["tiny"].tokens == 2 * TOKENS
        assert asyncio.run(later()) == expected
        assert gateway.stop() == 0
