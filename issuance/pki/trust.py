"""What a terminal or an inspector trusts: one issuing authority, and one policy for the certificate that signs.

The policy matters: a holder's own certificate comes from the same authority and must not pass as a document signer.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from issuance.pki import der
from issuance.pki.config import CaConfig
from issuance.pki.profiles import Profile

UNREADABLE = (
    ValueError,
    IndexError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    x509.ExtensionNotFound,
)
"""What the library raises for a certificate that it cannot read or that lacks an extension."""


def load_certificate(data: bytes) -> x509.Certificate:
    """Read a certificate from outside; raises one of `UNREADABLE`.

    The library only warns about a serial number that is zero or negative, and passes over unused bits that a signature
    says to have, so these are looked at first.
    """
    body, _, signature = der.read(data).children()
    if signature.expect(der.BIT_STRING).value[:1] != b"\x00":
        raise der.BadDer("the signature is not of whole bytes")
    fields = body.children()
    serial = fields[1] if fields and fields[0].tag == der.CONTEXT | der.CONSTRUCTED else fields[0]
    if serial.integer() == 0:
        raise der.BadDer("the serial number is zero")
    return x509.load_der_x509_certificate(data)


class Untrusted(ValueError):
    """A certificate was not issued by the trusted authority for this use, or not valid at the time."""


@dataclass(frozen=True)
class Trust:
    """The issuing certificate (DER) and the policy OID that a signer's certificate must carry."""

    issuing: bytes
    policy: str

    @classmethod
    def for_profile(cls, issuing: bytes, config: CaConfig, profile: Profile) -> Self:
        """Trust certificates of one profile under an issuing authority."""
        return cls(issuing, f"{config.policy_arc}.{profile.policy}")

    def require(self, certificate: bytes, at: datetime) -> None:
        """Raise `Untrusted` unless the certificate comes from the authority, under the policy, and was valid then."""
        try:
            parsed = load_certificate(certificate)
            issuer = x509.load_der_x509_certificate(self.issuing)
            parsed.verify_directly_issued_by(issuer)
            policies = parsed.extensions.get_extension_for_class(x509.CertificatePolicies).value
        except (*UNREADABLE, InvalidSignature) as error:
            raise Untrusted("the signer's certificate was not issued by the trusted authority") from error
        if not any(policy.policy_identifier.dotted_string == self.policy for policy in policies):
            raise Untrusted("the signer's certificate was issued for something else")
        if not parsed.not_valid_before_utc <= at <= parsed.not_valid_after_utc:
            raise Untrusted(f"the signer's certificate was not valid on {at:%Y-%m-%d %H:%M}")
