"""``nexus model catalogue`` and ``fetch``."""

from __future__ import annotations

from pathlib import Path

from nexus_chain.workflows.catalogue import catalogue
from tests.support.invocation import Nexus


def test_the_command_says_where_a_model_is(nexus: Nexus, tmp_path: Path) -> None:
    rows = nexus("--home", tmp_path, "model", "catalogue", "--json").json["models"]
    assert [row["name"] for row in rows] == list(catalogue())
    assert [row["folder"] is not None for row in rows] == [False, False, False, True]
    found = nexus("--home", tmp_path, "model", "fetch", "python-stdlib", "--json").json
    assert (found["folder"], found["fetched"]) == (rows[-1]["folder"], False)
    refused = nexus("--home", tmp_path, "model", "fetch", "gpt-5", "--json")
    assert refused.code == 1
    assert refused.json["error"]["type"] == "CatalogueError"
    assert "smollm2-135m-instruct" in refused.err
