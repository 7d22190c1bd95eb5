"""An authority's key in the vault, with the certificate that names it: signs certificates, lists and signed data."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from issuance.errors import BadSettings, IssuerExpired
from issuance.keys.port import KeyAlgorithm, KeyPurpose, KeyRef, Vault
from issuance.pki import der
from issuance.pki.trust import UNREADABLE

_SHA256_RSA = der.sequence(der.oid("1.2.840.113549.1.1.11"), der.tlv(der.NULL, b""))
_IDENTIFIERS = {
    KeyAlgorithm.EC_P256: der.sequence(der.oid("1.2.840.10045.4.3.2")),
    KeyAlgorithm.EC_P384: der.sequence(der.oid("1.2.840.10045.4.3.3")),
    KeyAlgorithm.RSA_2048: _SHA256_RSA,
    KeyAlgorithm.RSA_3072: _SHA256_RSA,
    KeyAlgorithm.RSA_4096: _SHA256_RSA,
    KeyAlgorithm.ED25519: der.sequence(der.oid("1.3.101.112")),
}
# A message longer than this is hashed here, and only its digest crosses to the vault.
_HASH_HERE_BYTES = 1 << 20


def algorithm_identifier(algorithm: KeyAlgorithm) -> bytes:
    """Encode the AlgorithmIdentifier of signatures by a key (RFC 5758, RFC 4055, RFC 8410)."""
    return _IDENTIFIERS[algorithm]


def key_algorithm(vault: Vault, ref: KeyRef) -> KeyAlgorithm:
    """Ask the vault which algorithm a key is of."""
    return next(info.algorithm for info in vault.describe(ref.purpose) if info.ref == ref)


@dataclass(frozen=True)
class Signer:
    """A vault key and its certificate. `name`, `key_identifier` and the dates are read from the certificate once."""

    vault: Vault
    ref: KeyRef
    algorithm: KeyAlgorithm
    certificate: bytes
    name: bytes
    key_identifier: bytes
    not_before: datetime
    not_after: datetime

    @classmethod
    def find(cls, vault: Vault, purpose: KeyPurpose, certificate: bytes) -> Self:
        """Find the vault's key that a certificate names; raises `BadSettings` when this vault has no such key."""
        try:
            parsed = x509.load_der_x509_certificate(certificate)
            identifier = parsed.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
        except UNREADABLE as error:
            raise BadSettings(f"the certificate for {purpose} cannot be read: {error}") from error
        wanted = parsed.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        for info in vault.describe(purpose):
            if info.state != "destroyed" and vault.public_key(info.ref) == wanted:
                return cls(
                    vault,
                    info.ref,
                    info.algorithm,
                    certificate,
                    parsed.subject.public_bytes(),
                    identifier,
                    parsed.not_valid_before_utc,
                    parsed.not_valid_after_utc,
                )
        raise BadSettings(
            f"the vault has no key for the {purpose} certificate {parsed.subject.rfc4514_string()}: is it another "
            "vault's certificate, or an older copy of the vault?"
        )

    def require_valid(self, now: datetime) -> None:
        """Raise `IssuerExpired` when the certificate is not valid now."""
        if not self.not_before <= now <= self.not_after:
            raise IssuerExpired(
                f"the certificate of {self.ref.purpose} is valid from {self.not_before:%Y-%m-%d %H:%M} to "
                f"{self.not_after:%Y-%m-%d %H:%M} UTC and it is {now:%Y-%m-%d %H:%M}: check the clock, or renew it"
            )

    def sign(self, messages: Sequence[bytes]) -> list[bytes]:
        """Sign each message in the vault."""
        if max(map(len, messages), default=0) > _HASH_HERE_BYTES and self.algorithm != KeyAlgorithm.ED25519:
            name = "sha384" if self.algorithm is KeyAlgorithm.EC_P384 else "sha256"
            return self.vault.sign_digests(self.ref, [hashlib.new(name, message).digest() for message in messages])
        return self.vault.sign(self.ref, messages)


def signed(body: bytes, algorithm: KeyAlgorithm, signature: bytes) -> bytes:
    """Put a signed structure together: the body, the algorithm, the signature (RFC 5280 section 4.1)."""
    return signed_all([body], algorithm, [signature])[0]


def signed_all(bodies: Sequence[bytes], algorithm: KeyAlgorithm, signatures: Sequence[bytes]) -> list[bytes]:
    """Put signed structures together, one for each body."""
    identifier, heads, limit = _IDENTIFIERS[algorithm], der.SEQUENCE_HEADS, len(der.SEQUENCE_HEADS)
    between: dict[int, bytes] = {}  # what stands between body and signature, by the signature's length
    whole = []
    for body, signature in zip(bodies, signatures, strict=True):
        length = len(signature)
        if (middle := between.get(length)) is None:
            middle = between[length] = identifier + der.bits(signature)[:-length]
        size = len(body) + len(middle) + length
        head = heads[size] if size < limit else der.head(der.SEQUENCE, size)
        whole.append(head + body + middle + signature)
    return whole
