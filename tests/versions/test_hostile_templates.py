"""A stranger's chat template may take the steps that a conversation needs, and no more, wherever it runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers.utils.chat_template_utils import _compile_jinja_template

from nexus_chain.versions import template_budget
from nexus_chain.versions.chat import MOST_TEMPLATE, ChatTemplate
from nexus_chain.versions.errors import ChatFormatError
from nexus_chain.versions.template_budget import RenderBudget
from tests.support.chat_formats import KNOWN_FORMATS

pytestmark = pytest.mark.fast

_TWICE = "{%% set ns = namespace(a=%s, b=%s) %%}{%% for i in range(60) %%}%s{%% endfor %%}"
#: Two values that hold themselves 2**60 times, in a hundred bytes.
_SHARED = _TWICE % ("[1]", "[1]", "{% set ns.a = [ns.a, ns.a] %}{% set ns.b = [ns.b, ns.b] %}")
_SHARED_TUPLE = _TWICE % ("(1,)", "1", "{% set ns.a = (ns.a, ns.a) %}")
_LIST = "{% set x = range(30000) | list %}"
_TEXT = "{% set x = 'a' * 300000 %}"
_OFTEN = "{%% for i in range(30000) %%}%s{%% endfor %%}"
_FOR = "{% for i in range(99999) %}"
_END = "{% endfor %}"

STEPS = {
    "nested loops": _FOR * 3 + _END * 3,
    "loops in which nothing passes": _FOR + "{% for j in range(99999) if j is none %}{% endfor %}" + _END,
    "loops with an else": _FOR + "{% for j in range(99999) %}{% else %}a{% endfor %}" + _END,
    "a loop in itself": "{% for x in [1] recursive %}{% if loop.depth < 40 %}{{ loop([1, 1]) }}{% endif %}{% endfor %}",
    "a macro that calls itself twice": "{% macro f(n) %}{% if n %}{{ f(n-1) }}{{ f(n-1) }}{% endif %}{% endmacro %}"
    "{{ f(40) }}",
    "a text of itself": _TWICE % ("'a'", "1", "{% set ns.a = ns.a ~ ns.a %}"),
    "a sum of itself": _TWICE % ("'a'", "1", "{% set ns.a = ns.a + ns.a %}"),
    "a list of itself": _TWICE % ("[1]", "1", "{% set ns.a = ns.a + ns.a %}"),
    "repeated text": "{{ 'a' * 10**10 }}",
    "repeated text, turned round": "{{ 10**10 * 'a' }}",
    "a repeated list": "{% set x = [0] * 10**10 %}",
    "escaped text, repeated": "{{ ('<' | safe) * 10**10 }}",
    "long text in a loop": _FOR + "a" * 50_000 + _END,
    "long text in a macro": "{% macro f() %}" + "a" * 50_000 + "{% endmacro %}" + _FOR + "{{ f() }}" + _END,
    "much in a loop": _FOR + "{% if a is defined %}{{ b }}{% endif %}" * 200 + _END,
    "written: a value that holds itself": _SHARED + "{{ ns.a }}",
    "as JSON": _SHARED + "{{ ns.a | tojson }}",
    "as a text": _SHARED + "{{ ns.a | string | length }}",
    "joined": _SHARED + "{{ 'a' ~ ns.a }}",
    "compared": _SHARED + "{{ ns.a == ns.b }}",
    "compared by a test": _SHARED + "{{ ns.a is eq(ns.b) }}",
    "looked for": _SHARED + "{{ ns.a in [ns.b] }}",
    "looked for by a method": _SHARED + "{{ [ns.a].index(ns.b) }}",
    "sorted": _SHARED + "{{ [ns.a, ns.b] | sort | length }}",
    "changed in a loop": _SHARED + "{% for x in [ns.a, ns.b] %}{{ loop.changed(x) }}{% endfor %}",
    "hashed as a key": _SHARED_TUPLE + "{% set d = {ns.a: 1} %}",
    "hashed to look up": _SHARED_TUPLE + "{{ {}[ns.a] }}",
    "hashed by a method": _SHARED_TUPLE + "{{ {}.get(ns.a) }}",
    "cut often": _LIST + _OFTEN % "{% set y = x[1:] %}",
    "looked through often": _LIST + _OFTEN % "{% set y = 'a' in x %}",
    "given to a macro often": _LIST + "{% macro f() %}{{ varargs | first }}{% endmacro %}" + _OFTEN % "{{ f(*x) }}",
    "sieved often": _FOR + "{{ range(99999) | select('none') | list }}" + _END,
    "mapped often": "{{ range(99999) | map('string') | map('string') | list }}",
    "a long path, for each": "{% set p = 'real' ~ '.real' * 20000 %}{{ range(9999) | map(attribute=p) | list }}",
    "searched from the right": _TEXT + "{{ x.rfind('b' ~ x) }}",
    "stripped of many": _TEXT + "{{ x.strip('b' * 300000 ~ 'a') }}",
    "trimmed of many": _TEXT + "{{ x | trim('b' * 300000 ~ 'a') }}",
    "split often": _TEXT + _OFTEN % "{% set y = x.split('a') %}",
    "joined with a long text": "{% set x = ('a' * 9000) | list %}{{ ('b' * 90000).join(x) }}",
    "joined by a filter": "{% set x = ('a' * 9000) | list %}{{ x | join('b' * 90000) }}",
    "replaced by a long text": "{{ ('a' * 90000).replace('a', 'b' * 90000) }}",
    "replaced by a filter": "{{ ('a' * 90000) | replace('a', 'b' * 90000) }}",
    "replaced by name": "{{ ('a' * 90000) | replace(old='a', new='b' * 90000) }}",
    "indented far": "{{ 'a\nb' | indent(10**10) }}",
    "indented by a text": "{{ ('\n' * 90000) | indent('b' * 90000, blank=true) }}",
    "formatted of one many times": "{{ ('{0}' * 30000).format('a' * 50000) }}",
    "formatted by name": "{{ ('{a}' * 30000).format(a='a' * 50000) }}",
    "formatted of a mapping": "{{ ('{a}' * 30000).format_map({'a': 'a' * 50000}) }}",
    "steps that are given back": _FOR + "{{ [-99999999] | map('spend steps') | list }}" + _END,
}
REFUSED = {
    "a long range": ("{% for i in range(10**9) %}{% endfor %}", "counts to more than"),
    "a range of no length": ("{{ range(10**30) }}", "counts to more than"),
    "numbers without end": ("{{ 10**(10**10) }}", "over 4096 bits"),
    "products without end": (_TWICE % ("3", "1", "{% set ns.a = ns.a * ns.a %}"), "over 4096 bits"),
    "a macro in itself": ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "macros stand inside each other"),
    "a macro through another": (
        "{% macro f() %}{{ g() }}{% endmacro %}{% macro g() %}{{ f() }}{% endmacro %}{{ f() }}",
        "macros stand inside each other",
    ),
    "a block in itself": ("{% block a %}{{ self.a() }}{% endblock %}", "macros stand inside each other"),
    "lists in lists": (
        "{% set ns = namespace(x=[]) %}{% for i in range(900) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}",
        "lists stand inside each other",
    ),
    "a wide number": ("{{ '%9999999999d' % 1 }}", "three digits of width"),
    "a wide number, by a filter": ("{{ '%9999999999d' | format(1) }}", "three digits of width"),
    "a width that is an argument": ("{{ '%*d' % (10**10, 1) }}", "three digits of width"),
    "a long fraction": ("{{ '%.9999999999f' % 1.0 }}", "three digits of width"),
    "a wide field": ("{{ '{:9999999999}'.format(1) }}", "three digits of width"),
    "a field as wide as another": ("{{ '{:{}}'.format(1, 10**10) }}", "three digits of width"),
    "a wide field of an escaped text": ("{{ ('{:9999999999}' | safe).format(1) }}", "three digits of width"),
    "JSON that is indented far": ("{{ [[1]] | tojson(indent=10**10) }}", "over 16 characters"),
    "a long day": ("{{ strftime_now('%c' * 1000) }}", "writes the day"),
    "bytes of a number": ("{{ (5).to_bytes(10**10, 'big') }}", "'to_bytes', which is not offered"),
    "a method that pads": ("{{ 'a'.ljust(10**10) }}", "'ljust', which is not offered"),
    "the same of an escaped text": ("{{ ('a' | safe).ljust(10**10) }}", "'ljust', which is not offered"),
    "another escaping, calculated at once": ("{% autoescape 'a' | upper %}{% endautoescape %}", "escaped"),
    "a deep template": ("{{ 1" + " + 1" * 150 + " }}", "stand inside each other"),
    "deep statements": ("{% if 1 %}" * 101 + "{% endif %}" * 101, "stand inside each other"),
    "a template of many parts": ("{{ 1" + "~1" * 12_000 + " }}", "more than 10000 expressions"),
    "a long template": ("a" * (MOST_TEMPLATE + 1), f"over {MOST_TEMPLATE} characters"),
}
NOT_UNDERSTOOD = {
    "a filter that pads": "{{ 'a' | center(10**10) }}",
    "a filter that fills up": "{{ [1] | batch(10**10, 0) | list }}",
    "loops that Python cannot nest": "{% for a in [1] %}" * 30 + "{% endfor %}" * 30,
    "parentheses that nobody can read": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "a number that is too long": "{{ " + "9" * 9000 + " }}",
}


def said(text: str = "hello") -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def written(source: str, messages: list[dict[str, str]]) -> str:
    return ChatTemplate(source, {"bos_token": "<s>", "eos_token": "</s>"}, "model-of-strangers").render(messages, True)


@pytest.mark.parametrize("kind", STEPS)
def test_a_template_that_takes_too_many_steps_is_refused(kind: str) -> None:
    with pytest.raises(
        ChatFormatError, match=r"template of model-of-strangers is refused: it takes more than 110010 st"
    ):
        written(STEPS[kind], said())


@pytest.mark.parametrize("kind", REFUSED)
def test_what_no_conversation_needs_is_refused_before_it_is_made(kind: str) -> None:
    source, problem = REFUSED[kind]
    with pytest.raises(ChatFormatError, match="template of model-of-strangers is refused: ") as refusal:
        written(source, said())
    assert problem in refusal.value.message


@pytest.mark.parametrize("kind", NOT_UNDERSTOOD)
def test_what_cannot_be_compiled_is_said(kind: str) -> None:
    with pytest.raises(ChatFormatError, match="template of model-of-strangers is no Jinja that is understood"):
        written(NOT_UNDERSTOOD[kind], said())


def test_what_a_template_says_when_it_refuses_is_cut() -> None:
    with pytest.raises(ChatFormatError) as refusal:
        written("{{ raise_exception('a' * 100000) }}", said())
    assert len(refusal.value.message) < 500


def test_the_same_template_takes_the_same_steps_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    left = []

    class Watched(RenderBudget):
        def spend(self, steps: int) -> None:
            super().spend(steps)
            left.append(self._left)

    monkeypatch.setattr(template_budget, "RenderBudget", Watched)
    for _ in range(2):
        written(KNOWN_FORMATS["Qwen 3"], said())
        left.append(-1)
    middle = len(left) // 2
    assert left[:middle] == left[middle:]
    assert middle > 10


def talk(number: int, words: int) -> list[dict[str, str]]:
    """A conversation of ``number`` messages of about ``words`` words, answers with thoughts in front."""
    texts = [f"word{at} <b> é\n" * (words // 3) for at in range(number)]
    thoughts = ["", "<think>\nhm\n</think>\n\n"]
    return [
        {"role": ("user", "assistant")[at % 2], "content": thoughts[at % 2] + text} for at, text in enumerate(texts)
    ]


@pytest.mark.parametrize("name", KNOWN_FORMATS)
@pytest.mark.parametrize(("number", "words"), [(1, 3), (9, 60), (41, 1500), (601, 60)])
def test_known_formats_write_long_conversations_as_transformers_does(name: str, number: int, words: int) -> None:
    messages = talk(number, words)
    names: dict[str, Any] = {"bos_token": "<s>", "eos_token": "</s>", "tools": None, "documents": None}
    template = _compile_jinja_template(KNOWN_FORMATS[name])
    expected = template.render(messages=messages, add_generation_prompt=True, **names)
    assert written(KNOWN_FORMATS[name], messages) == expected


def test_looking_back_and_forth_from_each_of_many_messages_is_no_fault() -> None:
    """Some real formats ask at each message what stands before and behind it."""
    source = (
        "{% for m in messages %}{{ m.content }}"
        "{% for n in messages[loop.index:] if n.role == m.role %}{% if loop.last %}.{% endif %}{% endfor %}"
        "{{ messages | selectattr('role', 'equalto', 'user') | list | length }}{% endfor %}"
    )
    messages = talk(201, 3)
    assert written(source, messages) == _compile_jinja_template(source).render(messages=messages)


def test_training_runs_templates_in_the_same_sandbox(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    from nexus_chain.distillation.lora.chat_examples import PromptWriter
    from nexus_chain.distillation.lora.errors import TrainingDataError
    from tests.support.small_tokenizers import byte_level, keep

    named = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "</s>"}
    keep(tmp_path, byte_level("</s>"), tokenizer_config={**named, "chat_template": STEPS["nested loops"]})
    assert json.loads((tmp_path / "tokenizer_config.json").read_text())["chat_template"]
    writer = PromptWriter(AutoTokenizer.from_pretrained(str(tmp_path)))
    with pytest.raises(TrainingDataError, match=f"template of {tmp_path.name} is refused: it takes more than"):
        writer.tokens("hello")
