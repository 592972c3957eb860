"""How a sentence embedding model makes one row of a text's rows, as the files of ``sentence-transformers`` say it.

The mean of the rows is what programs compute. A folder without such files is taken to pool by the mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nexus_chain.json_text import parse_json
from nexus_chain.program.families.fields import layout_error, shown
from nexus_chain.program.file_names import TOKENIZER_FILE

MODULES_FILE, PROMPTS_FILE = "modules.json", "config_sentence_transformers.json"
TEXT_FILE = "sentence_bert_config.json"  # its max_seq_length cuts texts there, and none here
LIBRARY = "sentence_transformers"  # whose modules are known
POOLING = "1_Pooling"  # where the pooling is, unless the list of modules says otherwise
MODE, FLAG, MEAN = "pooling_mode", "pooling_mode_", "pooling_mode_mean_tokens"
#: Modules that leave the direction of an embedding as it is.
HARMLESS_MODULES = ("Normalize", "Dropout")
#: Fields of a pooling beside its modes: its size, and whether a prompt's rows count, of which texts have none.
SIZES, OTHERS = ("word_embedding_dimension", "embedding_dimension"), ("include_prompt",)


def require_mean(folder: Path, width: int) -> None:
    """Refuse a folder whose files say that an embedding is anything but the mean of the last rows [T, width].

    Raises :class:`CheckpointLayoutError` with the file and the field or module that says so.
    """
    pooling = folder / _pooling_folder(folder) / "config.json"
    if pooling.is_file():
        _require_mean_mode(str(pooling.relative_to(folder)), _read(folder, pooling, dict), width)
    elif (folder / MODULES_FILE).is_file():
        raise layout_error(
            f"{MODULES_FILE} names a pooling, but {pooling.relative_to(folder)} is not in the folder",
            "Download the missing file of the checkpoint.",
        )
    if (folder / PROMPTS_FILE).is_file():
        settings = _read(folder, folder / PROMPTS_FILE, dict)
        _require_no_prompt(settings)
        if settings.get("truncate_dim") not in (None, width):
            raise layout_error(f"{PROMPTS_FILE} says truncate_dim = {shown(settings['truncate_dim'])}, not {width}")
    if (folder / TEXT_FILE).is_file():
        _require_text_as_given(folder, _read(folder, folder / TEXT_FILE, dict))


def require_no_pooling(folder: Path) -> None:
    """Refuse a decoder that its folder makes an embedding model of: programs of decoders have next tokens alone.

    Raises :class:`CheckpointLayoutError`.
    """
    if (folder / MODULES_FILE).is_file():
        raise layout_error(
            f"{MODULES_FILE} makes an embedding model of this decoder, which is not supported",
            f"Remove {MODULES_FILE} to import it as a language model, or import an encoder.",
        )


def _pooling_folder(folder: Path) -> str:
    """Where the one pooling is; refuses modules that programs do not have."""
    if not (folder / MODULES_FILE).is_file():
        return POOLING
    pooling: list[str] = []
    for module in _read(folder, folder / MODULES_FILE, list):
        entry = module if isinstance(module, dict) else {}
        (home, _, kind), path = str(entry.get("type")).rpartition("."), str(entry.get("path", ""))
        if entry and home.split(".")[0] != LIBRARY:
            raise layout_error(
                f"{MODULES_FILE} has a module {shown(entry.get('type'))} of foreign code, which is not run"
            )
        if kind == "Pooling":
            pooling.append(path)
        elif kind not in HARMLESS_MODULES and (kind, path) != ("Transformer", ""):
            named = f"{kind} in the folder {path!r}" if entry else shown(module)
            raise layout_error(f"{MODULES_FILE} has a module {named}, which is not supported")
    if len(pooling) != 1 or Path(pooling[0]).is_absolute() or ".." in Path(pooling[0]).parts:
        raise layout_error(f"{MODULES_FILE} has not one module Pooling in the folder but {pooling}")
    return pooling[0]


def _require_mean_mode(name: str, pooling: Mapping[str, Any], width: int) -> None:
    """Modes are flags, or the newer field with the word "mean"; a model that states none pools by the mean."""
    flags = {field: value for field, value in pooling.items() if field.startswith(FLAG)}
    chosen = [field for field, value in flags.items() if value not in (False, None)]
    word = pooling.get(MODE)
    if word is None:
        chosen += [MEAN] if MEAN not in flags else []
    elif word in ("mean", ["mean"]):
        chosen = [MEAN, *(field for field in chosen if field != MEAN)]
    else:
        raise layout_error(f"{name} says {MODE} = {shown(word)} and does not choose the mean, the only one supported")
    if chosen != [MEAN] or flags.get(MEAN, True) not in (True, None):
        raise layout_error(f"{name} chooses {chosen} and does not choose {MEAN} alone, which is the only one supported")
    for field, value in pooling.items():
        known = field in (MODE, *OTHERS) or field.startswith(FLAG) or (field in SIZES and value == width)
        if not known and value is not None:
            raise layout_error(f"{name} says {field} = {shown(value)}, which does not belong to this encoder")


def _require_no_prompt(settings: Mapping[str, Any]) -> None:
    """Refuse a text that is put before every other text: embeddings are of the text that was given."""
    name, prompts = settings.get("default_prompt_name"), settings.get("prompts")
    if name is not None and (not isinstance(prompts, dict) or prompts.get(name) != ""):
        raise layout_error(
            f"{PROMPTS_FILE} says default_prompt_name = {shown(name)}: a prompt would come before every text",
            "Set default_prompt_name to null and write the prompt before your texts yourself.",
        )


def _require_text_as_given(folder: Path, settings: Mapping[str, Any]) -> None:
    """Refuse a model that reads lower-case text only, unless its tokenizer makes the text lower-case itself."""
    lowers = settings.get("do_lower_case")
    tokenizer = folder / TOKENIZER_FILE
    if lowers and not (tokenizer.is_file() and _lowers(_read(folder, tokenizer, dict).get("normalizer"))):
        raise layout_error(
            f"{TEXT_FILE} says do_lower_case = {shown(lowers)}, but {TOKENIZER_FILE} leaves capitals as they are",
            "Set do_lower_case to false and give your texts in lower case, or import another checkpoint.",
        )


def _lowers(normalizer: Any) -> bool:
    """Whether a tokenizer's normalizer, or one of its parts, makes text lower-case."""
    if not isinstance(normalizer, dict):
        return False
    parts = normalizer.get("normalizers")
    return (
        normalizer.get("type") == "Lowercase"
        or (normalizer.get("type") == "BertNormalizer" and normalizer.get("lowercase") is True)
        or (isinstance(parts, list) and any(_lowers(part) for part in parts))
    )


def _read(folder: Path, path: Path, kind: type) -> Any:
    name = path.relative_to(folder)
    try:
        found = parse_json(path.read_bytes())
    except (ValueError, OSError) as cause:
        raise layout_error(f"{name} cannot be read ({cause})") from cause
    if not isinstance(found, kind):
        raise layout_error(f"{name} cannot be read: it holds no {kind.__name__}")
    return found
