"""A certificate authority for tests, over a vault of tests; OpenSSL and pkilint as independent judges."""

import contextlib
import io
import math
import subprocess
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from pkilint.bin import lint_crl, lint_pkix_cert, lint_pkix_signer_signee_cert_chain

from issuance.keys.port import KeyPurpose, Vault
from issuance.pki.ca import CertificateAuthority, CertificateRequest, new_serial
from issuance.pki.config import CaConfig
from issuance.pki.hierarchy import create_hierarchy
from issuance.pki.names import CardNames
from issuance.pki.possession import Proof
from issuance.pki.signing import Signer
from issuance.pki.trust import Trust

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

# OpenSSL judges by the machine's clock, so the authority of these tests lives today.
TODAY = datetime.now(UTC).replace(microsecond=0)
CONFIG = CaConfig(organization="Единая карта", ocsp=True)


def fresh_public_key(curve: ec.EllipticCurve | None = None) -> bytes:
    """The SubjectPublicKeyInfo of a new key nobody keeps."""
    key = ec.generate_private_key(curve or ec.SECP256R1())
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def public_keys_of(keys: Mapping[str, PrivateKey]) -> dict[str, bytes]:
    """The SubjectPublicKeyInfo of each key."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return {slot: key.public_key().public_bytes(serialization.Encoding.DER, form) for slot, key in keys.items()}


def proofs_of(keys: Mapping[str, PrivateKey]) -> dict[str, Proof]:
    """What a card that holds these keys answers to a challenge each."""
    challenge = bytes(range(32))
    return {
        slot: Proof(
            challenge,
            key.sign(challenge, padding.PKCS1v15(), hashes.SHA256())
            if isinstance(key, rsa.RSAPrivateKey)
            else key.sign(challenge, ec.ECDSA(hashes.SHA256())),
        )
        for slot, key in keys.items()
    }


def roca_modulus() -> int:
    """A modulus of 2048 bits as RSALib made them: primes k*M + (65537**a mod M), M the product of small primes."""
    product = math.prod(n for n in range(2, 702) if all(n % d for d in range(2, math.isqrt(n) + 1)))
    primes = []
    for seed in (1, 2):
        candidate = ((3 << 1022) // product + (seed << 40)) * product + pow(65537, 1000 + seed, product)
        while pow(2, candidate - 1, candidate) != 1:
            candidate += product
        primes.append(candidate)
    return primes[0] * primes[1]


CARD_NAMES = CardNames(bytes(range(25)), UUID("5b1f0c3a-6f5e-5c1e-9d6e-3a5f2b7c8d90"))


@dataclass(frozen=True)
class Authority:
    """An authority with its document signer."""

    vault: Vault
    ca: CertificateAuthority
    document_signer: Signer
    trust: Trust

    def request(self, profile: str = "authentication", **changes: object) -> CertificateRequest:
        """A request that fits its profile, with changes."""
        values = {
            "profile": profile,
            "public_key": fresh_public_key(),
            "subject": self.ca.config.subject(
                common_name="Иванова Мария", surname="Иванова", given_name="Мария", serial_number="9643000000000017"
            ),
            "serial": new_serial(self.vault.random),
            "not_before": TODAY - timedelta(hours=1),
            "not_after": TODAY + timedelta(days=60),
            "card_names": CARD_NAMES if profile.startswith("piv-") else None,
            **changes,
        }
        return CertificateRequest(**values)  # type: ignore[arg-type]

    def issue(self, profile: str = "authentication", **changes: object) -> bytes:
        """A certificate (DER)."""
        return self.ca.sign([self.ca.prepare(self.request(profile, **changes))], now=TODAY)[0]


def make_authority(
    vault: Vault, config: CaConfig = CONFIG, *, start: datetime = TODAY - timedelta(days=1)
) -> Authority:
    """Make an authority with the vault's keys, and a document signer's certificate."""
    hierarchy = create_hierarchy(vault, config, now=start, random=vault.random)
    ca = CertificateAuthority(vault, root=hierarchy.root, issuing=hierarchy.issuing, config=config)
    request = CertificateRequest(
        "document-signer",
        vault.public_key(vault.active(KeyPurpose.DOCUMENT_SIGNER)),
        config.subject(common_name="Document signer 1"),
        new_serial(vault.random),
        start,
        start + timedelta(days=1000),
    )
    certificate = ca.sign([ca.prepare(request)], now=start)[0]
    signer = Signer.find(vault, KeyPurpose.DOCUMENT_SIGNER, certificate)
    trust = Trust.for_profile(hierarchy.issuing, config, ca.profiles["document-signer"])
    return Authority(vault, ca, signer, trust)


def pem(path: Path, certificate_or_list: bytes) -> Path:
    """Write a certificate or a revocation list as PEM, as OpenSSL's command line wants it."""
    try:
        text = x509.load_der_x509_certificate(certificate_or_list).public_bytes(serialization.Encoding.PEM)
    except ValueError:
        text = x509.load_der_x509_crl(certificate_or_list).public_bytes(serialization.Encoding.PEM)
    path.write_bytes(text)
    return path


def openssl(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run OpenSSL's command line; both outputs as text."""
    return subprocess.run(["openssl", *map(str, arguments)], check=False, capture_output=True, text=True, timeout=60)


def _lint(main: Callable[[list[str]], int], arguments: list[str]) -> str:
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output), warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves the file it read to the garbage collector
        found = main(["lint", "-s", "WARNING", *arguments])
    return output.getvalue() if found else ""


def lint_certificate(path: Path) -> str:
    """What pkilint finds in a certificate (PEM) at level warning or above; empty when it finds nothing."""
    return _lint(lint_pkix_cert.main, [str(path)])


def lint_chain(issuer: Path, subject: Path) -> str:
    """What pkilint finds between an issuer's and a subject's certificate."""
    return _lint(lint_pkix_signer_signee_cert_chain.main, [str(issuer), str(subject)])


def lint_list(path: Path) -> str:
    """What pkilint finds in a revocation list (PEM)."""
    return _lint(lint_crl.main, ["-t", "CRL", "-p", "PKIX", str(path)])
