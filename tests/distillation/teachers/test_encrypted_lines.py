"""TLS: the key goes to nobody whose certificate is not good, and no handshake outlasts the deadline."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
from decimal import Decimal
from pathlib import Path

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from nexus_chain.distillation.secret import Secret
from nexus_chain.distillation.teachers.config import TeacherConfig
from nexus_chain.distillation.teachers.errors import TeacherTimeoutError, TeacherUnreachableError
from nexus_chain.distillation.teachers.teacher_apis import TeacherAPIs
from tests.support.teacher_server import PRICED, TEACHER_KEY, teacher_server, trickle


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Of 127.0.0.1, signed by itself; with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a teacher of a test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "teacher.pem"
    form, pem = serialization.PrivateFormat.PKCS8, serialization.Encoding.PEM
    path.write_bytes(key.private_bytes(pem, form, serialization.NoEncryption()) + made.public_bytes(pem))
    return path


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_a_teacher_with_a_good_certificate(
    tls: ssl.SSLContext, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trusting = ssl.create_default_context(cafile=certificate)
    monkeypatch.setattr(httpx2, "create_ssl_context", lambda trust_env: trusting)
    with teacher_server(lambda prompt: "yes", tls) as server:
        config = server.config("it", timeout_seconds=20.0)
        with TeacherAPIs([config]) as teachers:
            assert teachers.query_single("it", "Hi").text == "yes"
            assert server.asked[0].headers["authorization"] == f"Bearer {TEACHER_KEY}"
        server.faults.append(trickle)
        slow = server.config("it", timeout_seconds=1.0, **PRICED)
        with TeacherAPIs([slow]) as teachers, pytest.raises(TeacherTimeoutError):
            teachers.query_single("it", "Hi")


def test_a_stranger_is_sent_nothing(tls: ssl.SSLContext) -> None:
    with (
        teacher_server(lambda prompt: "yes", tls) as server,
        TeacherAPIs([server.config("it", **PRICED)], sleep=lambda seconds: None) as teachers,
    ):
        with pytest.raises(TeacherUnreachableError):
            teachers.query_single("it", "Hi")
        assert server.asked == []
        assert teachers.usage().cost_usd == Decimal(0)


def test_a_handshake_that_does_not_end() -> None:
    """Somebody takes the connection and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        endpoint = f"https://127.0.0.1:{listener.getsockname()[1]}/v1"
        config = TeacherConfig("it", Secret(TEACHER_KEY), endpoint, model="m", free=True, timeout_seconds=0.2)
        with (
            TeacherAPIs([config], sleep=lambda seconds: None) as teachers,
            pytest.raises(TeacherUnreachableError, match=r"no connection within 0\.2 s"),
        ):
            teachers.query_single("it", "Hi")
