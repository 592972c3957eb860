"""Prices that are written into a chat template before Jinja makes Python of it.

What runs more than once begins with the steps that it takes. What Python does by itself (comparing, joining, cutting,
hashing a key) has its operands paid for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.visitor import NodeTransformer

from nexus_chain.versions.template_budget import TEXT, TemplateTooCostlyError, charge, charge_copy, spend

# No template can spell a filter's name that has a blank in it.
_SPEND, _CHARGE, _COPY = "spend steps", "charge all", "charge copy"
#: Statements whose bodies run often, or never: each body pays for itself.
_BODIES = (nodes.For, nodes.Macro, nodes.CallBlock, nodes.Block, nodes.If)
_BODY_FIELDS = ("body", "else_")
_MOST_DEPTH = 100  # expressions inside each other
_MOST_NODES = 10_000  # six times the most that is known


def _spend(steps: int) -> bool:
    spend(max(0, steps))  # a template that finds the name of this filter gets nothing back
    return True


#: Filters that :class:`PriceTags` writes into templates.
PRICES: Mapping[str, Callable[..., Any]] = {_SPEND: _spend, _CHARGE: charge, _COPY: charge_copy}


class PriceTags(NodeTransformer):
    """Writes the prices into a parsed template. Raises jinja2.exceptions.SecurityError for what has none."""

    def visit_Template(self, node: nodes.Template) -> nodes.Node:
        _require_small(node)
        return self.generic_visit(node)

    def generic_visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> nodes.Node:
        if isinstance(node, nodes.EvalContextModifier | nodes.ScopedEvalContextModifier):
            raise SecurityError("it changes how texts are escaped, which is not offered to templates")
        super().generic_visit(node, *args, **kwargs)
        if isinstance(node, _BODIES):
            for field in _BODY_FIELDS:
                body = getattr(node, field, None)
                if body or (field == "body" and body is not None):  # an empty body of a loop runs, too
                    setattr(node, field, [nodes.ExprStmt(_step_of(body, node.lineno)), *body])
        return node

    def visit_For(self, node: nodes.For) -> nodes.Node:
        self.generic_visit(node)
        if node.test is not None:  # it runs for each item, also for those that it leaves out
            node.test = nodes.And(_step_of([node.test], node.lineno), node.test)
        return node

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:
        self.generic_visit(node)
        node.expr = _priced(node.expr, _CHARGE)
        for operand in node.ops:
            operand.expr = _priced(operand.expr, _CHARGE)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        node.nodes = [_priced(one, _CHARGE) for one in node.nodes]
        return node

    def visit_Pair(self, node: nodes.Pair) -> nodes.Node:
        self.generic_visit(node)
        node.key = _priced(node.key, _CHARGE)
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:
        self.generic_visit(node)
        if isinstance(node.arg, nodes.Slice):
            node.node = _priced(node.node, _COPY)
        return node


def _priced(expression: nodes.Expr, price: str) -> nodes.Expr:
    if isinstance(expression, nodes.Const):
        return expression
    return nodes.Filter(expression, price, [], [], None, None, lineno=expression.lineno)


def _require_small(node: nodes.Node) -> None:
    """Raise TemplateTooCostlyError for a template of which Python could not be made, or only in minutes."""
    waiting, number = [(node, 0)], 0
    while waiting:
        one, depth = waiting.pop()
        number += 1
        if depth > _MOST_DEPTH:
            raise TemplateTooCostlyError(f"more than {_MOST_DEPTH} of its expressions stand inside each other")
        if number > _MOST_NODES:
            raise TemplateTooCostlyError(f"it has more than {_MOST_NODES} expressions")
        waiting += [(inner, depth + 1) for inner in one.iter_child_nodes()]


def _step_of(body: list[nodes.Node], line: int) -> nodes.Expr:
    """An expression that pays for one run of ``body``, without the bodies inside, which pay for themselves."""
    steps = nodes.Const(1 + sum(map(_steps, body)), lineno=line)
    return nodes.Filter(steps, _SPEND, [], [], None, None, lineno=line)


def _steps(node: nodes.Node) -> int:
    found, waiting = 0, [node]
    while waiting:
        one = waiting.pop()
        found += 1 + (len(one.data) // TEXT if isinstance(one, nodes.TemplateData) else 0)
        waiting += _parts(one)
    return found


def _parts(node: nodes.Node) -> Iterator[nodes.Node]:
    """The nodes inside one, without bodies that pay for themselves."""
    for _field, value in node.iter_fields(exclude=_BODY_FIELDS if isinstance(node, _BODIES) else None):
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, nodes.Node):
                yield part
