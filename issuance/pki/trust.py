"""What a terminal or an inspector trusts: one issuing authority, and one policy for the certificate that signs.

The policy matters: a holder's own certificate comes from the same authority and must not pass as a document signer.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from issuance.pki.config import CaConfig
from issuance.pki.profiles import Profile


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
            parsed = x509.load_der_x509_certificate(certificate)
            issuer = x509.load_der_x509_certificate(self.issuing)
            parsed.verify_directly_issued_by(issuer)
            policies = parsed.extensions.get_extension_for_class(x509.CertificatePolicies).value
        except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound) as error:
            raise Untrusted("the signer's certificate was not issued by the trusted authority") from error
        if not any(policy.policy_identifier.dotted_string == self.policy for policy in policies):
            raise Untrusted("the signer's certificate was issued for something else")
        if not parsed.not_valid_before_utc <= at <= parsed.not_valid_after_utc:
            raise Untrusted(f"the signer's certificate was not valid on {at:%Y-%m-%d %H:%M}")
