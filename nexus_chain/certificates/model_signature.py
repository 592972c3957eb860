"""An OpenSSF model signature of a version's folder, by a plain elliptic-curve key, as others' tools verify it.

    model_signing verify key FOLDER --signature FILE --public_key PUBLIC.pem

The key is one of P-256, P-384 or P-521 in a PEM file; the wallet's curve is not among those that the format knows. The
signature says that the holder of the key had these files, nothing about how they came to be: the certificate does.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nexus_chain.certificates.errors import ModelSignatureError
from nexus_chain.distillation.errors import MissingPackageError
from nexus_chain.staging import write_whole

SIGNATURE_FILE = "model.sig"


def new_signing_key(private: Path, public: Path) -> None:
    """Make a P-256 key: the private half in ``private``, for its owner's eyes only, the public one in ``public``.

    Raises ModelSignatureError where ``private`` exists: a key that was used must not be lost. Raises OSError.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    try:
        with os.fdopen(os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secret)
    except FileExistsError as error:
        raise ModelSignatureError(f"{private} exists", advice="Use this key, or name another file.") from error
    public.write_bytes(key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))


def sign_folder(folder: Path, signature: Path, private: Path) -> None:
    """Write the signature of every file of ``folder``; ``signature`` itself, where it lies in there, is left out.

    The file appears whole or not at all. Raises ModelSignatureError, MissingPackageError.
    """
    with _official(f"{folder} cannot be signed", "Check the folder, and that the key is one of P-256, P-384, P-521."):
        from model_signing import hashing, signing

        whole, place = folder.resolve(), signature.resolve()
        ignored = [place.relative_to(whole)] if place.is_relative_to(whole) else []
        hashes, config = hashing.Config(), signing.Config()  # type: ignore[no-untyped-call]
        config.set_hashing_config(hashes.set_ignored_paths(paths=ignored))
        with tempfile.TemporaryDirectory(prefix="nexus-sign-") as elsewhere:
            draft = Path(elsewhere) / SIGNATURE_FILE
            config.use_elliptic_key_signer(private_key=private).sign(whole, draft)
            write_whole(signature, draft.read_text())


def verify_folder(folder: Path, signature: Path, public: Path) -> None:
    """Raise ModelSignatureError unless ``folder`` has exactly the files that were signed with ``public``'s key."""
    with _official(f"{folder} is not what {signature} says", "Do not use the model: fetch folder and signature again."):
        from model_signing import verifying

        config = verifying.Config()  # type: ignore[no-untyped-call]
        config.use_elliptic_key_verifier(public_key=public).verify(folder, signature)


@contextmanager
def _official(problem: str, advice: str) -> Iterator[None]:
    """What the official library raises, in this project's words; it documents no errors of its own."""
    try:
        yield
    except ImportError as error:  # pyOpenSSL is imported by model-signing 1.1.1, which does not ask for it
        raise MissingPackageError.of("pyopenssl" if error.name == "OpenSSL" else "model-signing") from error
    except Exception as error:
        raise ModelSignatureError(f"{problem} ({type(error).__name__}: {str(error)[:300]})", advice=advice) from error
