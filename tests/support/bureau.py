"""Bureau partners for tests: keys with certificates, headers, and files made of records."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography.hazmat.primitives.serialization import load_pem_private_key

from issuance.bureau.envelope import RecipientKey
from issuance.bureau.records import FileKind, Header, Tag
from issuance.bureau.sealed import sealing, signing
from issuance.bureau.signing import OwnKey
from issuance.bureau.standin import identity

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


@dataclass(frozen=True)
class Partner:
    """A key with its certificate (DER)."""

    key: RecipientKey
    certificate: bytes

    @property
    def signer(self) -> OwnKey:
        """The same, to sign with."""
        return OwnKey(self.key, self.certificate)


def partner(kind: str = "ec-p256", use: str = identity.SIGNATURE, name: str = "Bureau") -> Partner:
    """A partner's key of a kind for a use, made once."""
    return _partner(kind, use, name)


@cache
def _partner(kind: str, use: str, name: str) -> Partner:
    with TemporaryDirectory() as folder:
        identity.create(Path(folder), name, now=NOW - timedelta(days=1), kind=kind)
        key = load_pem_private_key((Path(folder) / f"{use}.key").read_bytes(), None)
        certificate = identity.read_certificate(Path(folder) / f"{use}.pem")
    return Partner(key, certificate)  # type: ignore[arg-type]


def header(kind: FileKind = FileKind.ORDER, **changed: object) -> Header:
    """A header as an order has it."""
    values: dict[str, object] = {
        "kind": kind,
        "order": "BO-000001",
        "bureau": "NORTH",
        "batch": "B-000001",
        "profile": "uec",
        "made_at": NOW,
        "sequence": 1,
        "terms": {"kvn": "48", "pins": "pin1:8"} if kind is FileKind.ORDER else {},
    }
    return Header(**(values | changed))  # type: ignore[arg-type]


def signed_file(head: Header, records: list[tuple[Tag, bytes]], signer: OwnKey) -> bytes:
    """A reply as a bureau writes it."""
    out = BytesIO()
    with signing(out.write, head, signer=signer, now=NOW) as writer:
        for tag, body in records:
            writer.add(tag, body)
        writer.close()
    return out.getvalue()


def sealed_file(head: Header, records: list[tuple[Tag, bytes]], signer: OwnKey, recipient: bytes) -> bytes:
    """An order as the office writes it."""
    out = BytesIO()
    with sealing(out.write, head, signer=signer, recipient=recipient, now=NOW) as writer:
        for tag, body in records:
            writer.add(tag, body)
        writer.close()
    return out.getvalue()
