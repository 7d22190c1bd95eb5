"""Does whoever asks for a certificate hold the private key? Shown before anything is signed (RFC 4211 section 4).

A card answers a challenge with the key it has just made, in the same round trip: it signs, or agrees on a shared point
where a key does nothing else (RFC 4211 section 4.3). A station or a member of staff signs the request itself (PKCS #10,
RFC 2986). The challenge is the office's own and of one use.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding

from issuance.errors import UnfitKey
from issuance.pki.hygiene import PublicKey, load_public_key

CHALLENGE_BYTES = 32
NOT_HELD = "the card did not prove that it holds the private key"


@dataclass(frozen=True, slots=True)
class Proof:
    """What a key was asked, and what it answered.

    A key that signs: `challenge` is the message, `answer` its signature (ECDSA in DER or RSA PKCS #1 v1.5, with
    SHA-256). One that agrees: `ephemeral` is the asker's own key for this once, and `answer` the X coordinate of the
    point both share; there is no `challenge` then.
    """

    challenge: bytes
    answer: bytes
    ephemeral: ec.EllipticCurvePrivateKey | None = field(default=None, repr=False)


def check_proof(spki: bytes, proof: Proof) -> None:
    """Raise `UnfitKey` (`no-possession`) unless the proof was made with the key whose public half `spki` is."""
    key = load_public_key(spki)
    if proof.ephemeral is not None:
        _check_agreement(key, proof.ephemeral, proof.answer)
        return
    if len(proof.challenge) < CHALLENGE_BYTES:
        raise _unproved(f"the challenge has {len(proof.challenge)} bytes, and {CHALLENGE_BYTES} are needed")
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(proof.answer, proof.challenge, ec.ECDSA(hashes.SHA256()))
        else:
            key.verify(proof.answer, proof.challenge, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        raise _unproved(NOT_HELD) from None


def _check_agreement(key: PublicKey, ephemeral: ec.EllipticCurvePrivateKey, answer: bytes) -> None:
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != ephemeral.curve.name:
        raise _unproved("the card was asked to agree with a key of another kind")
    if not hmac.compare_digest(ephemeral.exchange(ec.ECDH(), key), answer):
        raise _unproved(NOT_HELD)


def check_proofs(keys: Mapping[str, bytes], proofs: Mapping[str, Proof]) -> None:
    """Raise `UnfitKey` unless every key (SubjectPublicKeyInfo by slot) comes with a proof that holds."""
    for slot, spki in keys.items():
        if slot not in proofs:
            raise _unproved(f"the card's key {slot} came without a proof that the card holds it")
        check_proof(spki, proofs[slot])


def requested_key(request: bytes) -> bytes:
    """The public key (SubjectPublicKeyInfo) of a PKCS #10 request in DER that is signed with it.

    Raises `UnfitKey`: `malformed` for what is no such request, `no-possession` for one that another key has signed.
    """
    try:
        parsed = x509.load_der_x509_csr(request)
        genuine = parsed.is_signature_valid
        key = parsed.public_key()
    except (ValueError, UnsupportedAlgorithm, TypeError) as error:
        raise UnfitKey(
            "this is no certificate request (PKCS #10) that can be read; the certificate is refused",
            finding="malformed",
        ) from error
    if not genuine:
        raise _unproved("the request is not signed with the key it asks a certificate for")
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _unproved(sentence: str) -> UnfitKey:
    return UnfitKey(f"{sentence}; the certificate is refused", finding="no-possession")
