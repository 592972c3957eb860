"""The vectors of the page's own checks are what this code says; the page's unit tests take them from the same file."""

from __future__ import annotations

import json
import re
from pathlib import Path

from nexus_chain.certificates.audit import DISTILLATION_STEPS, STEPS
from nexus_chain.certificates.distillation_certificate import SignedDistillation
from nexus_chain.content.record_lines import RecordProof
from nexus_chain.content.unixfs import cid_of
from scripts.make_page_vectors import TARGET, page_vectors

PAGE = Path(__file__).parents[2] / "node" / "web" / "src" / "pages" / "audit"


def test_the_file_is_what_the_script_makes() -> None:
    assert json.loads(TARGET.read_text()) == page_vectors()


def test_the_vectors_hold() -> None:
    found = json.loads(TARGET.read_text())
    document, told = found["certificate"]["document"].encode(), found["certificate"]
    signed = SignedDistillation.from_bytes(document)
    assert (str(cid_of(document)), signed.signer()) == (told["cid"], told["signer"])
    assert signed.certificate.model.publisher == told["signer"]
    for plain in found["inclusions"]:
        proof = RecordProof(**{**plain, "siblings": tuple(plain["siblings"])})
        proof.verify(proof.root, proof.size)


def test_the_page_has_words_for_every_step() -> None:
    """In each language but English, whose words are the steps' own."""
    text = (PAGE / "step_words.ts").read_text()
    titles = {title for title, _ in (*STEPS, *DISTILLATION_STEPS)}
    for language in ("pt", "ko"):
        part = text.split(f"  {language}: {{")[1].split("\n  },")[0]
        known = {quoted or bare for quoted, bare in re.findall(r'^\s+(?:"([^"]+)"|(\w+)): "', part, re.MULTILINE)}
        assert known == titles, language
