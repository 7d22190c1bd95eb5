"""OpenSSL's own word on a card's certificate: nobody here wrote that judge."""

import subprocess
import tempfile
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding


def openssl_says_revoked(root: bytes, issuing: bytes, crl: bytes, leaf: bytes) -> bool | None:
    """What `openssl verify -crl_check` says: revoked or not; None when it refuses for another reason."""
    with tempfile.TemporaryDirectory() as folder:
        certificates = {"root": root, "issuing": issuing, "leaf": leaf}
        for name, der in certificates.items():
            pem = x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)
            (Path(folder) / f"{name}.pem").write_bytes(pem)
        (Path(folder) / "crl.pem").write_bytes(x509.load_der_x509_crl(crl).public_bytes(Encoding.PEM))
        command = ["openssl", "verify", "-x509_strict", "-crl_check", "-CAfile", "root.pem"]
        command += ["-untrusted", "issuing.pem", "-CRLfile", "crl.pem", "leaf.pem"]
        ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if ran.returncode == 0:
        return False
    return True if "certificate revoked" in ran.stderr else None
