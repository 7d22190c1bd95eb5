"""The hub's own TLS: the files that the settings name, or a key and certificate made at the first start.

Stations pin the hub's public key (SHA-256 of its SubjectPublicKeyInfo, RFC 7469 section 2.4), so that a certificate may
be renewed for the same key, and who controls names or another authority cannot stand between. On loopback there is none
unless it is asked for: a proxy or a station on the same machine speaks plainly.
"""

import hashlib
import logging
import os
import ssl
from collections.abc import Callable
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from uec.domain.errors import InvalidSettings
from uec.settings import Settings

OWN_YEARS = 20
COMMON_NAME = "uec hub"
LOOPBACK_NAMES = {"localhost", "ip6-localhost"}

log = logging.getLogger(__name__)


def server_context(settings: Settings, *, clock: Callable[[], datetime]) -> ssl.SSLContext | None:
    """The context to serve with, or None where the hub speaks plainly (`hub_tls`); raises `InvalidSettings`.

    TLS 1.2 at least. The pin is logged: it is what `uec station enrol --pin` wants.
    """
    if settings.hub_tls == "never" or (settings.hub_tls == "auto" and _is_loopback(settings.hub_listen)):
        return None
    certificate, key = _files(settings, clock)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
        log.info("the hub's pin is %s", pin_of(certificate.read_bytes()))
    except (OSError, ssl.SSLError, ValueError) as error:
        raise InvalidSettings(
            f"The hub's certificate {certificate} and key {key} cannot be used ({error}): name two PEM "
            "files that belong together, or none.",
            key="hub_certificate",
            near=None,
        ) from error
    return context


def pin_of(certificate_pem: bytes) -> str:
    """The pin of a certificate's key: 64 hex digits."""
    key = x509.load_pem_x509_certificate(certificate_pem).public_key()
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).hexdigest()


def _files(settings: Settings, clock: Callable[[], datetime]) -> tuple[Path, Path]:
    certificate, key = settings.hub_certificate, settings.hub_key
    if certificate.exists() != key.exists():
        raise InvalidSettings(
            f"Of the hub's certificate {certificate} and key {key} one is missing: put it there, or take both away and "
            "the hub makes new ones.",
            key="hub_key",
            near=None,
        )
    if not certificate.exists():
        for file in (certificate, key):
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _make(certificate, key, settings, clock())
    return certificate, key


def _make(certificate: Path, key: Path, settings: Settings, now: datetime) -> None:
    """A key, and a certificate that it signs itself."""
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, COMMON_NAME)])
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365 * OWN_YEARS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(_names(settings.hub_listen)), critical=False)
        .sign(private, hashes.SHA256())
    )
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _write(key, pem)
    _write(certificate, signed.public_bytes(serialization.Encoding.PEM))


def _names(listen: str) -> list[x509.GeneralName]:
    host = listen.rpartition(":")[0].strip("[]")
    try:
        return [x509.IPAddress(ip_address(host)), x509.DNSName("localhost")]
    except ValueError:
        return [x509.DNSName(host), x509.DNSName("localhost")]


def _is_loopback(listen: str) -> bool:
    host = listen.rpartition(":")[0].strip("[]")
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host in LOOPBACK_NAMES


def _write(path: Path, content: bytes) -> None:
    new = path.with_suffix(path.suffix + ".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
