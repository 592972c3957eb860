"""One tokenizer out of a folder's files, as ``transformers`` assembles it.

``tokenizer.json`` comes first; some classes change it (see ``tokenizer_classes``). Tokens that only its neighbours
declare are added to it, under the ids that they declare. What the post-processor puts around a text (the token that
begins one, for instance) is the file's word; only a Llama configuration that asks for the first token, beside a file
without any post-processor, is followed instead.
"""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer, processors

from nexus_chain.versions.errors import ModelFilesError
from nexus_chain.versions.text_files import DeclaredTexts
from nexus_chain.versions.tokenizer_classes import follow_class
from nexus_chain.versions.tokenizer_faults import tokenizer_faults


def assemble(path: Path) -> Tokenizer:
    """The tokenizer at ``path`` with what the files beside it declare. Raises ModelFilesError."""
    declared = DeclaredTexts(path.parent)
    with tokenizer_faults(f"{path} is not a tokenizer"):
        tokenizer = Tokenizer.from_file(str(path))
        follow_class(tokenizer, declared)
        _add_declared(tokenizer, declared)
        _add_specials(tokenizer, declared)
        _begin(tokenizer, declared)
        # How many tokens fit is the program's to say, and a text that was cut would be another text.
        tokenizer.no_truncation()
        tokenizer.no_padding()
    return tokenizer


def _add_declared(tokenizer: Tokenizer, declared: DeclaredTexts) -> None:
    """Add the tokens that have declared ids. Raises ModelFilesError where they would get others."""
    there = tokenizer.get_added_tokens_decoder()
    wanted = {index: token for index, token in declared.added.items() if repr(there.get(index)) != repr(token)}
    tokenizer.add_tokens(list(wanted.values()))
    for index, token in declared.added.items():
        if (found := tokenizer.token_to_id(token.content)) != index:
            raise ModelFilesError(
                f"the files in {declared.folder} declare {token.content!r} as token {index}, "
                f"the tokenizer makes it {found}",
                advice="Use the tokenizer.json that belongs to the files beside it.",
            )


def _add_specials(tokenizer: Tokenizer, declared: DeclaredTexts) -> None:
    """Make tokens of the texts that are named as special and are none yet."""
    there = {token.content for token in tokenizer.get_added_tokens_decoder().values() if token.special}
    tokenizer.add_special_tokens([token for text, token in declared.specials.items() if text not in there])


def _begin(tokenizer: Tokenizer, declared: DeclaredTexts) -> None:
    """Put the first token first where only the configuration asks for it."""
    name = declared.name_of("bos_token") or "<s>"
    token = tokenizer.token_to_id(name)
    if tokenizer.post_processor is None and declared.wants_begin and token is not None:
        tokenizer.post_processor = processors.TemplateProcessing(single=f"{name} $A", special_tokens=[(name, token)])
