"""Text in, text out: the model version's tokenizer, the ends of its texts, its chat format.

What a tokenizer puts around a text (the token that begins one, say) stands there exactly once, also where the text
was typed with it. What a user types is text: the name of a control token in it becomes letters, unless the caller
says that it means the token. It knows nothing of models or nodes.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from tokenizers import Encoding, Tokenizer

from nexus_chain.versions.chat import ChatTemplate, WrittenChat
from nexus_chain.versions.text_files import DeclaredTexts
from nexus_chain.versions.text_stream import Streams, TextStream
from nexus_chain.versions.tokenizer_assembly import assemble

#: Names of tokens that end a text or a turn wherever they are; files declare others.
END_TOKENS = (
    "<|endoftext|>", "</s>", "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|end|>", "<end_of_turn>",
    "<|endofturn|>", "<|eot|>", "<|end_of_turn|>", "<\N{FULLWIDTH VERTICAL LINE}end\N{LOWER ONE EIGHTH BLOCK}of"
    "\N{LOWER ONE EIGHTH BLOCK}sentence\N{FULLWIDTH VERTICAL LINE}>",
)  # fmt: skip


class TextCodec:
    """A ``tokenizer.json`` with what the files beside it declare.

    Raises ModelFilesError when the file is missing or is not a tokenizer, or where a neighbour contradicts it.
    """

    def __init__(self, path: Path) -> None:
        self.tokenizer: Tokenizer = assemble(path)
        self._declared = DeclaredTexts(path.parent)
        self._streams = Streams(self.tokenizer)
        self._as_text = threading.Lock()
        named = self._ids_of((*END_TOKENS, self._declared.name_of("eos_token")))
        self.end_tokens = named | self._declared.end_ids(self.tokenizer.get_added_tokens_decoder())
        """Ids that end an answer: all that any file declares, and those of well-known names."""

    def encode(self, text: str, *, special: bool = True) -> list[int]:
        """Token ids of ``text``; names of control tokens in it are these tokens.

        ``special``: with what the tokenizer puts around a text, each exactly once.
        """
        found = self.tokenizer.encode(text, add_special_tokens=False)
        return self._framed(list(found.ids)) if special else list(found.ids)

    def encode_plain(self, text: str, *, special: bool = False) -> list[int]:
        """Token ids of what a user typed: no control token, whatever the text says.

        ``special``: with what the tokenizer puts around a text; where the text begins with that, it is not doubled.
        """
        begin = self._around[0] if special else []
        typed = "".join(self.tokenizer.id_to_token(token) for token in begin)
        found = self._marked(text.removeprefix(typed), None)
        return self._framed(found) if special else found

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of ``tokens`` without special tokens; undecodable bytes become U+FFFD."""
        return str(self.tokenizer.decode(list(tokens), skip_special_tokens=True))

    def stream(self) -> TextStream:
        """A fresh incremental decoder."""
        return self._streams.stream()

    @cached_property
    def chat_template(self) -> ChatTemplate | None:
        """How the model's conversations are written; None for a model that has no chat format."""
        source = self._declared.chat_template
        return None if source is None else ChatTemplate(source, self._named())

    def chat_prompt(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """Token ids of a conversation, up to where the model's answer begins.

        ``messages`` each have a ``role`` and a ``content``. The template's control tokens are tokens; what messages
        say is text. Nothing is put around it: the template writes the beginning too. Raises ChatFormatError.
        """
        written = ChatTemplate.of(self.chat_template).write(messages, self.control_texts)
        return self._written(written)

    @cached_property
    def control_texts(self) -> tuple[str, ...]:
        """What a user's text must not become: special tokens, ends of text, tokens that the chat template writes."""
        template = self._declared.chat_template or ""
        added = self.tokenizer.get_added_tokens_decoder()
        found = {token.content for token in added.values() if token.special or token.content in template}
        found.update(filter(None, (self.tokenizer.id_to_token(token) for token in self.end_tokens)))
        return tuple(sorted(found))

    def _written(self, chat: WrittenChat) -> list[int]:
        return self._marked(chat.text, chat.contents)

    def _marked(self, text: str, users: Sequence[tuple[int, int]] | None) -> list[int]:
        """Token ids of ``text``, whose spans [start, end) ``users`` (None: all of it) hold no control tokens."""
        found, tokens = self.tokenizer.encode(text, add_special_tokens=False), []
        for at, token in enumerate(found.ids):
            if token in self._control and (piece := self._typed(found, at, text, users)) is not None:
                tokens += self._letters(piece)
            else:
                tokens.append(token)
        return tokens

    def _typed(self, found: Encoding, at: int, text: str, users: Sequence[tuple[int, int]] | None) -> str | None:
        """The user's text that became the token at ``at``; None for a token that is nobody's text."""
        start, end = found.offsets[at]
        name = self.tokenizer.id_to_token(found.ids[at])
        if (inside := text.find(name, start, end)) >= 0:  # blanks around it that it swallowed do not count
            inner = inside, inside + len(name)
        else:
            inner = start, end
        if users is None or any(inner[0] < stop and begin < inner[1] for begin, stop in users):
            return text[start:end]
        return None

    def _letters(self, text: str) -> list[int]:
        """Token ids of the name of a control token, as any other text."""
        with self._as_text:
            self.tokenizer.encode_special_tokens = True
            try:
                found = list(self.tokenizer.encode(text, add_special_tokens=False).ids)
            finally:
                self.tokenizer.encode_special_tokens = False
        if self._control.isdisjoint(found) or len(text) < 2:
            return found
        return [*self._letters(text[:1]), *self._letters(text[1:])]

    def _framed(self, tokens: list[int]) -> list[int]:
        begin, end = self._around
        before = [] if tokens[: len(begin)] == begin else begin
        after = [] if end and tokens[-len(end) :] == end else end
        return [*before, *tokens, *after]

    @cached_property
    def _around(self) -> tuple[list[int], list[int]]:
        """What the tokenizer puts before and after a text."""
        found = self.tokenizer.encode("a", add_special_tokens=True)
        inner = [at for at, sequence in enumerate(found.sequence_ids) if sequence is not None]
        first, last = (inner[0], inner[-1]) if inner else (len(found.ids), len(found.ids))
        return list(found.ids[:first]), list(found.ids[last + 1 :])

    @cached_property
    def _control(self) -> frozenset[int]:
        return self._ids_of(self.control_texts)

    def _ids_of(self, texts: Sequence[str | None]) -> frozenset[int]:
        found = (self.tokenizer.token_to_id(text) for text in texts if text)
        return frozenset(token for token in found if token is not None)

    def _named(self) -> dict[str, str]:
        """Special tokens by the names under which templates know them."""
        fields = [field for field in self._declared.config if field.endswith("_token")]
        return {field: name for field in fields if (name := self._declared.name_of(field))}
