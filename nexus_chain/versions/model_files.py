"""Finding a model version's files on this machine and making sure that they are those.

A user needs the tokenizer and the program (for its shape); recomputing needs the weights too. All
three are checked against the chain: a wrong tokenizer would ask another question than the one typed.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from nexus_chain.chain.model_registry import ModelVersion
from nexus_chain.commitments.weights import ModelCommitment, program_root
from nexus_chain.drafting.draft_table import DraftTable
from nexus_chain.drafting.errors import DraftTableError
from nexus_chain.program.descriptors import Program
from nexus_chain.program.errors import ProgramFormatError
from nexus_chain.program.file_names import DRAFTS_FILE, PROGRAM_FILE, TOKENIZER_FILE
from nexus_chain.program.reproduction import read_program
from nexus_chain.versions.errors import ModelFilesError, PromptTooLongError
from nexus_chain.versions.text_codec import TextCodec

if TYPE_CHECKING:
    from nexus_chain.program.model import IntegerModel

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelFiles:
    """A folder with ``tokenizer.json``, ``program.json``, perhaps ``weights.safetensors``, ``drafts.safetensors``."""

    folder: Path

    @cached_property
    def codec(self) -> TextCodec:
        return TextCodec(self.folder / TOKENIZER_FILE)

    @cached_property
    def program(self) -> Program:
        """The program, judged as a whole: nobody orders or accuses on a hostile one. Raises ProgramError."""
        return read_program((self.folder / PROGRAM_FILE).read_text())

    @cached_property
    def tokenizer_hash(self) -> bytes:
        """SHA-256 of the tokenizer file."""
        return hashlib.sha256((self.folder / TOKENIZER_FILE).read_bytes()).digest()

    @cached_property
    def draft_table(self) -> DraftTable | None:
        """What drafts of answers are taken from, if the folder has such a table.

        One that is damaged or another model's is left aside with a warning: the answer is the same without it.
        """
        path = self.folder / DRAFTS_FILE
        if not path.is_file():
            return None
        try:
            return DraftTable.read(path, self.tokenizer_hash, self.program.shape.vocab)
        except DraftTableError as error:
            log.warning("Answering without a draft table: %s", error)
            return None

    def prompt_of(self, text: str, max_tokens: int, *, control: bool = False) -> list[int]:
        """Token ids of a text to continue or embed that leave room for ``max_tokens``.

        ``control``: names of control tokens in the text are these tokens. Raises PromptTooLongError.
        """
        most, codec = self.program.shape.context, self.codec
        prompt = codec.encode(text, most=most) if control else codec.encode_plain(text, special=True, most=most)
        self.require_room(len(prompt), max_tokens)
        return prompt

    def chat_prompt(self, messages: Sequence[Mapping[str, str]], max_tokens: int) -> list[int]:
        """Token ids of a conversation in the model's chat format that leave room for ``max_tokens``.

        ``messages`` each have a ``role`` and a ``content``. Raises ChatFormatError and PromptTooLongError.
        """
        prompt = self.codec.chat_prompt(messages, most=self.program.shape.context)
        self.require_room(len(prompt), max_tokens)
        return prompt

    def require_room(self, prompt: int, max_tokens: int) -> None:
        """Raise PromptTooLongError unless ``prompt`` tokens and ``max_tokens`` more fit the model's context."""
        context = self.program.shape.context
        if prompt + max_tokens > context:
            raise PromptTooLongError(
                f"{prompt} prompt tokens and {max_tokens} new ones exceed the model's context of {context}",
                advice=f"Shorten the prompt, or ask for at most {max(0, context - prompt)} tokens.",
            )

    def require(self, *, encoder: bool) -> None:
        """Raise ModelFilesError unless the model is an encoder, or unless it is not."""
        if self.program.is_encoder != encoder:
            found, command = ("an encoder", "embed") if self.program.is_encoder else ("a language model", "ask")
            raise ModelFilesError(
                f"this model is {found}", advice=f"Use `nexus {command}`, or name another model or session."
            )

    def matches(self, version: ModelVersion) -> bool:
        """Whether tokenizer and program are the registered ones (weights are checked when used)."""
        if not all((self.folder / name).is_file() for name in (TOKENIZER_FILE, PROGRAM_FILE)):
            return False
        if self.tokenizer_hash != version.tokenizer_hash:
            return False
        try:
            found = Program.from_json((self.folder / PROGRAM_FILE).read_text())
        except ProgramFormatError:
            return False  # another model's, and damaged: the next folder may hold this version
        return program_root(found) == version.program_root

    def model(self, version: ModelVersion) -> IntegerModel:
        """The weights, checked against the version's root. Raises ModelFilesError."""
        from nexus_chain.program.model import IntegerModel  # with torch, which takes seconds to import

        model = IntegerModel.load(self.folder)
        if ModelCommitment.of(model).weights_root != version.weights_root:
            raise ModelFilesError(
                f"the weights in {self.folder} are not those registered on-chain",
                advice="Import the checkpoint again, or download the registered version.",
            )
        return model


def find_model_files(version: ModelVersion, places: list[Path]) -> ModelFiles:
    """The first folder in or directly below ``places`` that holds the version. Raises ModelFilesError."""
    for folder in folders_in(places):
        files = ModelFiles(folder)
        if files.matches(version):
            return files
    raise ModelFilesError(
        f"the files of model version {version.semver} ({version.manifest_cid}) are not on this machine",
        advice=f"Looked in {', '.join(map(str, places))}: import the model there, or give its folder with --model-dir.",
    )


def folders_in(places: list[Path]) -> Iterator[Path]:
    """Each place that exists, then the folders directly in it by name."""
    for place in places:
        if place.is_dir():
            yield place
            yield from sorted(child for child in place.iterdir() if child.is_dir())
