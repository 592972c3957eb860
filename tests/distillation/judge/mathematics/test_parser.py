"""What is read as which term, what is refused, and that a term's text is read back as the term."""

from __future__ import annotations

import ast
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_chain.distillation.judge.errors import MathematicsSubsetError
from nexus_chain.distillation.judge.mathematics.characters import readable
from nexus_chain.distillation.judge.mathematics.exact import UndefinedValueError, exact_value
from nexus_chain.distillation.judge.mathematics.parser import parse_chain, parse_term
from nexus_chain.distillation.judge.mathematics.terms import Apply, Literal, MathTerm, Name, depth, plain

POINT = {"x": Fraction(3), "y": Fraction(-2, 5), "z": Fraction(0)}


def value(text: str) -> Fraction:
    return exact_value(parse_term(readable(text)), POINT)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12+7-5", 14),
        ("1-2-3", -4),
        ("8/4/2", 1),
        ("8/4*2", 4),
        ("-2^2", -4),
        ("(-2)^2", 4),
        ("2^3^2", 512),
        ("2**-1", Fraction(1, 2)),
        ("2x", 6),
        ("2x^2", 18),
        ("-2x^2", -18),
        ("3(x+1)", 12),
        ("(x+1)(x-1)", 8),
        ("x(x+1)", 12),
        ("50%", Fraction(1, 2)),
        (r"50\%", Fraction(1, 2)),
        ("7 % 4", 3),
        ("-7 % 4", 1),
        ("7 % (-4)", -1),
        ("-7 // 4", -2),
        ("7 mod 4", 3),
        ("5!", 120),
        ("factorial(5)", 120),
        ("x!^2", 36),
        ("|x-5|", 2),
        ("gcd(12, 18)", 6),
        ("lcm(4, 6)", 12),
        ("min(x, 2, 7)", 2),
        ("max(x, 2, 7)", 7),
        ("sqrt(9/4)", Fraction(3, 2)),
        ("√16", 4),
        ("1,234,567", 1234567),
        (".5", Fraction(1, 2)),
        ("0.1", Fraction(1, 10)),
        ("3 × 4 ÷ 2", 6),
        ("5 − 7", -2),
        ("x²", 9),
        (r"\frac{1}{2} \cdot x", Fraction(3, 2)),
        (r"\frac12 x", Fraction(3, 2)),
        (r"\dfrac{x+1}{x-1}", 2),
        (r"\left( x + 1 \right)^{2}", 16),
        (r"\sqrt{16}", 4),
        (r"\gcd(12, 18)", 6),
        ("1^(10^30)", 1),
    ],
)
def test_value(text: str, expected: int | Fraction) -> None:
    assert value(text) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("1/2x", "product without a sign"),
        ("6/2(1+2)", "product without a sign"),
        ("2 1/2", "cannot be read"),
        (r"2\frac{1}{2}", "cannot be read"),
        ("2 3", "cannot be read"),
        ("x 3", "cannot be read"),
        ("1,23", "comma"),
        ("0,125", "comma"),
        ("gcd(100,200)", "comma"),
        ("5!=120", "'!='"),
        ("f(x)", "value of a function"),
        ("xy", "'xy' is not in the subset"),
        ("sin(x)", "'sin' is not in the subset"),
        ("e", "constant or a variable"),
        ("2e5", "power of ten"),
        ("7 % -2", "cannot be read"),
        ("|x", "no partner"),
        (r"\int x", r"\\int is not in the subset"),
        ("5 +", "too early"),
        ("gcd(12)", "does not take 1"),
        ("\u0445 + 1", "CYRILLIC SMALL LETTER HA"),
        ("1\u0665", "ARABIC-INDIC DIGIT FIVE"),
        ("\uff11", "FULLWIDTH DIGIT ONE"),
        ("1\u200b2", "ZERO WIDTH SPACE"),
        ("\u202e12", "RIGHT-TO-LEFT OVERRIDE"),
        ("1\x00", r"U\+0000"),
        ("x" * 5_000, "longer than"),
        ("9" * 1_000, "more than 300 digits"),
        ("(" * 500 + "1" + ")" * 500 + "^" * 500, "cannot be read"),
        ("-" * 3_000 + "1", "nested deeper"),
        ("2^" * 1_000 + "1", "nested deeper"),
        ("2+" * 30_000 + "1", "longer than"),
    ],
)
def test_refusal(text: str, why: str) -> None:
    with pytest.raises(MathematicsSubsetError, match=why):
        parse_term(readable(text))


@pytest.mark.parametrize("text", ["10**10**10", "9^9^9^9", "x*10^(10^10)", "99999!", "2^0.5", "sqrt(2)", "2.5 % 2"])
def test_what_is_too_large_or_not_exact_is_not_computed(text: str) -> None:
    with pytest.raises(MathematicsSubsetError):
        value(text)


@pytest.mark.parametrize("text", ["1/0", "1 % 0", "1 // (x-3)", "z^0", "0^(-1)"])
def test_what_is_not_defined_has_no_value(text: str) -> None:
    with pytest.raises(UndefinedValueError):
        value(text)


def test_a_chain_has_its_relations() -> None:
    terms, relations = parse_chain("a == b <= 5 != c")
    assert [plain(term) for term in terms] == ["a", "b", "5", "c"]
    assert relations == ("=", "≤", "≠")


def test_a_word_is_a_name_where_the_domain_says_so() -> None:
    assert parse_term("total + 1", frozenset({"total"})) == Apply("+", (Name("total"), Literal(Fraction(1))))


LEAVES = st.one_of(
    st.integers(0, 10_000).map(lambda value: Literal(Fraction(value))),
    st.decimals(0, 100, places=3).map(lambda value: Literal(Fraction(value))),
    st.sampled_from("xyz").map(Name),
)


def _larger(inner: st.SearchStrategy[MathTerm]) -> st.SearchStrategy[MathTerm]:
    several = st.lists(inner, min_size=2, max_size=4).map(tuple)
    return st.one_of(
        st.builds(Apply, st.sampled_from(["+", "*", "min", "max", "gcd", "lcm"]), several),
        st.builds(Apply, st.sampled_from(["/", "//", "%", "^"]), st.tuples(inner, inner)),
        st.builds(Apply, st.sampled_from(["neg", "!", "abs", "sqrt"]), st.tuples(inner)),
    )


TERMS: st.SearchStrategy[MathTerm] = st.recursive(LEAVES, _larger, max_leaves=12)


@given(TERMS)
def test_a_term_is_read_back_as_it_was(term: MathTerm) -> None:
    assert parse_term(plain(term)) == term


def latex(term: MathTerm) -> str:
    """The same term as LaTeX, with braces instead of parentheses where LaTeX has them."""
    if not isinstance(term, Apply):
        return plain(term)
    inner = [latex(one) for one in term.arguments]
    match term.operator:
        case "/":
            return f"\\frac{{{inner[0]}}}{{{inner[1]}}}"
        case "^":
            return f"\\left({inner[0]}\\right)^{{{inner[1]}}}"
        case "+":
            return "\\left(" + " + ".join(f"({one})" for one in inner) + "\\right)"
        case "*":
            return " \\cdot ".join(f"({one})" for one in inner)
        case "sqrt":
            return f"\\sqrt{{{inner[0]}}}"
        case "%":
            return f"({inner[0]}) \\bmod ({inner[1]})"
        case "neg":
            return f"-({inner[0]})"
        case "!":
            return f"({inner[0]})!"
        case "//":
            return f"({inner[0]}) // ({inner[1]})"
        case name:
            return f"{name}({', '.join(inner)})"


@given(TERMS)
def test_latex_and_plain_text_say_the_same(term: MathTerm) -> None:
    assert parse_term(readable(f"${latex(term)}$")) == parse_term(plain(term))


class _Exact(ast.NodeTransformer):
    """Literals become fractions, so that Python calculates exactly."""

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.parse(f"Fraction('{node.value}')", mode="eval").body


@settings(max_examples=300)
@given(
    st.lists(st.sampled_from(["1", "2", "3", "12", "0.5", "+", "-", "*", "/", "**", "//", "%", "(", ")"]), max_size=9)
)
def test_what_python_reads_too_has_the_same_value(tokens: list[str]) -> None:
    text = "".join(tokens)
    try:
        ours = value(text)
        tree = ast.fix_missing_locations(_Exact().visit(ast.parse(text, mode="eval")))
    except (MathematicsSubsetError, UndefinedValueError, SyntaxError):
        return
    if not any(isinstance(node, ast.Call) and not isinstance(node.func, ast.Name) for node in ast.walk(tree)):
        assert ours == eval(compile(tree, "text", "eval"), {"Fraction": Fraction})


@given(st.text(alphabet="0123456789xyzab+-*/^%!().,={}[]|\\ <>√frac", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        terms, _ = parse_chain(readable(text))
    except MathematicsSubsetError:
        return
    assert all(parse_term(plain(term)) == term for term in terms if depth(term) < 20)
