"""``nexus model sign``, ``check-signature`` and ``bom``: a version in the forms that others' tools read."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from node.cli.output import emit_json, note, result
from node.cli.settings import IpfsOption, JsonFlag, workspace_of

SignatureOption = Annotated[
    Path | None, typer.Option(dir_okay=False, help="File of the signature [default: FOLDER/model.sig].")
]


def sign(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="Whose files are signed.")],
    key: Annotated[Path, typer.Option(dir_okay=False, help="PEM file of an elliptic-curve key, P-256 to P-521.")],
    new_key: Annotated[
        bool, typer.Option("--new-key", help="Make the key first; its public half goes beside it, as KEY.pub.")
    ] = False,
    signature: SignatureOption = None,
    json: JsonFlag = False,
) -> None:
    """Sign a model's folder as OpenSSF's model-signing does; its official verifier takes the signature."""
    from nexus_chain.certificates.model_signature import SIGNATURE_FILE, new_signing_key, sign_folder

    if new_key:
        public = key.with_name(f"{key.name}.pub")
        new_signing_key(key, public)
        note(f"Keep {key} secret; give {public} to whoever verifies.")
    place = signature or folder / SIGNATURE_FILE
    sign_folder(folder, place, key)
    if json:
        emit_json({"signature": str(place)})
        return
    result(str(place))


def check_signature(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="Whose files are checked.")],
    key: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="PEM file of the signer's public key.")],
    signature: SignatureOption = None,
    json: JsonFlag = False,
) -> None:
    """Check that a folder has exactly the files that were signed; exit code 1 where it has not."""
    from nexus_chain.certificates.model_signature import SIGNATURE_FILE, verify_folder

    verify_folder(folder, signature or folder / SIGNATURE_FILE, key)
    if json:
        emit_json({"signed": True})
        return
    result("The folder has exactly the signed files.")


def bom(
    context: typer.Context,
    cid: Annotated[str, typer.Argument(help="CID of a distillation certificate.")],
    parent_name: Annotated[str, typer.Option(help="What the parent is called.")],
    model_licence: Annotated[str, typer.Option(metavar="SPDX", help="Licence of the model, such as Apache-2.0.")],
    data_licence: Annotated[str, typer.Option(metavar="SPDX", help="Licence of examples and problems.")],
    schema: Annotated[str, typer.Option(help="Version of CycloneDX: 1.6 or 1.7.")] = "1.6",
    out: Annotated[Path | None, typer.Option(dir_okay=False, help="File to write [default: standard output].")] = None,
    ipfs: IpfsOption = None,
    json: JsonFlag = False,
) -> None:
    """Write the CycloneDX ML-BOM of a distilled version. It checks nothing of the certificate: `nexus audit` does."""
    from nexus_chain.certificates.ml_bom import BillFacts
    from nexus_chain.json_text import parse_json
    from nexus_chain.staging import write_whole
    from nexus_chain.workflows.certificates import AuditSources, bill_of_certificate

    facts = BillFacts(parent_name, model_licence, data_licence, datetime.now(UTC))
    text = bill_of_certificate(workspace_of(context, quiet=json), cid, facts, schema, AuditSources(ipfs))
    if out is not None:
        write_whole(out, text)
    if json:
        emit_json({"file": None if out is None else str(out), "bom": parse_json(text)})
        return
    result(text.rstrip() if out is None else str(out))
