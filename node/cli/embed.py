"""``nexus embed``: texts in, embeddings out, each with its receipts and its price."""

from __future__ import annotations

import json as json_module
from typing import Annotated

import typer

from node.cli.ask import DirectFlag, MaxWeiOption, ModelOption, SessionOption, tell_failover
from node.cli.output import emit_json, ether, note, result
from node.cli.settings import JsonFlag, OperatorsOption, ValueOption, workspace_of
from node.cli.typed_text import require_text, standard_lines

UNIT = 1 << 16  # of a component: rows between segments have 16 fraction bits


def embed(
    context: typer.Context,
    texts: Annotated[list[str], typer.Argument(help="The texts; - reads one a line from standard input.")],
    direct: DirectFlag = False,
    session: SessionOption = None,
    model: ModelOption = None,
    max_wei: MaxWeiOption = None,
    value_at_risk: ValueOption = None,
    operators: OperatorsOption = None,
    json: JsonFlag = False,
) -> None:
    """Embed texts with an encoder: a line of JSON numbers each. Keeps the evidence for `nexus verify`."""
    from nexus_chain.client.order import AskOptions
    from nexus_chain.workflows import asking

    workspace = workspace_of(context, quiet=json)
    lines = standard_lines() if texts == ["-"] else [require_text(text, "a text") for text in texts]
    named = workspace.operators(operators)
    options = AskOptions(1, max_wei=max_wei, value_at_risk=value_at_risk, operators=named)
    purchase = asking.Purchase(options, direct, model if direct else session)
    documents, cost = [], 0
    with workspace.client() as client:
        for kept in asking.embed(client, workspace, lines, purchase, on_failover=None if json else tell_failover):
            documents.append(kept.to_dict())
            cost += kept.answer.cost_wei + kept.answer.share_wei
            if not json:
                result(json_module.dumps([component / UNIT for component in kept.answer.embedding or ()]))
    if json:
        emit_json({"unit": UNIT, "answers": documents})
        return
    note(f"{len(documents)} embeddings; cost {ether(cost)}. Answers are kept in {workspace.home.answers}.")
