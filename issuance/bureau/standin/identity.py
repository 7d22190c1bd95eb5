"""What a bureau has of its own: an encryption key, a signature key, a transport key, and whom it takes orders from.

A folder: `encryption.key`, `signature.key` (PEM), their certificates `.pem` (self-signed: the office pins them, two
people approve them there), `transport.key` (64 hex digits), `office.pem` (the signer's certificate of the orders).
"""

import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from card_io.secret import Secret
from issuance.bureau.envelope import RecipientKey
from issuance.bureau.signing import OwnKey
from issuance.errors import BadSettings

ENCRYPTION, SIGNATURE = "encryption", "signature"
TRANSPORT, OFFICE = "transport.key", "office.pem"
VALID = timedelta(days=730)


@dataclass(frozen=True)
class Identity:
    """A bureau's keys; certificates are DER."""

    recipient: bytes
    decryption_key: RecipientKey
    signer: OwnKey
    transport: Secret
    office: bytes


def create(folder: Path, name: str, *, now: datetime, valid: timedelta = VALID, kind: str = "ec-p256") -> None:
    """Make both key pairs and their certificates; what is there already stays."""
    folder.mkdir(parents=True, exist_ok=True)
    for use in (ENCRYPTION, SIGNATURE):
        if (folder / f"{use}.key").exists():
            continue
        key = _make(kind)
        _write(folder / f"{use}.key", key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        certificate = _certificate(key, f"{name} {use}", use, now, valid)
        (folder / f"{use}.pem").write_bytes(certificate.public_bytes(Encoding.PEM))


def _make(kind: str) -> RecipientKey:
    if kind.startswith("rsa"):
        return rsa.generate_private_key(public_exponent=65537, key_size=int(kind.partition("-")[2] or 2048))
    return ec.generate_private_key(ec.SECP384R1() if kind == "ec-p384" else ec.SECP256R1())


def keep_transport(folder: Path, transport: Secret) -> None:
    """Keep the transport key that the ceremony's components gave."""
    _write(folder / TRANSPORT, transport.reveal().hex().encode())


def keep_office(folder: Path, certificate: bytes) -> None:
    """Keep the certificate (DER) that orders must be signed with."""
    pem = x509.load_der_x509_certificate(certificate).public_bytes(Encoding.PEM)
    (folder / OFFICE).write_bytes(pem)


def load(folder: Path) -> Identity:
    """Read a bureau's keys; raises `BadSettings` naming the file that is missing or cannot be read."""
    keys = {use: _private(folder / f"{use}.key") for use in (ENCRYPTION, SIGNATURE)}
    certificates = {use: read_certificate(folder / f"{use}.pem") for use in (ENCRYPTION, SIGNATURE)}
    try:
        transport = bytes.fromhex(_read(folder / TRANSPORT).decode().strip())
    except ValueError as error:
        raise BadSettings(f"{folder / TRANSPORT} does not hold a key in hexadecimal digits: enter it anew") from error
    return Identity(
        recipient=certificates[ENCRYPTION],
        decryption_key=keys[ENCRYPTION],
        signer=OwnKey(keys[SIGNATURE], certificates[SIGNATURE]),
        transport=Secret(transport),
        office=read_certificate(folder / OFFICE),
    )


def read_certificate(path: Path) -> bytes:
    """A certificate in DER, from a PEM or DER file; raises `BadSettings`."""
    content = _read(path)
    reader = x509.load_pem_x509_certificate if content.startswith(b"-----") else x509.load_der_x509_certificate
    try:
        return reader(content).public_bytes(Encoding.DER)
    except ValueError as error:
        raise BadSettings(f"{path} is no certificate: name a PEM or DER file") from error


def _private(path: Path) -> RecipientKey:
    key = load_pem_private_key(_read(path), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise BadSettings(f"{path} holds a key of a kind that is not used here: make an EC or RSA key")
    return key


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadSettings(
            f"{path} cannot be read ({error.strerror}): run `uec bureau stand-in --init` first"
        ) from error


def _write(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)


def _certificate(key: RecipientKey, name: str, use: str, now: datetime, valid: timedelta) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    receives, agrees = use == ENCRYPTION, isinstance(key, ec.EllipticCurvePrivateKey)
    usage = x509.KeyUsage(
        digital_signature=not receives,
        content_commitment=False,
        key_encipherment=receives and not agrees,
        data_encipherment=False,
        key_agreement=receives and agrees,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + valid)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
