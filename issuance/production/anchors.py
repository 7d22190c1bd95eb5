"""What an inspector or a terminal trusts: the issuer's certificates, and the policy for each use of a certificate.

With these and a card nothing else is needed to judge it. RFC 5280 section 6 as far as two tiers need it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from issuance.errors import InvalidSecurityObject
from issuance.pki import chuid_signature, security_object
from issuance.pki.profiles import Profile, shipped_profiles
from issuance.pki.security_object import SecurityObject
from issuance.pki.trust import Trust, Untrusted

DOCUMENT_SIGNER = "document-signer"


@dataclass(frozen=True, slots=True)
class Anchors:
    """`root` and `issuing` are certificates in DER; `policy_arc` is the operator's OID arc (policies end in a number).

    `profiles` are the certificate profiles by name, as they ship.
    """

    root: bytes
    issuing: tuple[bytes, ...]
    policy_arc: str
    profiles: Mapping[str, Profile]

    @classmethod
    def of(cls, root: bytes, issuing: tuple[bytes, ...], policy_arc: str) -> Self:
        """Anchors with the shipped certificate profiles."""
        return cls(root, issuing, policy_arc, shipped_profiles())

    def require(self, profile: str, certificate: bytes, at: datetime) -> None:
        """Raise `Untrusted` unless `certificate` comes from the issuer for this use and is valid at that time."""
        refusal: Untrusted | None = None
        for trust in self._trusts(profile):
            try:
                trust.require(certificate, at)
            except Untrusted as error:
                refusal = error
            else:
                return
        raise refusal or Untrusted("no issuing authority comes from the trusted root")

    def open(self, content: bytes) -> SecurityObject:
        """The signed digests out of a security object; `InvalidSecurityObject` when the issuer did not sign it."""
        refusal: InvalidSecurityObject | None = None
        for trust in self._trusts(DOCUMENT_SIGNER):
            try:
                return security_object.verify(content, trust)
            except InvalidSecurityObject as error:
                refusal = error
        raise refusal or InvalidSecurityObject("no issuing authority comes from the trusted root; check the anchors")

    def require_identifier(self, signature: bytes, content: bytes) -> None:
        """Raise `InvalidSecurityObject` unless the issuer signed these objects of a CHUID."""
        refusal: InvalidSecurityObject | None = None
        for trust in self._trusts(DOCUMENT_SIGNER):
            try:
                return chuid_signature.verify(signature, content, trust)
            except InvalidSecurityObject as error:
                refusal = error
        raise refusal or InvalidSecurityObject("no issuing authority comes from the trusted root; check the anchors")

    def _trusts(self, profile: str) -> list[Trust]:
        policy = f"{self.policy_arc}.{self.profiles[profile].policy}"
        return [Trust(issuing, policy) for issuing in self.issuing if _is_under(self.root, issuing)]


@lru_cache(maxsize=64)
def _is_under(root: bytes, issuing: bytes) -> bool:
    """Whether an authority's certificate is the root's; the same two certificates stay what they are, card by card."""
    try:
        x509.load_der_x509_certificate(issuing).verify_directly_issued_by(x509.load_der_x509_certificate(root))
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
