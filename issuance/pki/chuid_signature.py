"""The issuer's signature in a PIV card's CHUID: CMS with the content left out (NIST SP 800-73-4 part 1, 3.1.2.1).

The content type is id-PIV-CHUIDSecurityObject, the signed attributes name the signer (pivSigner-DN, FIPS 201), and the
signer's certificate is inside. What is signed is every object of the CHUID but the signature itself.
"""

from datetime import datetime

from issuance.errors import InvalidSecurityObject
from issuance.pki import cms, der
from issuance.pki.signing import Signer, algorithm_identifier
from issuance.pki.trust import UNREADABLE, Trust, Untrusted, load_certificate

CHUID_SECURITY_OBJECT = "2.16.840.1.101.3.6.1"
PIV_SIGNER_DN = "2.16.840.1.101.3.6.5"


def sign(signer: Signer, content: bytes, *, now: datetime) -> bytes:
    """The signature over a CHUID's `content` (its objects without 3E) as ContentInfo in DER; raises `IssuerExpired`."""
    signer.require_valid(now)
    digest = cms.digest_of(signer)
    name = load_certificate(signer.certificate).subject.public_bytes()
    usual = cms.attributes_of(CHUID_SECURITY_OBJECT, content, cms.DIGESTS[digest], now)
    attributes = [one.raw for one in der.elements(usual)]
    attributes.append(der.sequence(der.oid(PIV_SIGNER_DN), der.set_of([name])))
    signed = b"".join(sorted(attributes))
    (signature,) = signer.sign([der.tlv(der.SET, signed)])
    part = cms.SignerPart(digest, signed, algorithm_identifier(signer.algorithm), signature)
    return cms.assemble(signer.certificate, CHUID_SECURITY_OBJECT, None, part)


def verify(signature: bytes, content: bytes, trust: Trust) -> None:
    """Check that the issuer signed this content; raises `InvalidSecurityObject`."""
    try:
        _, certificate, part = cms.take_apart(signature)
        if cms.assemble(certificate, CHUID_SECURITY_OBJECT, None, part) != signature:
            raise der.BadDer("it has another form")
        opened = cms.open_signed(cms.assemble(certificate, CHUID_SECURITY_OBJECT, content, part), CHUID_SECURITY_OBJECT)
        trust.require(opened.certificate, opened.signed_at)
    except (cms.BadCms, Untrusted, *UNREADABLE) as error:
        raise InvalidSecurityObject(
            f"the card's identifier is not signed by the issuer: {error}; keep the card"
        ) from error
