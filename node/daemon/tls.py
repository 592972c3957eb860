"""The node's TLS identity: a self-signed certificate whose public key the registry pins.

Nobody's certificate authority is trusted: clients compare SHA-256 of the public key (SPKI) with
the registry's ``tlsKeyHash``. Knows files and certificates, not servers.
"""

from __future__ import annotations

import datetime
import hashlib
import os
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from nexus_chain.errors import DataFolderError

#: The certificate's name. Nobody relies on it: the key is what clients pin.
TLS_NAME = "nexus-node"
_VALID_DAYS = 3650
_KEY_FILE = "tls.key"
_CERTIFICATE_FILE = "tls.crt"


@dataclass(frozen=True)
class TlsIdentity:
    """A certificate (PEM) and the folder that holds it and its private key."""

    folder: Path
    certificate: bytes

    @property
    def key_hash(self) -> bytes:
        """SHA-256 of the certificate's public key (SubjectPublicKeyInfo, DER): 32 bytes."""
        return spki_hash(self.certificate)

    def server_context(self) -> ssl.SSLContext:
        """What a server shows and speaks: TLS 1.3, nothing older. Raises DataFolderError."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.num_tickets = 0  # nobody resumes a session
        try:
            context.load_cert_chain(self.folder / _CERTIFICATE_FILE, self.folder / _KEY_FILE)
        except OSError as error:
            raise _unusable(self.folder, type(error).__name__) from error
        return context

    def __repr__(self) -> str:
        return f"TlsIdentity({self.key_hash.hex()})"

    @classmethod
    def open(cls, folder: Path) -> TlsIdentity:
        """The identity kept in ``folder``; made there (mode 0600) where there is none."""
        key_path, certificate_path = folder / _KEY_FILE, folder / _CERTIFICATE_FILE
        if not certificate_path.exists():
            cls._create(key_path, certificate_path)
        try:
            identity = cls(folder, certificate_path.read_bytes())
            key = serialization.load_pem_private_key(key_path.read_bytes(), None)
            certified = x509.load_pem_x509_certificate(identity.certificate).public_key()
            matches = _spki(key.public_key()) == _spki(certified)
        except (OSError, ValueError, TypeError) as error:
            raise _unusable(folder, type(error).__name__) from error
        if not matches:
            raise _unusable(folder, "the certificate is for another key")
        return identity

    @classmethod
    def kept(cls, folder: Path) -> TlsIdentity | None:
        """The identity kept in ``folder``, or None where there is none: makes nothing."""
        return cls.open(folder) if (folder / _CERTIFICATE_FILE).exists() else None

    @staticmethod
    def _create(key_path: Path, certificate_path: Path) -> None:
        """Write the key, then the certificate: its existence says that both are complete."""
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        _write_private(key_path, pem)
        _write_private(certificate_path, _self_signed(key).public_bytes(serialization.Encoding.PEM))


def spki_hash(certificate: bytes) -> bytes:
    """SHA-256 of a PEM certificate's public key (SPKI, DER), as the registry holds it."""
    return hashlib.sha256(_spki(x509.load_pem_x509_certificate(certificate).public_key())).digest()


def certificate_hash(certificate: bytes) -> bytes:
    """As ``spki_hash``, of a certificate as TLS shows it (DER). Raises ValueError."""
    return hashlib.sha256(_spki(x509.load_der_x509_certificate(certificate).public_key())).digest()


def _spki(key: object) -> bytes:
    public = key.public_bytes(  # type: ignore[attr-defined]  # every public key type has it, no base declares it
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return bytes(public)


def _self_signed(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, TLS_NAME)])
    # A day of slack: clocks of clients differ.
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=_VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(TLS_NAME), x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )


def _write_private(path: Path, data: bytes) -> None:
    """Write a file that only its owner reads, whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _unusable(folder: Path, why: str) -> DataFolderError:
    return DataFolderError(
        f"the TLS key in {folder} cannot be used ({why})",
        advice="Restore it, or delete tls.key and tls.crt and run `nexus-node register` to announce a new key.",
    )
