"""The ``openai`` library, whichever version this interpreter has, against a gateway."""

from __future__ import annotations

import openai
from reporting import CHAT, ENCODER, KEY, TEXT, URL, check, equal, run_checks

client = openai.OpenAI(api_key=KEY, base_url=f"{URL}/v1", max_retries=0)
ASKED = [{"role": "user", "content": "Say hello."}]
WORDS = {"model": CHAT, "messages": ASKED, "temperature": 0, "max_tokens": 24, "seed": 7}


@check
def models() -> None:
    names = [model.id for model in client.models.list()]
    equal(CHAT in names, True)
    equal(client.models.retrieve(CHAT).id, CHAT)


@check
def chat_stream_is_the_whole_answer() -> None:
    whole = client.chat.completions.create(**WORDS)
    chunks = list(client.chat.completions.create(**WORDS, stream=True, stream_options={"include_usage": True}))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    equal(text, whole.choices[0].message.content)
    equal(chunks[-1].choices, [])
    equal(chunks[-1].usage.prompt_tokens, whole.usage.prompt_tokens)
    equal([chunk.usage for chunk in chunks[:-1] if chunk.usage], [])


@check
def completion_stream_is_the_whole_answer() -> None:
    words = {"model": TEXT or CHAT, "prompt": "def f(", "temperature": 0, "max_tokens": 24}
    whole = client.completions.create(**words)
    pieces = [chunk.choices[0].text for chunk in client.completions.create(**words, stream=True) if chunk.choices]
    equal("".join(pieces), whole.choices[0].text)


@check
def response_stream_is_the_whole_answer() -> None:
    words = {"model": CHAT, "input": "Say hello.", "temperature": 0, "max_output_tokens": 24}
    whole = client.responses.create(**words)
    events = list(client.responses.create(**words, stream=True))
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    equal(text, whole.output_text)
    equal(events[0].type, "response.created")
    equal(events[-1].response.output_text, text)


@check
def embeddings_in_both_encodings() -> None:
    if not ENCODER:
        return
    plain = client.embeddings.create(model=ENCODER, input=["one", "two"], encoding_format="float")
    packed = client.embeddings.create(model=ENCODER, input=["one", "two"])
    equal([one.index for one in plain.data], [0, 1])
    equal(len(plain.data[0].embedding), len(packed.data[0].embedding))


@check
def unknown_model_is_not_found() -> None:
    try:
        client.chat.completions.create(model="nobody", messages=ASKED)
    except openai.NotFoundError as error:
        equal(error.code, "model_not_found")
        return
    raise ValueError("it was answered")


@check
def refused_parameter_is_named() -> None:
    for name, value in (("n", 2), ("top_p", 0.5), ("logit_bias", {"1": 1}), ("presence_penalty", 1)):
        try:
            client.chat.completions.create(**WORDS, **{name: value})
        except openai.BadRequestError as error:
            equal(error.param, name)
        else:
            raise ValueError(f"{name} was dropped")


@check
def wrong_key_is_refused() -> None:
    stranger = openai.OpenAI(api_key="wrong", base_url=f"{URL}/v1", max_retries=0)
    try:
        stranger.chat.completions.create(**WORDS)
    except openai.AuthenticationError:
        return
    raise ValueError("it was answered")


run_checks()
