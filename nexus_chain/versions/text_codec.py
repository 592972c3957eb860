"""Text in, text out: the model version's tokenizer, the ends of its texts, its chat format.

What a tokenizer puts around a text (the token that begins one, say) stands there exactly once, also where the text
was typed with it. What a user types is text: the name of a control token in it becomes letters, unless the caller
says that it means the token. It knows nothing of models or nodes.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from functools import cached_property
from operator import itemgetter
from pathlib import Path

from tokenizers import Encoding, Tokenizer

from nexus_chain.versions.chat import ChatTemplate, WrittenChat
from nexus_chain.versions.errors import PromptTooLongError
from nexus_chain.versions.text_files import DeclaredTexts
from nexus_chain.versions.text_size import longest_token_bytes
from nexus_chain.versions.text_stream import Streams, TextStream
from nexus_chain.versions.tokenizer_assembly import assemble
from nexus_chain.versions.tokenizer_faults import tokenizer_faults

#: Names of tokens that end a text or a turn wherever they are; files declare others.
END_TOKENS = (
    "<|endoftext|>", "</s>", "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|end|>", "<end_of_turn>",
    "<|endofturn|>", "<|eot|>", "<|end_of_turn|>", "<\N{FULLWIDTH VERTICAL LINE}end\N{LOWER ONE EIGHTH BLOCK}of"
    "\N{LOWER ONE EIGHTH BLOCK}sentence\N{FULLWIDTH VERTICAL LINE}>",
)  # fmt: skip


class TextCodec:
    """A ``tokenizer.json`` with what the files beside it declare.

    Raises ModelFilesError when the file is missing or is not a tokenizer, or where a neighbour contradicts it; every
    method does where the tokenizer fails at a text.
    """

    def __init__(self, path: Path) -> None:
        self.tokenizer: Tokenizer = assemble(path)
        self._declared = DeclaredTexts(path.parent)
        self._streams = Streams(self.tokenizer)
        self._one_thread = threading.Lock()
        named = self._ids_of((*END_TOKENS, self._declared.name_of("eos_token")))
        self.end_tokens = named | self._declared.end_ids(self.tokenizer.get_added_tokens_decoder())
        """Ids that end an answer: all that any file declares, and those of well-known names."""

    @cached_property
    def bytes_per_token(self) -> int | None:
        """Most bytes of a text that a token stands for; None: no number is known."""
        return longest_token_bytes(self.tokenizer)

    def require_size(self, text: str, most: int | None) -> None:
        """Raise PromptTooLongError for a text that cannot be ``most`` tokens or fewer, without tokenizing it."""
        if most is None or len(text) <= most or self.bytes_per_token is None:
            return
        size, limit = len(text.encode(errors="surrogatepass")), most * self.bytes_per_token
        if size > limit:
            raise PromptTooLongError(
                f"a text of {size} bytes exceeds the model's context of {most} tokens, which hold {limit} at most",
                advice="Shorten the prompt.",
            )

    def encode(self, text: str, *, special: bool = True, most: int | None = None) -> list[int]:
        """Token ids of ``text``; names of control tokens in it are these tokens.

        ``special``: with what the tokenizer puts around a text, each exactly once. ``most``: raises PromptTooLongError
        for a text that is known to be longer before it is tokenized.
        """
        self.require_size(text, most)
        found = list(self._encoded(text).ids)
        return self._framed(found) if special else found

    def encode_plain(self, text: str, *, special: bool = False, most: int | None = None) -> list[int]:
        """Token ids of what a user typed: no control token, whatever the text says.

        ``special``: with what the tokenizer puts around a text; where the text begins with that, it is not doubled.
        ``most``: see ``encode``.
        """
        self.require_size(text, most)
        begin = self._around[0] if special else []
        typed = "".join(map(self._name, begin))
        found = self._letters(text.removeprefix(typed))
        return self._framed(found) if special else found

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of ``tokens`` without special tokens; undecodable bytes become U+FFFD."""
        return self._decoded(tokens, skip=True)

    def decode_named(self, tokens: Sequence[int]) -> str:
        """The text of ``tokens``, special ones by their names; undecodable bytes become U+FFFD."""
        return self._decoded(tokens, skip=False)

    def stream(self) -> TextStream:
        """A fresh incremental decoder."""
        return self._streams.stream()

    @cached_property
    def chat_template(self) -> ChatTemplate | None:
        """How the model's conversations are written; None for a model that has no chat format."""
        source = self._declared.chat_template
        return None if source is None else ChatTemplate(source, self.special_names, self._declared.folder.name)

    @property
    def special_names(self) -> dict[str, str]:
        """Special tokens by the names under which templates know them: ``bos_token``, ..."""
        return self._declared.special_names

    def chat_prompt(
        self, messages: Sequence[Mapping[str, str]], *, answering: bool = True, most: int | None = None
    ) -> list[int]:
        """Token ids of a conversation, with ``answering`` up to where the model's answer begins.

        ``messages`` each have a ``role`` and a ``content``. The template's control tokens are tokens; what messages
        say is text. Nothing is put around it: the template writes the beginning too. ``most``: see ``encode``; it is
        about what the template writes, as templates leave some of what messages say out. Raises ChatFormatError.
        """
        chat = ChatTemplate.of(self.chat_template).write(messages, self.control_texts, answering=answering)
        self.require_size(chat.text, most)
        found, tokens = self._encoded(chat.text), []
        for token, place in zip(found.ids, found.offsets, strict=True):  # each is a copy: taken once
            said = self._said(token, place, chat) if token in self._control else None
            tokens += [token] if said is None else self._letters(said)
        return tokens

    @cached_property
    def control_texts(self) -> tuple[str, ...]:
        """What a user's text must not become: special tokens, ends of text, tokens that the chat template writes."""
        template = self._declared.chat_template or ""
        added = self.tokenizer.get_added_tokens_decoder()
        found = {token.content for token in added.values() if token.special or token.content in template}
        found.update(filter(None, (self.tokenizer.id_to_token(token) for token in self.end_tokens)))
        return tuple(sorted(found))

    def _said(self, token: int, place: tuple[int, int], chat: WrittenChat) -> str | None:
        """The part of a message that became the token at ``place``; None for a token that the template wrote."""
        start, end = place
        name = self._name(token)
        inside = chat.text.find(name, start, end)  # blanks around it, which it may swallow, do not count
        first, last = (start, end) if inside < 0 else (inside, inside + len(name))
        # Messages stand one after the other: of those that begin before its end, the last one reaches farthest.
        before = bisect_left(chat.contents, last, key=itemgetter(0))
        return chat.text[start:end] if before and chat.contents[before - 1][1] > first else None

    def _letters(self, text: str) -> list[int]:
        """Token ids of ``text`` without control tokens: their names are letters."""
        found = self._encoded(text, letters=True)
        tokens: list[int] = []
        for token, (start, end) in zip(found.ids, found.offsets, strict=True):
            if token in self._control and end - start > 1:  # the vocabulary's own piece, or an added token
                tokens += [*self._letters(text[start : start + 1]), *self._letters(text[start + 1 : end])]
            else:
                tokens.append(token)
        return tokens

    def _encoded(self, text: str, *, letters: bool = False) -> Encoding:
        """``letters``: names of control tokens are no tokens: a state of the tokenizer, so one thread at a time."""
        with self._one_thread:
            self.tokenizer.encode_special_tokens = letters
            try:
                with tokenizer_faults(f"the tokenizer of {self._declared.folder.name} fails at a text"):
                    return self.tokenizer.encode(text, add_special_tokens=False)
            finally:
                self.tokenizer.encode_special_tokens = False

    def _decoded(self, tokens: Sequence[int], *, skip: bool) -> str:
        with tokenizer_faults(f"the tokenizer of {self._declared.folder.name} fails at tokens"):
            return str(self.tokenizer.decode(list(tokens), skip_special_tokens=skip))

    def _framed(self, tokens: list[int]) -> list[int]:
        begin, end = self._around
        before = [] if tokens[: len(begin)] == begin else begin
        after = [] if end and tokens[-len(end) :] == end else end
        return [*before, *tokens, *after]

    @cached_property
    def _around(self) -> tuple[list[int], list[int]]:
        """What the tokenizer puts before and after a text."""
        with tokenizer_faults(f"the tokenizer of {self._declared.folder.name} fails at a text"):
            found = self.tokenizer.encode("a", add_special_tokens=True)
        inner = [at for at, sequence in enumerate(found.sequence_ids) if sequence is not None]
        first, last = (inner[0], inner[-1]) if inner else (len(found.ids), len(found.ids))
        return list(found.ids[:first]), list(found.ids[last + 1 :])

    @cached_property
    def _control(self) -> frozenset[int]:
        return self._ids_of(self.control_texts)

    def _name(self, token: int) -> str:
        """How the vocabulary writes a token; nothing where it has none."""
        return self.tokenizer.id_to_token(token) or ""

    def _ids_of(self, texts: Sequence[str | None]) -> frozenset[int]:
        found = (self.tokenizer.token_to_id(text) for text in texts if text)
        return frozenset(token for token in found if token is not None)
