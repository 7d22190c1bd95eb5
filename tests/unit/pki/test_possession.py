"""Proofs of possession by cards, and requests that people and stations sign."""

import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.x509.oid import NameOID

from issuance.errors import UnfitKey
from issuance.pki.possession import Proof, check_proof, check_proofs, requested_key

P256, P384 = (ec.generate_private_key(curve) for curve in (ec.SECP256R1(), ec.SECP384R1()))
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
CHALLENGE = bytes(range(32))
EC = ec.ECDSA(hashes.SHA256())


def spki(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def test_a_signature_over_the_challenge_proves_possession() -> None:
    check_proof(spki(P256), Proof(CHALLENGE, P256.sign(CHALLENGE, EC)))
    check_proof(spki(P384), Proof(CHALLENGE, P384.sign(CHALLENGE, EC)))
    check_proof(spki(RSA), Proof(CHALLENGE, RSA.sign(CHALLENGE, padding.PKCS1v15(), hashes.SHA256())))


@pytest.mark.parametrize(
    "proof",
    [
        Proof(CHALLENGE, P256.sign(bytes(32), EC)),
        Proof(CHALLENGE, P384.sign(CHALLENGE, EC)),
        Proof(CHALLENGE, P256.sign(CHALLENGE, ec.ECDSA(hashes.SHA384()))),
        Proof(CHALLENGE, b""),
        Proof(CHALLENGE, bytes(70)),
        Proof(b"short", P256.sign(b"short", EC)),
    ],
    ids=["another challenge", "another key", "another hash", "none", "no signature", "short challenge"],
)
def test_anything_else_does_not(proof: Proof) -> None:
    with pytest.raises(UnfitKey) as caught:
        check_proof(spki(P256), proof)
    assert caught.value.finding == "no-possession"
    assert "refused" in str(caught.value)


def agreement(key: ec.EllipticCurvePrivateKey, asker: ec.EllipticCurvePrivateKey | None = None) -> Proof:
    """What a card that holds `key` answers to an asker's own key, made for this once."""
    ephemeral = asker or ec.generate_private_key(key.curve)
    return Proof(b"", key.exchange(ec.ECDH(), ephemeral.public_key()), ephemeral)


def test_a_key_that_only_agrees_proves_itself_by_the_shared_point() -> None:
    check_proof(spki(P256), agreement(P256))
    check_proof(spki(P384), agreement(P384))


def test_a_shared_point_of_others_proves_nothing() -> None:
    asker = ec.generate_private_key(ec.SECP256R1())
    genuine = agreement(P256, asker)
    for proof in (
        agreement(ec.generate_private_key(ec.SECP256R1()), asker),
        Proof(b"", genuine.answer, ec.generate_private_key(ec.SECP256R1())),
        Proof(b"", genuine.answer[:-1], asker),
        Proof(b"", b"", asker),
        agreement(P384),
    ):
        with pytest.raises(UnfitKey) as caught:
            check_proof(spki(P256), proof)
        assert caught.value.finding == "no-possession"
    with pytest.raises(UnfitKey, match="another kind"):
        check_proof(spki(RSA), genuine)
    assert "ephemeral" not in repr(genuine)


def test_every_key_of_a_card_needs_a_proof_of_its_own() -> None:
    keys = {"signature": spki(P256), "agreement": spki(P384)}
    proofs = {
        "signature": Proof(CHALLENGE, P256.sign(CHALLENGE, EC)),
        "agreement": Proof(CHALLENGE, P384.sign(CHALLENGE, EC)),
    }
    check_proofs(keys, proofs)
    swapped = {"signature": proofs["agreement"], "agreement": proofs["signature"]}
    for wrong in ({}, {"signature": proofs["signature"]}, swapped):
        with pytest.raises(UnfitKey) as caught:
            check_proofs(keys, wrong)
        assert caught.value.finding == "no-possession"
    with pytest.raises(UnfitKey, match="agreement came without a proof"):
        check_proofs(keys, {"signature": proofs["signature"]})


def request(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "anything")])
    made = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.DER)


@pytest.mark.parametrize("key", [P256, P384, RSA])
def test_a_request_gives_the_key_it_is_signed_with(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> None:
    assert requested_key(request(key)) == spki(key)


def test_a_request_of_openssl_is_read(tmp_path: Path) -> None:
    command = "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=x -outform DER"
    made = subprocess.run([*command.split(), "-keyout", str(tmp_path / "key")], check=True, capture_output=True).stdout
    key = serialization.load_pem_private_key((tmp_path / "key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert requested_key(made) == spki(key)


def test_a_request_signed_by_another_key_is_refused() -> None:
    genuine = request(P256)
    other = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(UnfitKey) as caught:
        requested_key(genuine.replace(spki(P256), spki(other)))
    assert caught.value.finding == "no-possession"


@pytest.mark.parametrize(
    "data",
    [b"", b"0", bytes(300), request(P256)[:-1], request(P256) + b"x"],
    ids=["nothing", "one byte", "zeros", "cut off", "with a tail"],
)
def test_what_is_no_request_is_refused(data: bytes) -> None:
    with pytest.raises(UnfitKey) as caught:
        requested_key(data)
    assert caught.value.finding == "malformed"


def test_a_request_with_a_key_of_another_kind_is_told_as_that_later() -> None:
    name = x509.Name([])
    made = x509.CertificateSigningRequestBuilder().subject_name(name).sign(ed25519.Ed25519PrivateKey.generate(), None)
    key = requested_key(made.public_bytes(serialization.Encoding.DER))
    with pytest.raises(UnfitKey) as caught:
        check_proof(key, Proof(CHALLENGE, b""))
    assert caught.value.finding == "foreign-algorithm"
