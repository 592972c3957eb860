"""The table of op kinds, what is collected from it, and what is generated from it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nexus_chain.engine.native_plan import STEP_CODES, WHOLE_STEPS
from nexus_chain.program.errors import KindTableError
from nexus_chain.program.op_kinds import KINDS, PerKind, collect
from scripts import generate_op_kinds


def named(name: str) -> Callable[[], str]:
    def function() -> str:
        return name

    function.__name__ = name
    return function


def test_a_missing_kind_is_named() -> None:
    table: PerKind[Callable[[], str]] = PerKind("this table")
    for kind in KINDS:
        if kind != "gelu":
            table(named(f"_{kind}"))
    with pytest.raises(KindTableError, match="this table lacks the op kind gelu"):
        table.complete()
    assert list(table.complete(without={"gelu"})) == [kind for kind in KINDS if kind != "gelu"]


@pytest.mark.parametrize("name", ["_row_maximum", "_embed"])
def test_a_function_of_no_kind_or_of_one_entered_before_is_refused(name: str) -> None:
    table: PerKind[Callable[[], str]] = PerKind("this table")
    table(named("_embed"))
    with pytest.raises(KindTableError, match=name.removeprefix("_")):
        table(named(name))


def test_a_table_has_the_order_of_the_kinds() -> None:
    assert list(collect({kind: named(kind) for kind in reversed(KINDS)}, "this table")) == list(KINDS)


def test_numbers_of_kinds_are_one_to_the_last() -> None:
    assert [kind.code for kind in KINDS.values()] == list(range(1, len(KINDS) + 1))
    assert set(KINDS) >= WHOLE_STEPS
    assert sorted(STEP_CODES.values()) == list(range(len(STEP_CODES)))


def test_weights_are_named_by_what_layouts_demand() -> None:
    assert KINDS["linear"].weights == ("weight", "scale", "bias")
    assert KINDS["normalise"].weights == ("gain", "bias")
    assert KINDS["attention"].weights == ("exp2",)
    assert KINDS["sample"].weights == ()


def test_experts_read_a_matrix_where_linear_does() -> None:
    """``ExpertLinear.sol`` hands its op to ``Linear.sol`` for the product."""
    assert KINDS["expert_linear"].params[:4] == KINDS["linear"].params[:4]
    assert KINDS["expert_linear"].weights == KINDS["linear"].weights[:2]


def test_generated_files_are_current() -> None:
    assert generate_op_kinds.stale_files() == []
    assert set(generate_op_kinds.generated()) == {
        "nexus_chain/engine/native/kinds.h",
        "contracts/step/libraries/OpKinds.sol",
        "contracts/step/operators/Operators.sol",
        "node/web/src/engine/op_kinds.ts",
    }
