"""Sessions that are bound to a key (DPoP): a token without its key opens nothing, whatever else comes with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import text

from node.gateway.access.key_proofs import AHEAD_SECONDS, PROOF_SECONDS, THUMBPRINT_URN, KeyProofs, thumbprint_of
from node.gateway.accounts import SentProof
from node.gateway.errors import InvalidProofError
from node.gateway.ledger.database import Database, sqlite_url
from tests.support.access_app import ALICE, START, URI, AccessApp, Clock, access_app, message_of, signed
from tests.support.session_key import SessionKey, base64url

pytestmark = pytest.mark.fast

ACCOUNT = f"{URI}/v1/account"


@dataclass
class Bound:
    """Alice's session, and the key that it is bound to."""

    app: AccessApp
    key: SessionKey
    token: str

    def proof(self, method: str = "GET", url: str = ACCOUNT, **changes: Any) -> str:
        return self.key.proof(self.token, method, url, self.app.clock.now, **changes)

    def ask(self, proof: str | None, method: str = "GET", path: str = "/v1/account", **more: Any) -> httpx.Response:
        """With the token as a thief has it: the proof is what may be missing."""
        headers = {"authorization": f"DPoP {self.token}"} | ({} if proof is None else {"dpop": proof})
        return self.app.call(method, path, headers=headers | more.pop("headers", {}), **more)

    def refusal(self, proof: str | None, method: str = "GET", path: str = "/v1/account", **more: Any) -> str:
        answer = self.ask(proof, method, path, **more)
        said = answer.json()["error"]
        assert (answer.status_code, said["code"]) == (401, "invalid_dpop_proof")
        assert answer.headers["www-authenticate"] == 'DPoP error="invalid_dpop_proof", algs="ES256"'
        return str(said["message"])


def message_for(app: AccessApp, resources: str) -> str:
    return message_of(ALICE.address, app.nonce(), Resources=resources).replace("Resources: \n", "Resources:\n")


def verified(app: AccessApp, resources: str) -> httpx.Response:
    message = message_for(app, resources)
    return app.call("POST", "/v1/siwe/verify", json={"message": message, "signature": signed(message, ALICE)})


def bound_to(app: AccessApp, key: SessionKey) -> Bound:
    return Bound(app, key, str(verified(app, key.resource).json()["token"]))


@pytest.fixture
def bound(app: AccessApp) -> Bound:
    return bound_to(app, SessionKey())


def test_the_wallet_s_signature_binds_the_session_to_the_key(app: AccessApp) -> None:
    key = SessionKey()
    said = verified(app, f"\n- {URI}/terms{key.resource}").json()
    assert (said["token_type"], said["thumbprint"], said["account"]) == ("DPoP", key.thumbprint, ALICE.address)


def test_a_message_without_a_key_opens_a_session_as_before(app: AccessApp) -> None:
    said = verified(app, f"\n- {URI}/terms").json()
    assert (said["token_type"], said["thumbprint"]) == ("Bearer", None)
    assert app.call("GET", "/v1/account", said["token"]).status_code == 200


@pytest.mark.parametrize(
    "urn",
    [
        THUMBPRINT_URN.upper(),
        THUMBPRINT_URN.replace("urn:", "URN:"),
        THUMBPRINT_URN.replace("sha-256", "SHA-256"),
        THUMBPRINT_URN.replace("sha-256", "sha-512"),
        THUMBPRINT_URN.replace(":sha-256", ""),
    ],
)
def test_a_key_that_is_named_in_another_way_opens_no_session_without_one(app: AccessApp, urn: str) -> None:
    assert verified(app, f"\n- {urn}{SessionKey().thumbprint}").status_code == 400


@pytest.mark.parametrize("named", ["", "short", "A" * 42, "A" * 44, "A" * 42 + "=", "A" * 42 + "!"])
def test_a_key_that_cannot_be_one_is_refused(app: AccessApp, named: str) -> None:
    assert verified(app, f"\n- {THUMBPRINT_URN}{named}").status_code == 400


def test_a_session_is_for_one_key(app: AccessApp) -> None:
    assert verified(app, SessionKey().resource + SessionKey().resource).status_code == 400


def test_another_key_than_the_signed_one_is_no_session(app: AccessApp) -> None:
    """Whoever sits in between cannot put a key of their own into a message that was signed."""
    message = message_for(app, SessionKey().resource)
    body = {"message": message.rpartition("\n")[0] + SessionKey().resource, "signature": signed(message, ALICE)}
    assert app.call("POST", "/v1/siwe/verify", json=body).status_code == 401


def test_whoever_has_token_and_key_may_ask(bound: Bound) -> None:
    assert bound.ask(bound.proof()).json()["account"] == ALICE.address
    assert bound.ask(bound.proof(), path="/v1/account?of=me").status_code == 200  # without query, as RFC 9449 says
    made = bound.ask(bound.proof("POST", f"{URI}/v1/keys"), "POST", "/v1/keys", json={})
    assert bound.app.call("GET", "/v1/account", made.json()["key"]).status_code == 200  # keys are for other programs


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "DPoP"])
def test_a_stolen_token_alone_opens_nothing(bound: Bound, scheme: str) -> None:
    for method, path in (
        ("GET", "/v1/account"),
        ("GET", "/v1/keys"),
        ("POST", "/v1/keys"),
        ("POST", "/v1/siwe/logout"),
    ):
        answer = bound.app.call(method, path, headers={"authorization": f"{scheme} {bound.token}"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_dpop_proof")
    assert bound.app.call("GET", "/v1/account", headers={"x-api-key": bound.token}).status_code == 401


def test_a_token_is_not_taken_as_bearer_even_with_a_proof(bound: Bound) -> None:
    for headers in ({"authorization": f"Bearer {bound.token}"}, {"authorization": "", "x-api-key": bound.token}):
        said = bound.refusal(bound.proof(), headers=headers)
        assert "not sent as Bearer" in said


def test_a_proof_counts_once(bound: Bound) -> None:
    proof = bound.proof()
    assert bound.ask(proof).status_code == 200
    assert "was used before" in bound.refusal(proof)
    assert bound.ask(bound.proof()).status_code == 200


def test_two_proofs_with_one_id_are_one(bound: Bound) -> None:
    assert bound.ask(bound.proof(jti="same")).status_code == 200
    bound.app.clock.now += 1
    assert "was used before" in bound.refusal(bound.proof(jti="same"))


def test_a_refused_proof_is_not_used_up(bound: Bound) -> None:
    proof = bound.proof()
    bound.refusal(proof, "GET", "/v1/keys")
    assert bound.ask(proof).status_code == 200


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"htm": "POST"}, "for another method than GET"),
        ({"htm": None}, "for another method"),
        ({"htm": "get"}, "for another method"),
        ({"htu": f"{URI}/v1/keys"}, "for another address"),
        ({"htu": "https://evil.example/v1/account"}, "for another address"),
        ({"htu": "http://gateway.example:8443/v1/account"}, "for another address"),
        ({"htu": f"{URI}/v1/account/"}, "for another address"),
        ({"htu": None}, "for another address"),
        ({"htu": 5}, "for another address"),
        ({"ath": None}, "for another token"),
        ({"ath": base64url(b"x" * 32)}, "for another token"),
        ({"iat": None}, "does not say when"),
        ({"iat": True}, "does not say when"),
        ({"iat": "now"}, "does not say when"),
        ({"iat": 10**400}, "does not say when"),
        ({"iat": -(10**400)}, "does not say when"),
        ({"iat": START - 86_400}, "86400 seconds older than the gateway's clock"),
        ({"iat": START + 86_400}, "86400 seconds ahead of the gateway's clock"),
        ({"jti": None}, "no id"),
        ({"jti": ""}, "no id"),
        ({"jti": 5}, "no id"),
        ({"jti": "x" * 129}, "no id"),
        ({"header": {"typ": "JWT"}}, "no dpop+jwt"),
        ({"header": {"jwk": None}}, "no dpop+jwt"),
        ({"header": {"jwk": "key"}}, "no dpop+jwt"),
        ({"padding": "x" * 2_000}, "too long"),
    ],
    ids=lambda given: str(given)[:60],
)
def test_a_proof_for_something_else_opens_nothing(bound: Bound, changes: dict[str, Any], why: str) -> None:
    assert why in bound.refusal(bound.proof(**changes))


def test_a_proof_by_another_key_opens_nothing(bound: Bound) -> None:
    thief = SessionKey()
    said = thief.proof(bound.token, "GET", ACCOUNT, START)
    assert "by another key" in bound.refusal(said)
    claimed = thief.proof(bound.token, "GET", ACCOUNT, START, header={"jwk": bound.key.jwk})
    assert "signature is wrong" in bound.refusal(claimed)


def test_a_proof_of_another_session_of_the_same_key_opens_nothing(bound: Bound) -> None:
    other = bound_to(bound.app, bound.key)
    assert "for another token" in bound.refusal(other.proof())


def test_only_es256_by_p256_is_taken(bound: Bound) -> None:
    claims = jwt.decode(bound.proof(), options={"verify_signature": False})
    header = {"typ": "dpop+jwt", "jwk": bound.key.jwk}
    symmetric = {"typ": "dpop+jwt", "jwk": {"kty": "oct", "k": base64url(b"k" * 32)}}
    longer = SessionKey(ec.SECP384R1())
    for proof in (
        jwt.encode(claims, None, "none", headers=header),
        jwt.encode(claims, bound.key.jwk["x"], "HS256", headers=header),
        jwt.encode(claims, "k" * 32, "HS256", headers=symmetric),
        jwt.encode(claims, longer.private, "ES384", headers={"typ": "dpop+jwt", "jwk": longer.jwk}),
    ):
        assert "no dpop+jwt by ES256" in bound.refusal(proof)
    for changed in ({"x": bound.key.jwk["y"]}, {"d": "A" * 43}, {"crv": "secp256k1"}, {"kty": "oct"}, {"x": 5}):
        bound.refusal(bound.proof(header={"jwk": bound.key.jwk | changed}))


@pytest.mark.parametrize("proof", ["", "x", "a.b.c", "....", "[" * 1_500, "ey" * 400])
def test_what_is_no_proof_is_refused(bound: Bound, proof: str) -> None:
    bound.refusal(proof)


def test_two_proofs_in_a_request_are_none(bound: Bound) -> None:
    headers = [("authorization", f"DPoP {bound.token}"), ("dpop", bound.proof()), ("dpop", bound.proof())]
    answer = bound.app.call_with("GET", "/v1/account", headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_dpop_proof")


def test_a_changed_proof_is_refused(bound: Bound) -> None:
    head, claims, signature = bound.proof().split(".")
    other = bound.proof("POST", f"{URI}/v1/keys").split(".")[1]
    assert "signature is wrong" in bound.refusal(f"{head}.{other}.{signature}", "POST", "/v1/keys")
    assert "signature is wrong" in bound.refusal(f"{head}.{claims}.{'A' * len(signature)}")


def test_clocks_may_differ_by_so_much(bound: Bound) -> None:
    bound.app.clock.now += PROOF_SECONDS
    assert bound.ask(bound.proof(iat=START)).status_code == 200
    assert bound.ask(bound.proof(iat=START + PROOF_SECONDS + AHEAD_SECONDS)).status_code == 200
    assert "older" in bound.refusal(bound.proof(iat=START - 1))
    assert "ahead" in bound.refusal(bound.proof(iat=START + PROOF_SECONDS + AHEAD_SECONDS + 1))


def test_a_bound_session_ends_and_is_signed_out(bound: Bound) -> None:
    out = f"{URI}/v1/siwe/logout"
    assert bound.ask(bound.proof("POST", out), "POST", "/v1/siwe/logout").status_code == 204
    answer = bound.ask(bound.proof())
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")


def test_an_api_key_needs_no_proof_and_none_hurts_it(bound: Bound) -> None:
    key = bound.app.key(bound.app.signed_in())
    assert bound.app.call("GET", "/v1/account", key).status_code == 200
    assert bound.app.call("GET", "/v1/account", key, headers={"dpop": bound.proof()}).status_code == 200


def test_a_gateway_that_starts_takes_no_proof_of_before(database: Database, app: AccessApp) -> None:
    """It does not remember them: one could have been used."""
    bound = bound_to(app, SessionKey())
    proof = bound.proof()
    assert bound.ask(proof).status_code == 200
    with access_app(database, start=START + 5) as again:
        bound.app = again
        assert "older than what this gateway remembers" in bound.refusal(proof)
        assert bound.ask(bound.proof()).status_code == 200


def proofs_with(most: int) -> tuple[KeyProofs, SessionKey, Clock]:
    clock, key = Clock(), SessionKey()
    proofs = KeyProofs(clock, most)
    clock.now += 5
    return proofs, key, clock


def take(proofs: KeyProofs, key: SessionKey, made: float, id: str) -> str:
    proof = key.proof("token", "GET", ACCOUNT, made, jti=id)
    try:
        proofs.require(SentProof("dpop", (proof,), "GET", ACCOUNT), "token", key.thumbprint)
    except InvalidProofError as error:
        return str(error)
    return ""


def test_what_is_remembered_is_bounded_and_what_is_forgotten_is_refused() -> None:
    proofs, key, clock = proofs_with(most=3)
    for second in range(5):
        assert take(proofs, key, START + 1 + second, f"id-{second}") == ""
        assert len(proofs._seen) <= 3
    for second in range(2):  # forgotten, and used before: refused by their time
        assert "older than what this gateway remembers" in take(proofs, key, START + 1 + second, f"id-{second}")
    for second in range(2, 5):
        assert "used before" in take(proofs, key, START + 1 + second, f"id-{second}")
    assert take(proofs, key, clock.now, "new") == ""


def test_what_counts_no_more_is_not_remembered() -> None:
    proofs, key, clock = proofs_with(most=100)
    for number in range(10):
        assert take(proofs, key, clock.now, f"id-{number}") == ""
    clock.now += PROOF_SECONDS + 2
    assert take(proofs, key, clock.now, "late") == ""
    assert len(proofs._seen) == len(proofs._times) == 1


def test_a_clock_that_is_set_back_makes_no_forgotten_proof_count_again() -> None:
    proofs, key, clock = proofs_with(most=100)
    made = clock.now
    assert take(proofs, key, made, "id") == ""
    clock.now += 3_600
    assert take(proofs, key, clock.now, "late") == ""
    clock.now = made + 1
    assert take(proofs, key, made, "id") != ""


def test_the_thumbprint_is_that_of_rfc_7638() -> None:
    """The key of RFC 9449, section 4.1, and the thumbprint of section 6.1."""
    key = {
        "kty": "EC",
        "x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
        "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA",
        "crv": "P-256",
    }
    assert thumbprint_of(key) == "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"


def test_a_database_of_before_gets_the_column(tmp_path: Any) -> None:
    path = tmp_path / "gateway.sqlite"
    Database(sqlite_url(path)).close()
    database = Database(sqlite_url(path))
    database.write(lambda connection: connection.execute(text("ALTER TABLE sessions DROP COLUMN thumbprint")))
    database.close()
    database = Database(sqlite_url(path))
    with access_app(database) as app:
        bound = bound_to(app, SessionKey())
        assert bound.ask(bound.proof()).status_code == 200
        bound.refusal(None)
    database.close()
