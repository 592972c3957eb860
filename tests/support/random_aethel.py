"""Random small programs in Aethel for hypothesis: every name has a value, types fit, divisors may be 0."""

from __future__ import annotations

from hypothesis import strategies as st

NAMES = ("x", "y")
COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")


def numbers(names: tuple[str, ...], depth: int = 2) -> st.SearchStrategy[str]:
    """Integer expressions over ``names``."""
    leaves = st.one_of(st.sampled_from(names), st.integers(-3, 4).map(lambda value: f"({value})"))
    if depth == 0:
        return leaves
    inner = numbers(names, depth - 1)
    two = st.tuples(inner, st.sampled_from(("+", "-", "+", "-", "*", "/", "%")), inner).map(" ".join)
    return st.one_of(leaves, two.map(lambda text: f"({text})"), inner.map(lambda text: f"-{text}"))


def conditions(names: tuple[str, ...], depth: int = 1) -> st.SearchStrategy[str]:
    """Truth values over ``names``."""
    comparison = st.tuples(numbers(names), st.sampled_from(COMPARISONS), numbers(names)).map(" ".join)
    if depth == 0:
        return comparison
    inner = conditions(names, depth - 1).map(lambda text: f"({text})")
    two = st.tuples(inner, st.sampled_from(("and", "or", "=>", "==")), inner).map(" ".join)
    return st.one_of(comparison, two, inner.map(lambda text: f"!{text}"))


def statements(names: tuple[str, ...]) -> st.SearchStrategy[str]:
    """One assignment, or a branch with one on each side."""
    assignment = st.tuples(st.sampled_from(names), numbers(names)).map(lambda parts: f"{parts[0]} = {parts[1]};")
    branch = st.tuples(conditions(names, 0), assignment, assignment).map(
        lambda parts: f"if {parts[0]} {{ {parts[1]} }} else {{ {parts[2]} }}"
    )
    return st.one_of(assignment, branch)


@st.composite
def sources(draw: st.DrawFn, sequences: int = 2) -> str:
    """One intent, or a batch of up to ``sequences``."""
    count = draw(st.integers(1, sequences))
    intents = []
    for number in range(count):
        guard = draw(st.lists(conditions(NAMES), max_size=2))
        solve = draw(st.lists(statements(NAMES), max_size=2))
        verify = draw(st.lists(conditions((*NAMES, "old(x)", "old(y)")), min_size=1, max_size=2))
        blocks = (
            f"guard {{ {' '.join(f'{one};' for one in guard)} }} solve {{ {' '.join(solve)} }} "
            f"verify {{ {' '.join(f'{one};' for one in verify)} }}"
        )
        intents.append(f"intent f{number}(x, y) {{ {blocks} }}")
    return intents[0] if count == 1 else f"atomic_batch b {{ {' '.join(intents)} }}"
