"""The CycloneDX ML-BOM: CycloneDX's own validator takes it, and it says what the certificate says."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nexus_chain.certificates.errors import BillOfMaterialsError
from nexus_chain.certificates.ml_bom import BillFacts, bill_of_materials, require_bill
from tests.support.tiny_distillation import Distilled

FACTS = BillFacts("tiny 1.0.0", "Apache-2.0", "CC-BY-4.0", datetime(2026, 11, 30, tzinfo=UTC))


@pytest.mark.parametrize("schema", ["1.6", "1.7"])
def test_it_is_valid_and_the_same_every_time(distilled: Distilled, schema: str) -> None:
    manifest = distilled.publication.release.manifest
    text = bill_of_materials(distilled.signed, manifest, FACTS, schema)
    require_bill(text, schema)
    assert bill_of_materials(distilled.signed, manifest, FACTS, schema) == text
    assert json.loads(text)["specVersion"] == schema


def test_it_says_what_the_certificate_says(distilled: Distilled) -> None:
    certificate, manifest = distilled.certificate, distilled.publication.release.manifest
    bill = json.loads(bill_of_materials(distilled.signed, manifest, FACTS))
    model = bill["metadata"]["component"]
    assert (model["type"], model["name"], model["version"]) == ("machine-learning-model", "tiny", "1.1.0")
    assert model["hashes"] == [{"alg": "SHA-256", "content": manifest.files["model.safetensors"].sha256[2:]}]
    assert model["licenses"] == [{"expression": "Apache-2.0"}]
    assert {"type": "attestation", "url": f"ipfs://{distilled.cid}"} in model["externalReferences"]
    (ancestor,) = model["pedigree"]["ancestors"]
    stated = {item["name"]: item["value"] for item in ancestor["properties"]}
    assert stated["nexus:weights_root"] == certificate.parent.weights_root

    components = {component["bom-ref"]: component for component in bill["components"]}
    for ref, file in (("dataset", certificate.dataset.file), ("adapter", certificate.training.adapter)):
        assert components[ref]["hashes"][0]["content"] == file.sha256[2:]
        assert components[ref]["externalReferences"][0]["url"] == f"ipfs://{file.cid}"
    card = model["modelCard"]
    assert {item["ref"] for item in card["modelParameters"]["datasets"]} <= set(components)
    accuracies = [m for m in card["quantitativeAnalysis"]["performanceMetrics"] if m["type"] == "accuracy"]
    assert [metric["value"] for metric in accuracies] == [
        certificate.evaluation.before.accuracy,
        certificate.evaluation.after.accuracy,
    ]
    needed = {item["ref"]: set(item.get("dependsOn", ())) for item in bill["dependencies"]}
    assert {"parent", "dataset", "evaluation-set", "adapter", "library:torch"} <= needed["model"]


def test_what_the_schema_refuses_is_refused(distilled: Distilled, tmp_path: Path) -> None:
    manifest = distilled.publication.release.manifest
    bill = json.loads(bill_of_materials(distilled.signed, manifest, FACTS))
    bill["metadata"]["component"]["modelCard"]["accuracy"] = "1"
    with pytest.raises(BillOfMaterialsError, match="refuses the bill"):
        require_bill(json.dumps(bill))
    with pytest.raises(BillOfMaterialsError, match=r"version 1\.5"):
        bill_of_materials(distilled.signed, manifest, FACTS, "1.5")
