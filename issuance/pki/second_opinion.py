"""A second opinion on what was issued: the library's own builder makes the same certificate, field is held to field.

Templates patch bytes; this reads the result back and asks an independent encoder of the same request (RFC 5280, section
4.1). It is for samples: a certificate costs it as much as a dozen cost the template.
"""

import hashlib
import warnings
from collections.abc import Iterator
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from issuance.pki.config import CaConfig
from issuance.pki.extensions import PIV_FASC_N
from issuance.pki.profiles import Profile
from issuance.pki.request import CertificateRequest

_ATTRIBUTES = {
    "country": NameOID.COUNTRY_NAME,
    "organization": NameOID.ORGANIZATION_NAME,
    "surname": NameOID.SURNAME,
    "given_name": NameOID.GIVEN_NAME,
    "common_name": NameOID.COMMON_NAME,
    "serial_number": NameOID.SERIAL_NUMBER,
}
# In the order of the library's constructor.
_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def differences(
    certificate: x509.Certificate,
    request: CertificateRequest,
    profile: Profile,
    *,
    issuer: x509.Certificate,
    config: CaConfig,
) -> list[str]:
    """Name the fields in which a certificate is not what the library makes of the request."""
    with warnings.catch_warnings():
        # RFC 5280 bounds a common name in characters, the library in bytes; that is no difference.
        warnings.simplefilter("ignore", UserWarning)
        expected = _build(request, profile, issuer, config)
        theirs, ours = dict(_fields(expected)), dict(_fields(certificate))
    found = [name for name in {**theirs, **ours} if theirs.get(name) != ours.get(name)]
    if not found and list(theirs) != list(ours):
        found.append("order of extensions")
    return found


def _fields(certificate: x509.Certificate) -> Iterator[tuple[str, object]]:
    yield "version", certificate.version
    yield "serial", certificate.serial_number
    yield "issuer", certificate.issuer.public_bytes()
    yield "subject", certificate.subject.public_bytes()
    yield "not before", certificate.not_valid_before_utc
    yield "not after", certificate.not_valid_after_utc
    yield (
        "key",
        certificate.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        ),
    )
    for extension in certificate.extensions:
        yield extension.oid.dotted_string, (extension.critical, extension.value.public_bytes())


def _build(
    request: CertificateRequest, profile: Profile, issuer: x509.Certificate, config: CaConfig
) -> x509.Certificate:
    names = [(name, getattr(request.subject, name)) for name in profile.subject]
    subject = x509.Name(
        [x509.NameAttribute(_ATTRIBUTES[name], value, _validate=False) for name, value in names if value]
    )
    builder = x509.CertificateBuilder(
        issuer_name=issuer.subject,
        subject_name=subject,
        public_key=serialization.load_der_public_key(request.public_key),  # type: ignore[arg-type]
        serial_number=request.serial,
        not_valid_before=request.not_before.replace(microsecond=0, tzinfo=None),
        not_valid_after=request.not_after.replace(microsecond=0, tzinfo=None),
    )
    for value, critical in _extensions(request, profile, issuer, config):
        builder = builder.add_extension(value, critical)
    # The signature is not compared: the real one was verified before.
    return builder.sign(_throwaway_key(), hashes.SHA256())


def _extensions(
    request: CertificateRequest, profile: Profile, issuer: x509.Certificate, config: CaConfig
) -> Iterator[tuple[x509.ExtensionType, bool]]:
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    yield x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), False
    yield x509.SubjectKeyIdentifier(hashlib.sha256(request.public_key).digest()[:20]), False
    yield x509.KeyUsage(*(name in profile.key_usage for name in _USAGES)), True
    if profile.extended:
        yield x509.ExtendedKeyUsage([x509.ObjectIdentifier(oid) for oid in profile.extended]), profile.critical
    policy = x509.PolicyInformation(x509.ObjectIdentifier(f"{config.policy_arc}.{profile.policy}"), None)
    yield x509.CertificatePolicies([policy]), False
    places = [(AuthorityInformationAccessOID.CA_ISSUERS, config.issuing_certificate_url)]
    if profile.no_check:
        yield x509.OCSPNoCheck(), False
    else:
        list_url = x509.UniformResourceIdentifier(config.crl_url(request.crl_part))
        yield x509.CRLDistributionPoints([x509.DistributionPoint([list_url], None, None, None)]), False
        if config.ocsp_url is not None:
            places.insert(0, (AuthorityInformationAccessOID.OCSP, config.ocsp_url))
    access = [x509.AccessDescription(method, x509.UniformResourceIdentifier(url)) for method, url in places]
    yield x509.AuthorityInformationAccess(access), False
    if profile.alternative and request.card_names is not None:
        names: dict[str, x509.GeneralName] = {
            "fasc_n": x509.OtherName(x509.ObjectIdentifier(PIV_FASC_N), b"\x04\x19" + request.card_names.fasc_n),
            "uuid": x509.UniformResourceIdentifier(f"urn:uuid:{request.card_names.uuid}"),
        }
        yield x509.SubjectAlternativeName([names[name] for name in profile.alternative]), False


@cache
def _throwaway_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())
