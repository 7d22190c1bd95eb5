"""The issuing authority: says what it would sign, and signs it.

`prepare` decides everything and signs nothing: the caller stores its result, and then hands it to `sign`. The same
request always gives the same to-be-signed bytes. RFC 5280.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from issuance.errors import PkiError, RequestRefused
from issuance.keys.port import KeyPurpose, Vault
from issuance.pki import template
from issuance.pki.config import CaConfig
from issuance.pki.hierarchy import new_serial
from issuance.pki.hygiene import Hygiene, check_public_key
from issuance.pki.names import encode_subject
from issuance.pki.profiles import Profile, shipped_profiles
from issuance.pki.request import CertificateRequest
from issuance.pki.second_opinion import differences
from issuance.pki.signing import Signer, signed_all
from issuance.pki.trust import UNREADABLE

__all__ = ["CertificateAuthority", "CertificateRequest", "Tbs", "new_serial"]

SAMPLE_ONE_IN = 100
_MAX_SERIAL_BITS = 159  # 20 octets with a zero sign bit, RFC 5280 section 4.1.2.2


@dataclass(frozen=True)
class Tbs:
    """What will be signed. Store `digest` (SHA-256 of `tbs_der`, hex) and the rest before it is signed."""

    request: CertificateRequest
    tbs_der: bytes

    @property
    def digest(self) -> str:
        """SHA-256 of the to-be-signed bytes, in hex."""
        return hashlib.sha256(self.tbs_der).hexdigest()

    @property
    def public_key_digest(self) -> str:
        """SHA-256 of the public key, in hex."""
        return self.request.key_digest.hex()

    @property
    def serial_hex(self) -> str:
        """The serial number as the database keeps it: lower-case hex, 32 digits or more."""
        return f"{self.request.serial:032x}"


class CertificateAuthority:
    """Issues certificates under one issuing certificate whose key is in the vault."""

    def __init__(
        self,
        vault: Vault,
        *,
        root: bytes,
        issuing: bytes,
        config: CaConfig,
        profiles: Mapping[str, Profile] | None = None,
        hygiene: Hygiene = check_public_key,
    ) -> None:
        """Bind the authority to its key; raises `BadSettings` when the vault has no key of the issuing certificate."""
        self.root, self.issuing, self.config = root, issuing, config
        self.profiles = shipped_profiles() if profiles is None else profiles
        self.signer = Signer.find(vault, KeyPurpose.CA_ISSUING, issuing)
        self._hygiene = hygiene
        self._templates: dict[tuple[str, int | None], template.Template] = {}

    def prepare(self, request: CertificateRequest) -> Tbs:
        """Decide what a certificate will say.

        Raises `UnfitKey` for a key that fails hygiene, `RequestRefused` for a request that fits neither its profile nor
        its issuer. Signs nothing.
        """
        profile = self._profile(request)
        self._check_period(request, profile)
        self._hygiene(request.public_key, profile.keys)
        if request.serial <= 0 or request.serial.bit_length() > _MAX_SERIAL_BITS:
            raise RequestRefused("the serial number is not positive, or too long", profile=profile.name)
        if profile.alternative and request.card_names is None:
            raise RequestRefused(
                f"{profile.name} is for keys on PIV cards alone: choose another profile", profile=profile.name
            )
        period = template.validity(_seconds(request.not_before), _seconds(request.not_after))
        filled = self._template(profile, request.crl_part).fill(
            request.serial,
            period,
            encode_subject(request.subject, profile),
            request.public_key,
            request.key_digest,
            names=request.card_names,
        )
        return Tbs(request, filled)

    def sign(self, prepared: Sequence[Tbs], *, now: datetime) -> list[bytes]:
        """Sign what was prepared (and stored); returns certificates in DER, in order.

        A sample of each batch, its last and one in a hundred, is read back, verified, and held against what the
        library's own builder makes of the request, field by field. Raises `IssuerExpired`.
        """
        self.signer.require_valid(now)
        certificates = self.assemble([tbs.tbs_der for tbs in prepared])
        for number in range(len(certificates) - 1, -1, -SAMPLE_ONE_IN):
            self._check(prepared[number], certificates[number])
        return certificates

    def assemble(self, bodies: Sequence[bytes]) -> list[bytes]:
        """Sign to-be-signed bytes and put the certificates together: `sign` without its checks."""
        return signed_all(bodies, self.signer.algorithm, self.signer.sign(bodies))

    def _profile(self, request: CertificateRequest) -> Profile:
        try:
            return self.profiles[request.profile]
        except KeyError:
            raise RequestRefused(
                f"there is no certificate profile {request.profile}; choose of {', '.join(self.profiles)}",
                profile=request.profile,
            ) from None

    def _check_period(self, request: CertificateRequest, profile: Profile) -> None:
        start, end = request.not_before, request.not_after
        refuse = partial(RequestRefused, profile=profile.name)
        if start >= end or end - start > timedelta(days=profile.max_days):
            raise refuse(f"a {profile.name} certificate is valid for up to {profile.max_days} days, not {end - start}")
        if request.card_expires is not None and end > request.card_expires:
            raise refuse(f"the certificate would outlive the card, which expires on {request.card_expires:%Y-%m-%d}")
        if start < self.signer.not_before or end > self.signer.not_after:
            raise refuse(
                f"the issuing certificate is valid to {self.signer.not_after:%Y-%m-%d} only: shorten the period or "
                "renew the issuing authority"
            )

    def _template(self, profile: Profile, partition: int | None) -> template.Template:
        key = (profile.name, partition)
        if key not in self._templates:
            self._templates[key] = template.for_profile(profile, self.signer, self.config, partition)
        return self._templates[key]

    def _check(self, tbs: Tbs, certificate: bytes) -> None:
        try:
            parsed = x509.load_der_x509_certificate(certificate)
            issuer = x509.load_der_x509_certificate(self.issuing)
            parsed.verify_directly_issued_by(issuer)
        except (*UNREADABLE, InvalidSignature) as error:
            raise PkiError("a signed certificate does not verify: stop issuing and report this") from error
        profile = self.profiles[tbs.request.profile]
        differing = differences(parsed, tbs.request, profile, issuer=issuer, config=self.config)
        if parsed.tbs_certificate_bytes != tbs.tbs_der:
            differing.append("what was prepared")
        if differing:
            raise PkiError(
                f"a signed certificate does not say what was asked for ({', '.join(differing)}): stop issuing and "
                "report this"
            )


def _seconds(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)
