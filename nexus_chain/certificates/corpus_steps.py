"""The steps of an audit of a model that was trained on a corpus: its data, its metrics, its training record."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer

from nexus_chain.certificates.audit_evidence import AuditEvidence, require_found
from nexus_chain.content.block_store import fetch_file
from nexus_chain.content.listing import DataListing
from nexus_chain.engine.engine import Engine
from nexus_chain.program.file_names import TOKENIZER_FILE
from nexus_chain.quality.errors import MeasurementError
from nexus_chain.quality.held_out import HeldOutSample, measure
from nexus_chain.training.record import check_training
from nexus_chain.versions.errors import ModelFilesError
from nexus_chain.versions.manifest import MAX_DOCUMENT_BYTES
from nexus_chain.versions.tokenizer_assembly import assemble


def check_data(evidence: AuditEvidence) -> str:
    """Step 6: the data listing has the certified roots and counts, and nothing held out was trained on."""
    data = evidence.certificate.data
    evidence.listing = listing = DataListing.from_bytes(fetch_file(evidence.source, data.listing, MAX_DOCUMENT_BYTES))
    for name, found, certified in (
        ("training root", "0x" + listing.training_root.hex(), data.training_root),
        ("held-out root", "0x" + listing.held_out_root.hex(), data.held_out_root),
        ("number of training files", len(listing.training), data.training_files),
        ("number of held-out files", len(listing.held_out), data.held_out_files),
    ):
        require_found(found == certified, f"the listing's {name} is {found}, the certificate's {certified}")
    leaked = listing.leaked()
    require_found(not leaked, f"held-out files were trained on: {', '.join(leaked[:3])}")
    return f"{len(listing.training)} training and {len(listing.held_out)} held-out files, none in both"


def check_metrics(evidence: AuditEvidence) -> str:
    """Step 10: the integer program scores exactly what is certified on the held-out sample."""
    metrics = evidence.certificate.metrics
    sample = HeldOutSample.from_bytes(fetch_file(evidence.source, metrics.sample, MAX_DOCUMENT_BYTES))
    sample.require_listed(evidence.listing)
    require_found(
        metrics.window <= evidence.integer_model.program.shape.context, "windows are longer than the model's context"
    )
    windows = sample.windows(_tokenizer(evidence.checkpoint), metrics.window)
    require_found(len(windows) == len(metrics.window_hits), f"the sample has {len(windows)} windows")
    measured = measure(Engine(evidence.integer_model.program, evidence.integer_model.weights), windows)
    require_found(
        measured.hits == metrics.window_hits,
        f"{sum(measured.hits)} hits were recomputed, {metrics.hits_integer} are certified",
    )
    require_found(
        measured.perplexity == metrics.perplexity_integer,
        f"the perplexity is {measured.perplexity}, {metrics.perplexity_integer} is certified",
    )
    return f"{metrics.hits_integer} hits in {metrics.tokens} tokens, perplexity {metrics.perplexity_integer}"


def check_training_record(evidence: AuditEvidence) -> str:
    """Step 11: configuration, seeds and loss curve are complete and fit the checkpoint."""
    return check_training(evidence.certificate.training, evidence.certificate.toolchain, evidence.checkpoint)


def _tokenizer(folder: Path) -> Tokenizer:
    try:
        return assemble(folder / TOKENIZER_FILE)
    except ModelFilesError as error:
        raise MeasurementError(
            f"the tokenizer cannot be read ({error.message})", advice="Publish a working one"
        ) from error
