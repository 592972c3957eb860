"""What the files of sentence-transformers say of an encoder's embedding: the mean is imported, the rest is refused."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from nexus_chain.program.errors import CheckpointLayoutError
from nexus_chain.program.families.pooling import require_mean

WIDTH = 48
MEAN, CLS, MAX = (f"pooling_mode_{name}" for name in ("mean_tokens", "cls_token", "max_tokens"))
OLD, NEW = "sentence_transformers.models.", "sentence_transformers.sentence_transformer.modules."


def write(folder: Path, name: str, content: Any) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))


def modules(*kinds: str) -> list[dict[str, Any]]:
    paths = {"Transformer": ""}
    return [
        {"idx": number, "name": str(number), "path": paths.get(kind.split(".")[-1], f"{number}_{kind.split('.')[-1]}"),
         "type": kind}
        for number, kind in enumerate(kinds)
    ]  # fmt: skip


@pytest.mark.parametrize(
    "pooling",
    [
        {},
        {"word_embedding_dimension": WIDTH},
        {"word_embedding_dimension": WIDTH, CLS: False, MEAN: True, MAX: False},
        {MEAN: True, "pooling_mode_lasttoken": False, "include_prompt": True},
        {"embedding_dimension": WIDTH, "pooling_mode": "mean", "include_prompt": True},
        {"pooling_mode": ["mean"]},
        {"pooling_mode": "mean", MEAN: True, CLS: False},
        {"pooling_mode": None, MEAN: True},
    ],
)
def test_the_mean_in_old_and_new_words_is_imported(tmp_path: Path, pooling: dict[str, Any]) -> None:
    write(tmp_path, "1_Pooling/config.json", pooling)
    require_mean(tmp_path, WIDTH)


@pytest.mark.parametrize(
    ("pooling", "message"),
    [
        ({CLS: True, MEAN: False}, "pooling_mode_cls_token.*does not choose"),
        ({CLS: True}, "pooling_mode_cls_token.*does not choose"),
        ({MEAN: True, MAX: True}, "pooling_mode_max_tokens.*does not choose"),
        ({MEAN: False}, "does not choose"),
        ({"pooling_mode_weightedmean_tokens": True, MEAN: False}, "weightedmean.*does not choose"),
        ({"pooling_mode": "cls"}, "pooling_mode = 'cls'"),
        ({"pooling_mode": "lasttoken"}, "pooling_mode = 'lasttoken'"),
        ({"pooling_mode": ["mean", "max"]}, "pooling_mode = .'mean', 'max'."),
        ({"pooling_mode": "mean", CLS: True}, "pooling_mode_cls_token.*does not choose"),
        ({"pooling_mode": "mean", MEAN: False}, "does not choose"),
        ({"word_embedding_dimension": 384}, "word_embedding_dimension = 384"),
        ({"embedding_dimension": 384, "pooling_mode": "mean"}, "embedding_dimension = 384"),
        ({"whitening": True}, "whitening = True"),
        ([], "cannot be read"),
        ("{", "cannot be read"),
    ],
)
def test_another_pooling_is_refused_by_its_field(tmp_path: Path, pooling: Any, message: str) -> None:
    write(tmp_path, "1_Pooling/config.json", pooling)
    with pytest.raises(CheckpointLayoutError, match=message) as caught:
        require_mean(tmp_path, WIDTH)
    assert "1_Pooling/config.json" in str(caught.value)
    assert caught.value.advice


def test_a_folder_that_says_nothing_pools_by_the_mean(tmp_path: Path) -> None:
    require_mean(tmp_path, WIDTH)


@pytest.mark.parametrize(
    "kinds",
    [
        (OLD + "Transformer", OLD + "Pooling"),
        (OLD + "Transformer", OLD + "Pooling", OLD + "Normalize"),
        (OLD + "Transformer", OLD + "Dropout", OLD + "Pooling", OLD + "Normalize"),
        (
            "sentence_transformers.base.modules.transformer.Transformer", NEW + "pooling.Pooling",
            NEW + "normalize.Normalize",
        ),
    ],
)  # fmt: skip
def test_modules_that_keep_the_direction_are_imported(tmp_path: Path, kinds: tuple[str, ...]) -> None:
    listed = modules(*kinds)
    write(tmp_path, "modules.json", listed)
    place = next(module["path"] for module in listed if module["type"].endswith("Pooling"))
    write(tmp_path, f"{place}/config.json", {MEAN: True})
    require_mean(tmp_path, WIDTH)


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        (modules(OLD + "Transformer", OLD + "Pooling", OLD + "Dense"), "a module Dense in the folder '2_Dense'"),
        (modules(OLD + "Transformer", OLD + "Pooling", OLD + "LayerNorm"), "a module LayerNorm"),
        (modules(OLD + "Transformer", OLD + "Pooling", OLD + "Pooling"), "not one module Pooling"),
        (modules(OLD + "Transformer"), "not one module Pooling"),
        ([{"idx": 0, "path": "0_Transformer", "type": OLD + "Transformer"}], "0_Transformer"),
        ([{"idx": 0, "path": "../elsewhere", "type": OLD + "Pooling"}], "not one module Pooling"),
        (["Pooling"], "module 'Pooling'"),
        ({}, "cannot be read"),
        ("[", "cannot be read"),
    ],
)
def test_modules_that_programs_do_not_have_are_refused(tmp_path: Path, listed: Any, message: str) -> None:
    write(tmp_path, "modules.json", listed)
    write(tmp_path, "1_Pooling/config.json", {MEAN: True})
    with pytest.raises(CheckpointLayoutError, match=message) as caught:
        require_mean(tmp_path, WIDTH)
    assert "modules.json" in str(caught.value)


def test_the_pooling_is_where_the_list_of_modules_says(tmp_path: Path) -> None:
    listed = modules(OLD + "Transformer", OLD + "Dropout", OLD + "Pooling")
    write(tmp_path, "modules.json", listed)
    write(tmp_path, "1_Pooling/config.json", {MEAN: True})
    with pytest.raises(CheckpointLayoutError, match=r"2_Pooling/config\.json is not in the folder"):
        require_mean(tmp_path, WIDTH)
    write(tmp_path, "2_Pooling/config.json", {CLS: True, MEAN: False})
    with pytest.raises(CheckpointLayoutError, match=r"2_Pooling/config\.json chooses"):
        require_mean(tmp_path, WIDTH)


@pytest.mark.parametrize(
    ("given", "refused"),
    [
        ({"prompts": {"query": "query: "}, "default_prompt_name": None}, False),
        ({"prompts": {"query": "", "document": ""}, "default_prompt_name": "document"}, False),
        ({"prompts": {"query": "query: "}, "default_prompt_name": "query"}, True),
        ({"default_prompt_name": "query"}, True),
        ({"__version__": {"transformers": "4.40.0"}, "similarity_fn_name": "cosine"}, False),
    ],
)
def test_a_prompt_before_every_text_is_refused(tmp_path: Path, given: dict[str, Any], refused: bool) -> None:
    write(tmp_path, "config_sentence_transformers.json", given)
    if not refused:
        require_mean(tmp_path, WIDTH)
        return
    with pytest.raises(CheckpointLayoutError, match="default_prompt_name = 'query'") as caught:
        require_mean(tmp_path, WIDTH)
    assert "null" in caught.value.advice


SEQUENCE = {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Lowercase"}]}


@pytest.mark.parametrize(
    ("lowers", "normalizer", "refused"),
    [
        (False, None, False),
        (True, {"type": "BertNormalizer", "lowercase": True}, False),
        (True, SEQUENCE, False),
        (True, {"type": "BertNormalizer", "lowercase": False}, True),
        (True, {"type": "NFC"}, True),
        (True, None, True),
    ],
)
def test_text_in_lower_case_only_is_refused_unless_the_tokenizer_makes_it_so(
    tmp_path: Path, lowers: bool, normalizer: Any, refused: bool
) -> None:
    write(tmp_path, "sentence_bert_config.json", {"max_seq_length": 256, "do_lower_case": lowers})
    write(tmp_path, "tokenizer.json", {"normalizer": normalizer})
    if not refused:
        require_mean(tmp_path, WIDTH)
        return
    with pytest.raises(CheckpointLayoutError, match=r"sentence_bert_config\.json says do_lower_case = True"):
        require_mean(tmp_path, WIDTH)


def test_modules_of_foreign_code_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "modules.json", modules("custom_code.Transformer", f"{OLD}Pooling"))
    with pytest.raises(CheckpointLayoutError, match=r"custom_code\.Transformer.*foreign code"):
        require_mean(tmp_path, WIDTH)


@pytest.mark.parametrize(("dimension", "fits"), [(None, True), (WIDTH, True), (WIDTH // 2, False)])
def test_embeddings_that_are_cut_are_refused(tmp_path: Path, dimension: int | None, fits: bool) -> None:
    write(tmp_path, "config_sentence_transformers.json", {"truncate_dim": dimension})
    with nullcontext() if fits else pytest.raises(CheckpointLayoutError, match="truncate_dim = 24"):
        require_mean(tmp_path, WIDTH)
