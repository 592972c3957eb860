#!/usr/bin/env python
"""Golden vectors that Python and the page both check: a signed distillation certificate, and examples' inclusion.

Deterministic: running it again changes no byte (``tests/certificates/test_page_vectors.py``). The key is Anvil's first
public development key.

    python scripts/make_page_vectors.py           write tests/vectors/page.json
"""

from __future__ import annotations

import json
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from nexus_chain.certificates.certificate import CertifiedModel  # noqa: E402
from nexus_chain.certificates.distillation_certificate import (  # noqa: E402
    CertifiedAdaptation,
    CertifiedDataset,
    CertifiedEvaluation,
    CertifiedJudge,
    CertifiedParent,
    CertifiedScore,
    CertifiedTeacher,
    DistillationCertificate,
)
from nexus_chain.certificates.distillation_records import ExampleRecord  # noqa: E402
from nexus_chain.chain.local import DEVELOPMENT_KEYS  # noqa: E402
from nexus_chain.chain.wallet import Wallet  # noqa: E402
from nexus_chain.content.record_lines import RecordLines  # noqa: E402
from nexus_chain.content.unixfs import cid_of  # noqa: E402
from nexus_chain.versions.manifest import FileReference  # noqa: E402

TARGET = ROOT / "tests" / "vectors" / "page.json"
SIZES = (1, 2, 3, 5, 8, 13, 1000)
"""Examples of the files that inclusion is proved in."""


def page_vectors() -> dict[str, Any]:
    """``certificate``: document, CID and signer. ``inclusions``: proofs as the gateway sends them."""
    publisher = Wallet.from_hex(DEVELOPMENT_KEYS[0])
    signed = _certificate(publisher.address.lower()).sign(publisher)
    inclusions = []
    for size in SIZES:
        lines = RecordLines.of(_example(number) for number in range(size))
        for index in sorted({0, size // 2, size - 1}):
            inclusions.append(json.loads(lines.prove(index).to_bytes()))
    return {
        "certificate": {
            "document": signed.to_bytes().decode(),
            "cid": str(signed.cid),
            "signer": publisher.address.lower(),
        },
        "inclusions": inclusions,
    }


def _example(number: int) -> ExampleRecord:
    return ExampleRecord(f"What is {number} + 1? 한국어 \u2028", str(number + 1), "oracle", "math", 0.9)


def _file(name: str) -> FileReference:
    data = name.encode()
    return FileReference(str(cid_of(data)), "0x" + sha256(data).hexdigest(), len(data))


def _hex(name: str) -> str:
    return "0x" + sha256(name.encode()).hexdigest()


def _score(hits: int, bits: str) -> CertifiedScore:
    return CertifiedScore(hits, bits, f"0.{hits}", "0.1", "0.9", (1000, 2000), 7, "0.4286", "1.5351")


def _certificate(publisher: str) -> DistillationCertificate:
    dataset = RecordLines.of(_example(number) for number in range(5))
    model = CertifiedModel(
        "añ한-model", "1.1.0", _hex("version"), _hex("parent"), publisher, 2, _hex("weights"), _hex("program"),
        _hex("tokenizer"), _file("manifest").cid, {"attention": 8},
    )  # fmt: skip
    judge = CertifiedJudge(
        solvers={"z3": "4"}, z3_rlimit=1_000_000, cvc5_rlimit=1_000_000, memory_bytes=1 << 30, seconds="10",
        verdicts=_file("verdicts"), verdicts_root=_hex("verdicts"), outcomes={"mathematics": {"proved": 5}}, vacuous=0,
        artefacts=_file("artefacts"), artefacts_root=_hex("artefacts"), artefact_count=5,
    )  # fmt: skip
    teacher = CertifiedTeacher(
        name="oracle", provider="local", model="oracle-1", cost_usd="0.0125", lost=0, answers=5, accepted=5, refuted=0
    )
    training = CertifiedAdaptation(
        {"lora_rank": "8"}, {"shuffle": 1}, {"torch": "2"}, "avx2", _file("adapter"), _file("config")
    )
    evaluation = CertifiedEvaluation(_file("problems"), _hex("problems"), 2, 12, _score(1, "0x01"), _score(2, "0x03"))
    return DistillationCertificate(
        model=model,
        parent=CertifiedParent(_hex("parent"), _hex("parent weights"), _hex("program"), None),
        dataset=CertifiedDataset(_file("dataset"), dataset.root, 5, 5, "unranked"),
        judge=judge,
        teachers=(teacher,),
        cost_usd="0.0125",
        lost=0,
        training=training,
        evaluation=evaluation,
    )


if __name__ == "__main__":
    TARGET.write_text(json.dumps(page_vectors(), indent=1, ensure_ascii=True) + "\n")
