"""Asks a responder as a terminal does, and believes nothing that is not signed for it (RFC 6960 section 3.2)."""

import secrets

import httpx
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp as library
from cryptography.x509.oid import ExtendedKeyUsageOID

from issuance.pki.trust import UNREADABLE
from uec.domain.errors import UecError

TIMEOUT_S = 10.0


class NoAnswer(UecError):
    """The responder does not answer, or not what can be believed."""

    code = "uec.ocsp_no_answer"


def ask(url: str, issuing: bytes, serial: int) -> library.OCSPResponse:
    """Ask about one serial number with a nonce; `issuing` is the issuing certificate in DER.

    Returns the answer, verified when it is a signed one. Raises `NoAnswer`.
    """
    issuer = x509.load_der_x509_certificate(issuing)
    nonce = secrets.token_bytes(32)
    sha1 = hashes.SHA1()  # noqa: S303 - the identifier that RFC 5019 asks for; nothing is signed with it
    builder = library.OCSPRequestBuilder().add_certificate_by_hash(*_identifier(issuer), serial, sha1)
    request = builder.add_extension(x509.OCSPNonce(nonce), critical=False).build().public_bytes(Encoding.DER)
    try:
        reply = httpx.post(
            url, content=request, headers={"Content-Type": "application/ocsp-request"}, timeout=TIMEOUT_S
        )
        answer = library.load_der_ocsp_response(reply.raise_for_status().content)
    except (httpx.HTTPError, ValueError) as error:
        raise NoAnswer(f"No answer from {url}: {error}. Is `uec ocsp run` up, and `ocsp_url` right?") from error
    if answer.response_status is library.OCSPResponseStatus.SUCCESSFUL:
        _believe(answer, issuer, nonce)
    return answer


def _identifier(issuer: x509.Certificate) -> tuple[bytes, bytes]:
    def sha1(data: bytes) -> bytes:
        digest = hashes.Hash(hashes.SHA1())  # noqa: S303 - as above
        digest.update(data)
        return digest.finalize()

    key = x509.SubjectKeyIdentifier.from_public_key(issuer.public_key()).digest  # SHA-1 over its bits
    return sha1(issuer.subject.public_bytes()), key


def _believe(answer: library.OCSPResponse, issuer: x509.Certificate, nonce: bytes) -> None:
    try:
        signer = next(iter(answer.certificates), issuer)
        if signer != issuer:
            signer.verify_directly_issued_by(issuer)
            usage = signer.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
            if ExtendedKeyUsageOID.OCSP_SIGNING not in usage:
                raise NoAnswer("The answer is signed with a certificate that was not made for it.")
        _verify(signer, answer)
        given = answer.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
    except (*UNREADABLE, InvalidSignature) as error:
        raise NoAnswer("The answer is not signed for this issuing authority: somebody stands in between.") from error
    if given != nonce:
        raise NoAnswer("The answer is to another question: somebody stands in between.")


def _verify(signer: x509.Certificate, answer: library.OCSPResponse) -> None:
    key, algorithm = signer.public_key(), answer.signature_hash_algorithm or hashes.SHA256()
    if isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(answer.signature, answer.tbs_response_bytes, ec.ECDSA(algorithm))
    elif isinstance(key, rsa.RSAPublicKey):
        key.verify(answer.signature, answer.tbs_response_bytes, padding.PKCS1v15(), algorithm)
    else:
        raise NoAnswer("The answer is signed with a key of a kind that no responder of ours has.")
