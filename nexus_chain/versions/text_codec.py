"""Text in, text out: the model version's tokenizer and incremental decoding.

A byte-level tokenizer may split one character over several tokens; ``TextStream`` holds back
what is not yet a whole character, so that a terminal never sees half of one. It knows nothing
of models or nodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer

from nexus_chain.versions.errors import ModelFilesError

END_TOKENS = ("<|endoftext|>", "</s>", "<|im_end|>", "<|eot_id|>")
UNFINISHED = "\N{REPLACEMENT CHARACTER}"
MAX_HELD_BACK = 8
"""Tokens held back before undecodable bytes are shown as they are (a UTF-8 character has 4 bytes)."""


class TextCodec:
    """A ``tokenizer.json`` with the token ids that end a text.

    Raises ModelFilesError when the file is missing or is not a tokenizer.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the tokenizers library raises bare Exception
            raise ModelFilesError(
                f"{path} is not a tokenizer: {error}",
                advice="Give the model version's own tokenizer.json with --model-dir.",
            ) from error
        ids = (self._tokenizer.token_to_id(text) for text in END_TOKENS)
        # How many tokens fit is the program's to say, and a text that was cut would be another text.
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.end_tokens = frozenset(i for i in ids if i is not None)

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        """Token ids of ``text``; ``special`` adds the tokens that an encoder expects around it."""
        return list(self._tokenizer.encode(text, add_special_tokens=special).ids)

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of ``tokens`` without special tokens; undecodable bytes become U+FFFD."""
        return str(self._tokenizer.decode(list(tokens), skip_special_tokens=True))

    def stream(self) -> TextStream:
        """A fresh incremental decoder."""
        return TextStream(self)


class TextStream:
    """Turns tokens, one at a time, into whole characters.

    Decoding is done over a short window behind the last emitted character, so a stream of n
    tokens costs O(n), and the concatenation of everything returned equals ``decode`` of all
    tokens (up to the tail held back, which ``finish`` returns).
    """

    def __init__(self, codec: TextCodec) -> None:
        self._codec = codec
        self._context: list[int] = []
        self._pending: list[int] = []

    def push(self, token: int) -> str:
        """The characters that ``token`` completes; often one piece, sometimes none."""
        self._pending.append(token)
        piece = self._piece()
        if piece.endswith(UNFINISHED) and len(self._pending) < MAX_HELD_BACK:
            return ""
        self._context, self._pending = self._pending, []
        return piece

    def finish(self) -> str:
        """What was held back: an unfinished character, or nothing."""
        piece = self._piece() if self._pending else ""
        self._context, self._pending = [], []
        return piece

    def _piece(self) -> str:
        # The preceding tokens matter: decoders strip a leading blank of the first token only.
        before = self._codec.decode(self._context)
        return self._codec.decode(self._context + self._pending)[len(before) :]
