"""What a caller sent to a gateway, as an order has to say it: so that a right answer to another question is found out.

The body of a request is read by what ``docs/gateway.md`` says of it, without the gateway. It gives token ids and
parameters, which are compared with the order that was judged. A gateway that answers another prompt, at another
temperature or with another seed is caught, although all receipts of its answer are right; and so is one that ends the
answer early. Whether the order is over the right model, ``expected_models`` says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from nexus_chain.evidence.errors import ProofFileError
from nexus_chain.evidence.proof import InferenceProof
from nexus_chain.json_text import parse_json
from nexus_chain.program.sampling import Sampling
from nexus_chain.versions.model_files import ModelFiles

SEED_DOMAIN = b"nexus.gateway.seed.v1:"
_LATEST = ":latest"


def seed_bytes(seed: int) -> bytes:
    """The 32 bytes that an order fixes for a caller's ``seed``, any integer: the same on every gateway."""
    return sha256(SEED_DOMAIN + str(seed).encode()).digest()


@dataclass(frozen=True)
class SentRequest:
    """``prompts``: token ids, of each of which there is an order. ``seed`` None: the gateway drew one.

    ``max_tokens``: from each prompt's length; None: the gateway's own number. ``stops``: texts that end the answer.
    ``model``: what the caller called it, without the tag that Ollama's clients add.
    """

    prompts: tuple[tuple[int, ...], ...]
    temperature: float
    max_tokens: Callable[[int], int | None]
    seed: int | None = None
    stops: tuple[str, ...] = ()
    model: str = ""

    def index_of(self, index: int | None) -> int:
        """Which prompt is meant by ``index``; None: the only one. Raises ProofFileError.

        INVARIANT: one prompt is compared, the one that was named. An answer to another one of a batch is none to it.
        """
        if index is None and len(self.prompts) > 1:
            raise ProofFileError(
                f"the request has {len(self.prompts)} prompts",
                advice="Give --prompt-index, the number of the one that the answer has to be to, counted from 0.",
            )
        if not 0 <= (index or 0) < len(self.prompts):
            raise ProofFileError(
                f"the request has no prompt {index}", advice=f"Give a --prompt-index below {len(self.prompts)}."
            )
        return index or 0


def load_sent_request(file: Path, endpoint: str, files: ModelFiles) -> SentRequest:
    """The JSON body in ``file``, which was sent to ``endpoint``. Raises ProofFileError and ModelFilesError."""
    try:
        body: Any = parse_json(file.read_bytes())
    except (OSError, ValueError) as error:
        raise ProofFileError(f"{file} is no JSON body of a request", advice="Give what was sent, unchanged.") from error
    return read_sent_request(body, endpoint, files)


def read_sent_request(body: Any, endpoint: str, files: ModelFiles) -> SentRequest:
    """``body`` as it was sent to ``endpoint``, one of ``ENDPOINTS``. Raises ProofFileError, and ChatFormatError."""
    if endpoint not in ENDPOINTS:
        raise ProofFileError(
            f"requests to {endpoint} cannot be compared", advice=f"They can be of {', '.join(ENDPOINTS)}."
        )
    try:
        return replace(ENDPOINTS[endpoint](body, files), model=body["model"].removesuffix(_LATEST))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise ProofFileError(
            f"this is no body of a request to {endpoint}", advice="Give what was sent, and --endpoint."
        ) from error


def differences_from(proof: InferenceProof, sent: SentRequest, files: ModelFiles, index: int = 0) -> Iterator[str]:
    """How the order that was judged differs from what was sent, one sentence each; nothing where it is over that.

    ``index``: of the prompt that it has to be over, see ``SentRequest.index_of``.
    """
    order, prompt = proof.order, proof.tokens[: proof.prompt_length]
    if prompt != sent.prompts[index]:
        yield f"the prompt that was judged has other token ids: {_first_difference(prompt, sent.prompts[index])}"
    if order.sampling != Sampling.at_temperature(sent.temperature).beta:
        yield f"the order is at another temperature than {sent.temperature}"
    if sent.seed is not None and order.sampling_seed != seed_bytes(sent.seed):
        yield f"the order has not the seed {sent.seed}"
    most = sent.max_tokens(len(prompt))
    if most is not None and order.max_tokens != most:
        yield f"the order is for {order.max_tokens} tokens instead of {most}"
    if not is_complete(proof, files, sent.stops):
        yield (
            f"the answer was cut short after {len(proof.tokens) - len(prompt)} of {order.max_tokens} tokens, at no end "
            "token and no stop text; an answer whose reader left looks like this, too"
        )


def limit_of_gateway(proof: InferenceProof, sent: SentRequest, files: ModelFiles) -> str:
    """What nothing can be compared with: that the answer ends at a number which the caller did not name; else empty."""
    sampled = len(proof.tokens) - proof.prompt_length
    if sent.max_tokens(proof.prompt_length) is not None or sampled < proof.order.max_tokens:
        return ""
    if len(proof.tokens) >= files.program.shape.context or _ends_itself(proof, files, sent.stops):
        return ""
    return f"the request names no number of tokens, and the answer ends at {sampled}, a number of the gateway's"


def differs_from_text(proof: InferenceProof, text: str, files: ModelFiles, stops: Sequence[str] = ()) -> str | None:
    """How the judged answer differs from the ``text`` that a gateway sent; None where it is that."""
    judged = judged_text(proof, files)
    judged = judged[: _stop_in(judged, stops)]
    if judged == text:
        return None
    at = next((n for n, (a, b) in enumerate(zip(judged, text, strict=False)) if a != b), min(len(judged), len(text)))
    return f"the text that was judged differs from the one that was sent from character {at} on"


def judged_text(proof: InferenceProof, files: ModelFiles) -> str:
    """The text of the tokens that were judged."""
    return str(files.codec.decode([token for token in proof.tokens[proof.prompt_length :] if token >= 0]))


def written_prompt(proof: InferenceProof, files: ModelFiles) -> str:
    """The prompt that was judged, control tokens by their names, for whoever compares it with what they sent."""
    tokens = [token for token in proof.tokens[: proof.prompt_length] if token >= 0]
    return files.codec.decode_named(tokens)


def is_complete(proof: InferenceProof, files: ModelFiles, stops: Sequence[str]) -> bool:
    """Whether the answer ends where one may end.

    INVARIANT: it ends by an end token, a stop text of the request, the most tokens of the order or the context's end.
    A gateway that ends it elsewhere keeps what the rest would have cost, and every receipt is right.
    """
    most = min(proof.prompt_length + proof.order.max_tokens, files.program.shape.context)
    return len(proof.tokens) >= most or _ends_itself(proof, files, stops)


def _ends_itself(proof: InferenceProof, files: ModelFiles, stops: Sequence[str]) -> bool:
    sampled = proof.tokens[proof.prompt_length :]
    if sampled and sampled[-1] in files.codec.end_tokens:
        return True
    return _stop_in(judged_text(proof, files), stops) is not None


def _stop_in(text: str, stops: Sequence[str]) -> int | None:
    """Where the first stop text that is complete begins; None: there is none."""
    ends = [(at + len(stop), at) for stop in stops if stop and (at := text.find(stop)) >= 0]
    return min(ends)[1] if ends else None


def _first_difference(judged: Sequence[int], sent: Sequence[int]) -> str:
    for position, (one, other) in enumerate(zip(judged, sent, strict=False)):
        if one != other:
            return f"at position {position} stands {one} instead of {other}"
    return f"there are {len(judged)} instead of {len(sent)}"


# ------------------------------------------------------------------ interfaces


def _openai_chat(body: Mapping[str, Any], files: ModelFiles) -> SentRequest:
    turns = [(_openai_role(one["role"]), _joined(one["content"], "")) for one in body["messages"]]
    asked = _given(body, "max_completion_tokens", _given(body, "max_tokens", None))
    return _openai(body, (_conversation(turns, files),), asked)


def _openai_completion(body: Mapping[str, Any], files: ModelFiles) -> SentRequest:
    given = body["prompt"]
    several = [given] if isinstance(given, str) or isinstance(given[0], int) else given
    prompts = tuple(tuple(files.prompt_of(one, 0)) if isinstance(one, str) else tuple(one) for one in several)
    return _openai(body, prompts, _given(body, "max_tokens", 16))


def _openai(body: Mapping[str, Any], prompts: tuple[tuple[int, ...], ...], asked: int | None) -> SentRequest:
    stop = body.get("stop") or ()
    stops = (stop,) if isinstance(stop, str) else tuple(stop)
    return SentRequest(prompts, _given(body, "temperature", 1.0), lambda _: asked, body.get("seed"), stops)


def _anthropic(body: Mapping[str, Any], files: ModelFiles) -> SentRequest:
    system = _joined(body.get("system") or "", "\n")
    turns: list[tuple[str, str]] = [("system", system)] if system else []
    for one in body["messages"]:
        role, text = one["role"], _joined(one["content"], "\n")
        if turns and turns[-1][0] == role:  # neighbours of one role are one turn
            text = "\n".join((turns.pop()[1], text))
        turns.append((role, text))
    asked, stops = body["max_tokens"], tuple(body.get("stop_sequences") or ())
    limit = _limit(files, asked)
    return SentRequest((_conversation(turns, files),), _given(body, "temperature", 1.0), limit, stops=stops)


def _ollama_chat(body: Mapping[str, Any], files: ModelFiles) -> SentRequest:
    turns = [(one["role"], one.get("content") or "") for one in body["messages"]]
    return _ollama(body, _conversation(turns, files), files)


def _ollama_generate(body: Mapping[str, Any], files: ModelFiles) -> SentRequest:
    before, text = tuple(body.get("context") or ()), body["prompt"]
    if body.get("raw"):
        return _ollama(body, tuple(files.codec.encode(text)), files)
    if files.codec.chat_template is None:
        return _ollama(body, (*before, *files.codec.encode_plain(text, special=not before)), files)
    system = [("system", body["system"])] if body.get("system") else []
    return _ollama(body, (*before, *_conversation([*system, ("user", text)], files)), files)


def _ollama(body: Mapping[str, Any], prompt: tuple[int, ...], files: ModelFiles) -> SentRequest:
    options = body.get("options") or {}
    seed, stop = options.get("seed"), options.get("stop") or ()
    asked, context = options.get("num_predict"), options.get("num_ctx")
    limit = (lambda _: None) if asked is None and context is None else _limit(files, asked, context)
    stops = (stop,) if isinstance(stop, str) else tuple(stop)
    return SentRequest((prompt,), _given(options, "temperature", 0.8), limit, None if seed == -1 else seed, stops)


def _limit(files: ModelFiles, asked: int | None, context: int | None = None) -> Callable[[int], int | None]:
    """What is asked for, as far as the context leaves room for it; None and numbers below 0: all of that."""
    positions = min(files.program.shape.context, context or files.program.shape.context)
    return lambda prompt: positions - prompt if asked is None or asked < 0 else min(asked, positions - prompt)


def _conversation(turns: Sequence[tuple[str, str]], files: ModelFiles) -> tuple[int, ...]:
    """A last message of the assistant is an answer that has begun."""
    begun = turns[-1][1] if turns[-1][0] == "assistant" else None
    messages = [{"role": role, "content": text} for role, text in (turns if begun is None else turns[:-1])]
    return (*files.codec.chat_prompt(messages), *files.codec.encode_plain(begun or ""))


def _openai_role(role: str) -> str:
    return "system" if role == "developer" else role


def _joined(content: str | Sequence[Mapping[str, Any]], between: str) -> str:
    return content if isinstance(content, str) else between.join(part["text"] for part in content)


def _given(body: Mapping[str, Any], name: str, otherwise: Any) -> Any:
    """A field; null stands for one that is not given."""
    found = body.get(name)
    return otherwise if found is None else found


ENDPOINTS: Mapping[str, Callable[[Any, ModelFiles], SentRequest]] = {
    "/v1/chat/completions": _openai_chat,
    "/v1/completions": _openai_completion,
    "/v1/messages": _anthropic,
    "/api/chat": _ollama_chat,
    "/api/generate": _ollama_generate,
}
"""Those whose requests can be compared."""
