"""The files beside a tokenizer that say how its text begins and ends, and what they declare.

Checkpoints spread that over several files: which tokens were added, which of them are special, which one begins a
text, which ones end an answer, how a conversation is written. All of these files are kept at import, and listed in
a version's manifest, whose CID the registry keeps. A file that is not there declares nothing.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tokenizers import AddedToken

from nexus_chain.json_text import parse_json
from nexus_chain.program.file_names import CONFIG_FILE, TOKENIZER_FILE
from nexus_chain.versions.errors import ModelFilesError

TOKENIZER_CONFIG_FILE = "tokenizer_config.json"
GENERATION_FILE = "generation_config.json"
SPECIAL_TOKENS_FILE = "special_tokens_map.json"
ADDED_TOKENS_FILE = "added_tokens.json"
CHAT_FILE, OLDER_CHAT_FILE = "chat_template.jinja", "chat_template.json"

#: Kept with an imported model beside its tokenizer.json, where the checkpoint has them.
TEXT_FILES = (
    TOKENIZER_CONFIG_FILE, GENERATION_FILE, SPECIAL_TOKENS_FILE, ADDED_TOKENS_FILE, CHAT_FILE, OLDER_CHAT_FILE,
)  # fmt: skip
#: Files that other libraries make a tokenizer of; this one reads tokenizer.json alone.
OTHER_TOKENIZERS = ("tokenizer.model", "vocab.json", "vocab.txt", "tekken.json", "tiktoken.model", "spiece.model")
#: The class of a tokenizer by the type of its model, where the type decides: nothing for tokenizer.json as it is.
CLASSES_OF_MODELS = {"bert": "BertTokenizer", "qwen3": "Qwen2Tokenizer", "qwen2": "Qwen2Tokenizer"} | dict.fromkeys(
    ("mistral", "ministral", "mixtral"), ""
)
#: Of these the class that the tokenizer's own configuration names does not count.
STRICT_MODELS = ("mistral", "ministral", "mixtral", "qwen2")
#: What special tokens are called where a configuration is silent, by class.
_END_OF_TEXT = "<|endoftext|>"
_BERT_NAMES = {"unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]",
               "mask_token": "[MASK]"}  # fmt: skip
CLASS_NAMES: Mapping[str, Mapping[str, str]] = {
    "LlamaTokenizer": {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"},
    "GPT2Tokenizer": dict.fromkeys(("bos_token", "eos_token", "unk_token"), _END_OF_TEXT),
    "Qwen2Tokenizer": dict.fromkeys(("eos_token", "unk_token", "pad_token"), _END_OF_TEXT),
    "BertTokenizer": _BERT_NAMES,
    "DistilBertTokenizer": _BERT_NAMES,
}
#: Fields that name one special token each.
NAMED = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


@dataclass(frozen=True)
class DeclaredTexts:
    """What the files of a folder declare. Reading raises ModelFilesError for a file that is no JSON object."""

    folder: Path

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """tokenizer_config.json, and where it lists no added tokens, special_tokens_map.json over it."""
        found = self._object(TOKENIZER_CONFIG_FILE)
        if "added_tokens_decoder" in found:
            return found
        return {**found, **self._object(SPECIAL_TOKENS_FILE)}

    def name_of(self, field: str) -> str | None:
        """The text of the token that a field such as ``bos_token`` names."""
        return _text_of(self.config.get(field))

    @cached_property
    def tokenizer_class(self) -> str:
        """The class that ``transformers`` builds, without "Fast"; nothing where it takes tokenizer.json as it is."""
        kind = self._object(CONFIG_FILE).get("model_type")
        made = CLASSES_OF_MODELS.get(kind) if isinstance(kind, str) else None
        return made if made is not None and (kind in STRICT_MODELS or not self._named_class) else self._named_class

    @property
    def _named_class(self) -> str:
        """The class that the tokenizer's configuration names, or else the model's, without "Fast"."""
        named = self.config.get("tokenizer_class") or self._object(CONFIG_FILE).get("tokenizer_class")
        return named.removesuffix("Fast") if isinstance(named, str) else ""

    def special_name(self, field: str) -> str | None:
        """As ``name_of``, or what the tokenizer's class calls it where the configuration has no such field."""
        return self.name_of(field) if field in self.config else self._class_names.get(field)

    @property
    def special_names(self) -> dict[str, str]:
        """Special tokens by the names under which templates know them: ``bos_token``, ..."""
        fields = [field for field in (*self.config, *self._class_names) if field.endswith("_token")]
        named = {field: name for field in fields if (name := self.special_name(field))}
        extra = self.config.get("extra_special_tokens")
        others = extra.items() if isinstance(extra, Mapping) else ()
        return {field: text for field, value in others if (text := _text_of(value))} | named

    @property
    def _class_names(self) -> Mapping[str, str]:
        return CLASS_NAMES.get(self.tokenizer_class, {})

    @cached_property
    def specials(self) -> dict[str, AddedToken]:
        """Tokens that are named as special, by their texts: one for each purpose, then the extra ones."""
        extra = self.config.get("extra_special_tokens", self.config.get("additional_special_tokens")) or []
        listed = extra.values() if isinstance(extra, Mapping) else extra if isinstance(extra, list) else []
        named = [self.config.get(field) for field in NAMED]
        more = self.config.get("model_specific_special_tokens")
        fields = {**(more if isinstance(more, Mapping) else {}), **self.config}
        others = [value for field, value in fields.items() if field.endswith("_token") and field not in NAMED]
        found: dict[str, AddedToken] = {}
        for value in (*named, *others, *listed):
            declared = value if isinstance(value, Mapping) else {"content": value}
            text = declared.get("content")
            if isinstance(text, str) and text:
                found.setdefault(text, _token({"normalized": False, **declared, "special": True}))
        return found

    @cached_property
    def added(self) -> dict[int, AddedToken]:
        """Added tokens by their declared ids, in the order of these."""
        listed = self.config.get("added_tokens_decoder")
        try:
            if listed is not None:
                tokens = {int(index): _token(value) for index, value in listed.items()}
            else:
                tokens = {
                    int(index): self._plain_token(text) for text, index in self._object(ADDED_TOKENS_FILE).items()
                }
        except (AttributeError, TypeError, ValueError, KeyError) as error:
            raise ModelFilesError(
                f"the added tokens in {self.folder} cannot be read ({error!r})",
                advice=f"Download {TOKENIZER_CONFIG_FILE} and {ADDED_TOKENS_FILE} of the model again.",
            ) from error
        return dict(sorted(tokens.items()))

    def end_ids(self, added: Container[int]) -> frozenset[int]:
        """Ids that generation_config.json and config.json declare as the end of a text.

        Where the first declares some, the second is often its class's default: of its ids then only those of the
        ``added`` tokens count, so that no letter ends an answer.
        """
        first, second = (frozenset(_ids(self._object(name))) for name in (GENERATION_FILE, CONFIG_FILE))
        return first | {token for token in second if not first or token in added}

    @property
    def wants_begin(self) -> bool:
        """Whether the configuration of a Llama tokenizer asks for the token that begins a text."""
        asks = self.config.get("add_bos_token") is True
        return asks and self._named_class in ("LlamaTokenizer", "CodeLlamaTokenizer")

    @cached_property
    def chat_template(self) -> str | None:
        """How a conversation is written, as Jinja; a file of its own comes before the configuration's field."""
        if (path := self.folder / CHAT_FILE).is_file():
            return _text(path)
        found = self.config.get("chat_template") or self._object(OLDER_CHAT_FILE).get("chat_template")
        if isinstance(found, list):  # several, each with a name
            found = {one.get("name"): one.get("template") for one in found if isinstance(one, Mapping)}
        if isinstance(found, Mapping):
            found = found.get("default")
        return found if isinstance(found, str) else None

    def _plain_token(self, text: str) -> AddedToken:
        special = text in self.specials
        return AddedToken(text, special=special, normalized=not special)

    def _object(self, name: str) -> Mapping[str, Any]:
        path = self.folder / name
        if not path.is_file():
            return {}
        try:
            found = parse_json(path.read_bytes())
        except ValueError as error:
            raise ModelFilesError(f"{path} is not JSON ({error})", advice="Download it again.") from error
        if not isinstance(found, dict):
            raise ModelFilesError(f"{path} does not hold a JSON object", advice="Download it again.")
        return found


def require_tokenizer(folder: Path) -> Path:
    """The folder's tokenizer.json. Raises ModelFilesError, with the way to make one of what is there."""
    path = folder / TOKENIZER_FILE
    if path.is_file():
        return path
    if found := [name for name in OTHER_TOKENIZERS if (folder / name).is_file()]:
        raise ModelFilesError(
            f"{folder} has {' and '.join(found)}, but no {TOKENIZER_FILE}",
            advice='Make one: python -c "from transformers import AutoTokenizer as A; '
            f"A.from_pretrained('{folder}').save_pretrained('{folder}')\"",
        )
    raise ModelFilesError(f"{folder} has no {TOKENIZER_FILE}", advice="Copy the model's tokenizer there.")


def _text_of(value: Any) -> str | None:
    """The text of a declared token."""
    found = value.get("content") if isinstance(value, Mapping) else value
    return found if isinstance(found, str) and found else None


def _token(value: Mapping[str, Any]) -> AddedToken:
    flags = ("single_word", "lstrip", "rstrip", "normalized", "special")
    return AddedToken(value["content"], **{flag: bool(value[flag]) for flag in flags if flag in value})


def _ids(config: Mapping[str, Any]) -> Iterator[int]:
    """The ids under ``eos_token_id``: one, several or none."""
    value = config.get("eos_token_id")
    for found in value if isinstance(value, list) else [value]:
        if isinstance(found, int) and not isinstance(found, bool) and found >= 0:
            yield found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelFilesError(f"{path} cannot be read ({error})", advice="Download it again.") from error
