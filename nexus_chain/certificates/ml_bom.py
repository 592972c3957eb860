"""A CycloneDX ML-BOM of a distilled version: the same facts in the form that supply-chain tools read.

It says what the certificate says and adds nothing but licences. It is not signed and proves nothing: it links the
certificate, and that is what is audited. The library of CycloneDX writes the bill; of the model card it knows nothing
(version 11.12), so the card is added to its JSON, and its validator judges the whole.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

from nexus_chain.certificates.distillation_certificate import (
    CertifiedScore,
    DistillationCertificate,
    SignedDistillation,
)
from nexus_chain.certificates.errors import BillOfMaterialsError
from nexus_chain.distillation.errors import MissingPackageError
from nexus_chain.versions.manifest import FileReference, Manifest

if TYPE_CHECKING:
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component

_MODEL, _PARENT, _DATASET, _EVALUATION, _ADAPTER = "model", "parent", "dataset", "evaluation-set", "adapter"
_LARGEST_FILES = 64


@dataclass(frozen=True)
class BillFacts:
    """What is not in the certificate. ``licences``: SPDX expressions of model, dataset and evaluation set.

    ``created``: with its time zone; a bill of the same facts is the same bytes. ``parent_name``: for readers.
    """

    parent_name: str
    model_licence: str
    data_licence: str
    created: datetime


def bill_of_materials(signed: SignedDistillation, manifest: Manifest, facts: BillFacts, schema: str = "1.6") -> str:
    """The bill as JSON of CycloneDX ``schema`` ("1.6" or "1.7").

    ``manifest``: of the certified version, for the hashes of its files. Raises BillOfMaterialsError where the schema
    refuses it, MissingPackageError.
    """
    try:
        from cyclonedx.output.json import BY_SCHEMA_VERSION
        from cyclonedx.schema import SchemaVersion
    except ImportError as error:
        raise MissingPackageError.of("cyclonedx-python-lib") from error
    if schema not in ("1.6", "1.7"):
        raise BillOfMaterialsError(f"there is no ML-BOM of version {schema} here", advice="Ask for 1.6 or 1.7.")
    version = SchemaVersion.from_version(schema)
    plain = json.loads(BY_SCHEMA_VERSION[version](_bill(signed, manifest, facts)).output_as_string())
    plain["metadata"]["component"]["modelCard"] = _model_card(signed.certificate)
    text = json.dumps(plain, indent=1, sort_keys=True) + "\n"
    require_bill(text, schema)
    return text


def require_bill(text: str, schema: str = "1.6") -> None:
    """Raise BillOfMaterialsError unless CycloneDX's own strict validator takes ``text``."""
    try:
        from cyclonedx.schema import SchemaVersion
        from cyclonedx.validation.json import JsonStrictValidator
    except ImportError as error:
        raise MissingPackageError.of("cyclonedx-python-lib") from error
    problem = JsonStrictValidator(SchemaVersion.from_version(schema)).validate_str(text)
    if problem is not None:
        raise BillOfMaterialsError(
            f"the schema of CycloneDX {schema} refuses the bill ({str(problem)[:300]})",
            advice="Check the licence expressions and names.",
        )


def _bill(signed: SignedDistillation, manifest: Manifest, facts: BillFacts) -> Bom:
    from cyclonedx.model.bom import Bom, BomMetaData

    certificate = signed.certificate
    model = _model(signed, manifest, facts)
    parent = _parent(certificate, facts)
    data = [
        _data(_DATASET, "dataset.jsonl", certificate.dataset.file, certificate.dataset.root, facts.data_licence),
        _data(
            _EVALUATION,
            "evaluation.jsonl",
            certificate.evaluation.problems,
            certificate.evaluation.root,
            facts.data_licence,
        ),
        _data(_ADAPTER, "adapter_model.safetensors", certificate.training.adapter, None, facts.model_licence),
    ]
    libraries = [_library(name, version) for name, version in sorted(certificate.training.libraries.items())]
    bom = Bom(
        serial_number=uuid5(NAMESPACE_URL, f"ipfs://{signed.cid}"),
        metadata=BomMetaData(component=model, timestamp=facts.created),
        components=[parent, *data, *libraries],
    )
    bom.register_dependency(model, [parent, *data, *libraries])
    return bom


def _model(signed: SignedDistillation, manifest: Manifest, facts: BillFacts) -> Component:
    from cyclonedx.model import ExternalReference, ExternalReferenceType, XsUri
    from cyclonedx.model.component import Component, ComponentType, Pedigree
    from cyclonedx.model.license import LicenseExpression

    certificate = signed.certificate
    files = sorted(manifest.files.items())[:_LARGEST_FILES]
    return Component(
        name=certificate.model.name,
        version=certificate.model.version,
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref=_MODEL,
        licenses=[LicenseExpression(facts.model_licence)],
        hashes=_hashes(manifest.files["model.safetensors"]) if "model.safetensors" in manifest.files else None,
        pedigree=Pedigree(ancestors=[_parent(certificate, facts, ref="ancestor")], notes="LoRA adapter, merged"),
        components=[_file(name, file) for name, file in files],
        external_references=[
            ExternalReference(type=ExternalReferenceType.ATTESTATION, url=XsUri(f"ipfs://{signed.cid}")),
            ExternalReference(type=ExternalReferenceType.DISTRIBUTION, url=XsUri(f"ipfs://{manifest_cid(signed)}")),
        ],
        properties=_properties(_facts_of(certificate)),
    )


def manifest_cid(signed: SignedDistillation) -> str:
    """Where the certified version's manifest is."""
    return signed.certificate.model.manifest


def _parent(certificate: DistillationCertificate, facts: BillFacts, ref: str = _PARENT) -> Component:
    from cyclonedx.model.component import Component, ComponentType

    parent = certificate.parent
    named = {"model_version": parent.model_version, "weights_root": parent.weights_root}
    linked = {"certificate": f"ipfs://{parent.certificate}"} if parent.certificate else {}
    return Component(
        name=facts.parent_name,
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref=ref,
        properties=_properties({**named, **linked}),
    )


def _data(ref: str, name: str, file: FileReference, root: str | None, licence: str) -> Component:
    from cyclonedx.model import ExternalReference, ExternalReferenceType, XsUri
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.model.license import LicenseExpression

    return Component(
        name=name,
        type=ComponentType.DATA,
        bom_ref=ref,
        hashes=_hashes(file),
        licenses=[LicenseExpression(licence)],
        external_references=[
            ExternalReference(type=ExternalReferenceType.DISTRIBUTION, url=XsUri(f"ipfs://{file.cid}"))
        ],
        properties=_properties({"merkle_root": root} if root else {}),
    )


def _file(name: str, file: FileReference) -> Component:
    from cyclonedx.model.component import Component, ComponentType

    return Component(name=name, type=ComponentType.FILE, bom_ref=f"file:{name}", hashes=_hashes(file))


def _library(name: str, version: str) -> Component:
    from cyclonedx.model.component import Component, ComponentType

    return Component(name=name, version=version, type=ComponentType.LIBRARY, bom_ref=f"library:{name}")


def _hashes(file: FileReference) -> list[Any]:
    from cyclonedx.model import HashAlgorithm, HashType

    return [HashType(alg=HashAlgorithm.SHA_256, content=file.sha256[2:])]


def _properties(facts: Mapping[str, str]) -> list[Any]:
    from cyclonedx.model import Property

    return [Property(name=f"nexus:{name}", value=value) for name, value in facts.items()]


def _facts_of(certificate: DistillationCertificate) -> dict[str, str]:
    model, dataset = certificate.model, certificate.dataset
    teachers = {
        f"teacher:{one.name}": f"{one.provider} {one.model}: {one.accepted} of {one.answers} answers accepted"
        for one in certificate.teachers
    }
    return {
        "model_version": model.model_version,
        "weights_root": model.weights_root,
        "program_root": model.program_root,
        "operator": model.publisher,
        "verified_examples": str(dataset.verified),
        "tier": dataset.tier,
        "cost_usd": certificate.cost_usd,
        "lost_answers": str(certificate.lost),
        "cpu_class": certificate.training.cpu_class,
        **teachers,
    }


def _model_card(certificate: DistillationCertificate) -> dict[str, Any]:
    evaluation = certificate.evaluation
    settings = {f"nexus:training:{name}": value for name, value in sorted(certificate.training.configuration.items())}
    seeds = {f"nexus:seed:{name}": str(seed) for name, seed in sorted(certificate.training.seeds.items())}
    return {
        "modelParameters": {
            "approach": {"type": "supervised"},
            "task": "text generation",
            "architectureFamily": "transformer",
            "datasets": [{"ref": _DATASET}, {"ref": _EVALUATION}],
            "inputs": [{"format": "text"}],
            "outputs": [{"format": "text"}],
        },
        "quantitativeAnalysis": {
            "performanceMetrics": [
                *_metrics(evaluation.before, f"{evaluation.metric}, parent"),
                *_metrics(evaluation.after, f"{evaluation.metric}, this version"),
            ]
        },
        "considerations": {
            "technicalLimitations": [
                f"Measured on {evaluation.total} problems with answers of at most {evaluation.max_tokens} tokens."
            ]
        },
        "properties": [{"name": name, "value": value} for name, value in {**settings, **seeds}.items()],
    }


def _metrics(score: CertifiedScore, slice_: str) -> Sequence[dict[str, Any]]:
    interval = {"lowerBound": score.accuracy_low, "upperBound": score.accuracy_high}
    return (
        {"type": "accuracy", "value": score.accuracy, "slice": slice_, "confidenceInterval": interval},
        {"type": "loss", "value": score.loss, "slice": slice_},
        {"type": "perplexity", "value": score.perplexity, "slice": slice_},
    )
