"""What translation promises for any text, any number and any cut into pieces."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import processors

from nexus_chain.program.file_names import PROGRAM_FILE
from nexus_chain.versions.model_files import ModelFiles
from node.gateway.anthropic.answers import message_events
from node.gateway.delivery import begun_pieces, whole_text
from node.gateway.errors import UnsupportedParameterError
from node.gateway.generation import GenerationRequest, OfferedModel
from node.gateway.ollama.answers import json_line
from node.gateway.ollama.embeddings import text_tokens, unit_length
from node.gateway.ollama.models import parameter_count
from node.gateway.ollama.options import MACHINE_OPTIONS, NEUTRAL_OPTIONS, refuse_options
from node.gateway.ollama.types import OllamaOptions
from node.gateway.parameters import refuse_parameters
from tests.support.scripted_service import ScriptedAnswer
from tests.support.small_tokenizers import byte_level, keep

pytestmark = pytest.mark.fast

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
#: What some reader of lines takes for the end of one.
BREAKS = st.sampled_from("\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029").map(lambda end: f"a{end}b")
PIECES = st.lists(TEXTS | BREAKS)


def scripted(offered: list[OfferedModel], pieces: list[str]) -> ScriptedAnswer:
    return ScriptedAnswer(offered[0], GenerationRequest(offered[0].name, (1, 2, 3)), pieces)


async def listed(pieces: AsyncIterator[str]) -> list[str]:
    return [piece async for piece in pieces]


@given(TEXTS | BREAKS)
def test_a_line_is_one_line_and_says_the_text(text: str) -> None:
    line = json_line({"response": text}).decode()
    assert line.splitlines() == [line.removesuffix("\n")]
    assert json.loads(line) == {"response": text}


@given(pieces=PIECES)
def test_any_cut_arrives_whole(offered: list[OfferedModel], pieces: list[str]) -> None:
    async def read() -> tuple[str, list[str]]:
        whole = await whole_text(scripted(offered, pieces))
        return whole, await listed(await begun_pieces(scripted(offered, pieces)))

    whole, cut = asyncio.run(read())
    assert whole == "".join(pieces)
    assert cut == [piece for piece in pieces if piece]


@given(pieces=PIECES)
def test_events_are_in_order_and_hold_the_text(offered: list[OfferedModel], pieces: list[str]) -> None:
    async def read() -> list[bytes]:
        answer = scripted(offered, pieces)
        return [event async for event in message_events(await begun_pieces(answer), answer, "m", 9)]

    events = asyncio.run(read())
    names, said = [], ""
    for event in events:
        name, data, *rest = event.decode().splitlines()
        assert rest == [""]
        names.append(name.removeprefix("event: "))
        said += json.loads(data.removeprefix("data: ")).get("delta", {}).get("text", "")
    told = sum(1 for piece in pieces if piece)
    assert names == [
        "message_start", "content_block_start", "ping", *["content_block_delta"] * told, "content_block_stop",
        "message_delta", "message_stop",
    ]  # fmt: skip
    assert said == "".join(pieces)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(st.text(), JSON)
def test_an_option_is_harmless_or_refused_by_name(name: str, value: object) -> None:
    """Never dropped in silence, and never another error."""
    options = OllamaOptions.model_construct(**{})
    options.__pydantic_extra__ = {name: value}
    refused: UnsupportedParameterError | None = None
    try:
        refuse_options(options, greedy=False)
    except UnsupportedParameterError as error:
        refused = error
    if refused is None:
        assert value is None or name in MACHINE_OPTIONS or value in NEUTRAL_OPTIONS[name]
    else:
        assert refused.param == ("options." + name).encode(errors="replace").decode()[:64]
        assert str(refused).encode()


def test_true_is_not_one() -> None:
    refuse_parameters({"top_p": 1.0, "think": False}, {"top_p": (1,), "think": (False,)})
    for given_, neutral in (({"top_p": True}, {"top_p": (1,)}), ({"think": 0}, {"think": (False,)})):
        with pytest.raises(UnsupportedParameterError):
            refuse_parameters(given_, neutral)


@given(st.lists(st.floats(-1e3, 1e3), min_size=1))
def test_vectors_have_length_one(vector: list[float]) -> None:
    found = unit_length(vector)
    if any(abs(x) > 1e-100 for x in vector):
        assert sum(x * x for x in found) == pytest.approx(1)
    else:
        assert len(found) == len(vector)


@given(text=st.text(min_size=1, max_size=400))
def test_a_cut_text_is_the_beginning_of_the_text(offered: list[OfferedModel], text: str) -> None:
    encoder = offered[2]
    text = text.encode(errors="replace").decode()
    found = text_tokens(encoder, text, truncate=True)
    assert found == encoder.files.codec.encode_plain(text, special=True)[: encoder.context - 1]


def test_a_cut_text_keeps_what_the_tokenizer_puts_around_it(offered: list[OfferedModel], tmp_path: Path) -> None:
    specials = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
    folder = tmp_path / "framed"
    tokenizer = byte_level(*specials)
    begin, end = (tokenizer.token_to_id(name) for name in specials[1:])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|im_start|> $A <|im_end|>", special_tokens=[("<|im_start|>", begin), ("<|im_end|>", end)]
    )
    keep(folder, tokenizer)
    (folder / PROGRAM_FILE).write_text(offered[2].files.program.to_json())
    framed = replace(offered[2], files=ModelFiles(folder))
    found = text_tokens(framed, "x" * 300, truncate=True)
    (letter,) = framed.files.codec.encode_plain("x")
    assert found == [begin, *[letter] * (framed.context - 3), end]
    assert text_tokens(framed, "x", truncate=True) == [begin, letter, end]


def test_counted_parameters(offered: list[OfferedModel]) -> None:
    """As the matrices have them: attention 32x32 twice and 32x16 twice, three of 32x64, and the table."""
    shape = offered[0].files.program.shape
    assert parameter_count(shape) == 2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 64 + shape.vocab * 32
