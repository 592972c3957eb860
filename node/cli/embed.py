"""``nexus embed``: texts in, embeddings out, each with its receipts and its price."""

from __future__ import annotations

import json as json_module
import sys
from typing import Annotated

import typer

from node.cli.ask import DirectFlag, MaxWeiOption, ModelOption, SessionOption, begin
from node.cli.output import emit_json, ether, note, result, spinner
from node.cli.settings import JsonFlag, OperatorsOption, ValueOption, operators_of, settings_of

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

    settings = settings_of(context)
    lines = [line.rstrip("\n") for line in sys.stdin] if texts == ["-"] else texts
    documents, cost = [], 0
    options = AskOptions(1, max_wei=max_wei, value_at_risk=value_at_risk, operators=operators_of(operators))
    with settings.client() as client:
        for text in lines:
            with spinner("Embedding", quiet=json):
                wanted = model if direct else session
                asking = begin(settings, client, text, options, direct=direct, wanted=wanted, encoder=True, quiet=json)
                for _ in asking:
                    pass
            answer = asking.answer
            closing = client.close_direct(answer) if direct else None
            path = answer.proof.save(settings.home.answers / f"{answer.order_digest.hex()[:16]}.json")
            document = {**answer.to_dict(), "answer_file": str(path)}
            document["transactions"] += [vars(closing)] if closing else []
            documents.append(document)
            cost += answer.cost_wei
            if not json:
                result(json_module.dumps([component / UNIT for component in answer.embedding or ()]))
    if json:
        emit_json({"unit": UNIT, "answers": documents})
        return
    note(f"{len(documents)} embeddings; cost {ether(cost)}. Answers are kept in {settings.home.answers}.")
