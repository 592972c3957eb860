"""``nexus model publish`` and ``pin``: a version in the registry, its certificate, its files for others to fetch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.output import emit_json, hex_id, note, result, spinner
from node.cli.settings import JsonFlag, Settings, settings_of

if TYPE_CHECKING:
    from nexus_chain.certificates.publication import Publication, Release
    from nexus_chain.chain.contracts import Contracts
    from nexus_chain.chain.model_registry import ModelVersion
    from nexus_chain.content.block_store import BlockStore
    from nexus_chain.content.cid import Cid
    from nexus_chain.content.kubo import Pinner
    from node.cli.importing import Measuring

GATE_PER_CENT = 0.5
GateOption = Annotated[
    float, typer.Option(min=0.0, help="Largest increase of perplexity against float32, in per cent.")
]
BeyondGateFlag = Annotated[bool, typer.Option("--beyond-gate", help="Go on even if the increase is past the gate.")]

NO_AUDIT = "No certificate: answers can be verified and disputed, where the weights come from cannot be audited."


@dataclass(frozen=True)
class Anchored:
    """A certificate on the chain, or none; ``gas`` of anchoring it."""

    cid: Cid | None = None
    gas: int = 0


def publish(
    context: typer.Context,
    checkpoint: Annotated[Path, typer.Argument(help="Folder of a Hugging Face checkpoint, sharded or not.")],
    version: Annotated[str, typer.Option(help="Semantic version, such as 1.0.0.")] = "1.0.0",
    price: Annotated[int, typer.Option(min=0, help="Suggested wei per token over all layers.")] = 0,
    name: Annotated[str | None, typer.Option(help="Name in the certificate [default: the folder's].")] = None,
    parent: Annotated[str | None, typer.Option(help="Version this one came from, its id or the beginning.")] = None,
    ipfs: Annotated[str | None, typer.Option(envvar="NEXUS_IPFS", help="Kubo daemon to pin to as well.")] = None,
    gate: GateOption = GATE_PER_CENT,
    beyond_gate: BeyondGateFlag = False,
    uncertified: Annotated[
        bool, typer.Option("--uncertified", help="Without a certificate: of a model that somebody else trained.")
    ] = False,
    json: JsonFlag = False,
) -> None:
    """Prove, register and certify a model; its files go into the block store.

    A certificate needs the records that scripts/runs/train_model.py and scripts/runs/certify_model.py write.
    """
    from nexus_chain.content.block_store import BlockStore
    from nexus_chain.content.canonical import require_semver
    from nexus_chain.disputes.caps import check_caps
    from nexus_chain.program.overflow import prove_no_overflow
    from nexus_chain.program.reproduction import require_reproducible
    from node.cli.importing import Measuring, keep
    from node.cli.versions import choose_version

    require_semver(version, "version")  # before minutes of measuring
    settings = settings_of(context)
    contracts = settings.wallet_chain
    store = BlockStore(settings.home.prepare().blocks)
    pinner = _pinner(settings, ipfs) if ipfs else None  # a bad address is refused before anything is paid for
    measuring = Measuring(gate / 100, beyond_gate=beyond_gate)
    release: Release
    with spinner("Importing and hashing", quiet=json):
        if uncertified:
            release = _uncertified(checkpoint, measuring, store, version, name)
        else:
            release = _certifiable(checkpoint, measuring, store, version, name)
    with spinner("Proving that no operation overflows", quiet=json):
        require_reproducible(release.model.program)
        proof = prove_no_overflow(release.model.program)
        check_caps(release.model.program)
    before = choose_version(settings, parent) if parent else bytes(32)
    with spinner("Registering", quiet=json):
        version_id, gas = _register(contracts, settings.wallet.address, stated(release, version, price, before))
        anchored = _anchor(settings, release, store, version_id, before)
    keep(release.model, release.recipe, checkpoint, settings.home.models / version_id.hex()[:16])
    wanted = [anchored.cid, *release.cids] if anchored.cid else release.cids
    pinned = pinner.pin_all(wanted) if pinner else None
    if json:
        document = {
            "model_version": hex_id(version_id),
            "certificate_cid": str(anchored.cid) if anchored.cid else None,
            "manifest_cid": release.manifest_cid,
            "overflow_bits": proof.bits,
            "gas": {"publish": gas, "anchor": anchored.gas},
            "pinned": pinned,
        }
        emit_json(document)
        return
    result(hex_id(version_id))
    audited = f"Certificate {anchored.cid}; audit it with `nexus audit {anchored.cid}`." if anchored.cid else NO_AUDIT
    note(f"{audited} The largest intermediate needs {proof.bits} bits.")
    if pinned is False:
        note("The IPFS daemon did not take everything; the block store keeps it. Try again with `nexus model pin`.")


def pin(
    context: typer.Context,
    ipfs: Annotated[str, typer.Option(envvar="NEXUS_IPFS", help="Kubo daemon, such as /ip4/127.0.0.1/tcp/5001.")],
    json: JsonFlag = False,
) -> None:
    """Offer everything again that an IPFS daemon did not take; exit code 1 while something waits."""
    from nexus_chain.content.kubo import PinQueue

    settings = settings_of(context)
    pinned = _pinner(settings, ipfs).retry()
    waiting = PinQueue(settings.home.pins).waiting()
    if json:
        left = [{"cid": str(entry.cid), "attempts": entry.attempts, "problem": entry.problem} for entry in waiting]
        emit_json({"pinned": [str(cid) for cid in pinned], "waiting": left})
    else:
        for cid in pinned:
            result(str(cid))
        note(f"{len(pinned)} pinned, {len(waiting)} waiting.")
        for entry in waiting:
            note(f"{entry.cid}: {entry.problem}")
    if waiting:
        raise typer.Exit(1)


def _certifiable(folder: Path, measuring: Measuring, store: BlockStore, version: str, name: str | None) -> Publication:
    """A measured folder within the gate. Raises TrainedFolderError, QualityError and the importer's errors."""
    from nexus_chain.certificates.publication import Publication
    from nexus_chain.quality import require_within
    from nexus_chain.quality.calibration import require_vocabulary

    publication = Publication.prepare(folder, store, version, name)
    require_vocabulary(folder, publication.model.program.shape.vocab)
    if not measuring.beyond_gate:
        require_within(publication.relative_increase, measuring.gate)
    return publication


def _uncertified(folder: Path, measuring: Measuring, store: BlockStore, version: str, name: str | None) -> Release:
    """Any checkpoint, measured here where it can be. Raises as ``_certifiable`` does."""
    from nexus_chain.certificates.publication import Release
    from nexus_chain.quality.calibration import require_vocabulary
    from node.cli.importing import measured

    imported = measured(folder, measuring)
    require_vocabulary(folder, imported.model.program.shape.vocab)
    return Release.of(folder, imported.model, imported.recipe, store, version, name)


def _register(contracts: Contracts, publisher: str, version: ModelVersion) -> tuple[bytes, int]:
    """(version id, gas); goes on after a crash between registering and anchoring, where gas is 0."""
    version_id = contracts.models.id_of(publisher, version)
    if contracts.models.publisher_of(version_id) and contracts.certificates.certificate(version_id) is None:
        return version_id, 0
    version_id, mined = contracts.models.publish(version)
    return version_id, mined.gas


def _anchor(settings: Settings, release: Release, store: BlockStore, version: bytes, parent: bytes) -> Anchored:
    """Sign, keep and anchor the certificate of what can be certified."""
    from nexus_chain.certificates.publication import Publication

    if not isinstance(release, Publication):
        return Anchored()
    signed = release.certificate(settings.wallet.address, version, parent).sign(settings.wallet)
    cid = store.add_bytes(signed.to_bytes())
    mined = settings.wallet_chain.certificates.anchor(version, str(cid), signed.content_hash)
    return Anchored(cid, mined.gas)


def stated(release: Release, version: str, price: int, parent: bytes) -> ModelVersion:
    """What the registry is told of a release."""
    from nexus_chain.chain.model_registry import ModelVersion, SemVer

    major, minor, patch = (int(part) for part in version.split("."))
    return ModelVersion(
        release.commitment.weights_root,
        release.commitment.program_root,
        release.tokenizer_sha256,
        price,
        release.model.program.shape.layers,
        SemVer(major, minor, patch),
        release.manifest_cid,
        parent,
    )


def _pinner(settings: Settings, address: str) -> Pinner:
    """What pins files of this home's block store to the daemon at ``address``. Raises IpfsDaemonError."""
    from nexus_chain.content.block_store import BlockStore
    from nexus_chain.content.kubo import KuboDaemon, Pinner, PinQueue

    home = settings.home.prepare()
    return Pinner(BlockStore(home.blocks), PinQueue(home.pins), KuboDaemon(address))
