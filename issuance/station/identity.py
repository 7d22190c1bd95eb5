"""A station's own key pair and the number the hub knows it by; the only thing it keeps at rest.

Two files, readable by their owner only: `station.key` (P-256, PKCS #8) and `station.json` (id, name, the hub's pin).
The key is made here and never leaves.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from issuance.station.errors import AlreadyEnrolled, FolderUnusable, NotEnrolled

KEY_FILE = "station.key"
IDENTITY_FILE = "station.json"


class StationKey:
    """A private key that signs; its public half is what enrolment leaves at the hub."""

    def __init__(self, private: ec.EllipticCurvePrivateKey) -> None:
        """Use `generate` or `StationIdentity.load`."""
        self._private = private

    @classmethod
    def generate(cls) -> Self:
        """A new key."""
        return cls(ec.generate_private_key(ec.SECP256R1()))

    @property
    def public_key(self) -> bytes:
        """SubjectPublicKeyInfo in DER."""
        return self._private.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def sign(self, message: bytes) -> bytes:
        """ECDSA with SHA-256, DER."""
        return self._private.sign(message, ec.ECDSA(hashes.SHA256()))

    @classmethod
    def kept(cls, folder: Path) -> Self:
        """The key of an enrolment that was begun in `folder`, or a new one, which is kept there now.

        Raises `AlreadyEnrolled` when the enrolment was finished, `FolderUnusable` when nothing can be kept there.
        """
        if (folder / IDENTITY_FILE).exists():
            raise AlreadyEnrolled(str(folder))
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if (folder / KEY_FILE).exists():
                private = serialization.load_pem_private_key((folder / KEY_FILE).read_bytes(), password=None)
                if isinstance(private, ec.EllipticCurvePrivateKey):
                    return cls(private)
            key = cls.generate()
            _write(folder / KEY_FILE, key.pem())
        except (OSError, ValueError) as error:
            raise FolderUnusable(str(folder), str(error)) from error
        return key

    def pem(self) -> bytes:
        """The private key as it is kept in its file."""
        return self._private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


@dataclass(frozen=True, slots=True)
class StationIdentity:
    """Who this station is to the hub."""

    station_id: int
    name: str
    key: StationKey
    hub_pin: str = ""

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The identity kept in `folder`; `NotEnrolled` when there is none, or only half of one."""
        try:
            kept = json.loads((folder / IDENTITY_FILE).read_text(encoding="utf-8"))
            private = serialization.load_pem_private_key((folder / KEY_FILE).read_bytes(), password=None)
            station_id, name, pin = int(kept["station_id"]), str(kept["name"]), str(kept.get("hub_pin", ""))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise NotEnrolled(str(folder)) from error
        if not isinstance(private, ec.EllipticCurvePrivateKey):
            raise NotEnrolled(str(folder))
        return cls(station_id, name, StationKey(private), pin)

    def save(self, folder: Path) -> None:
        """Keep it; the identity file comes last, so that half an identity is none."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write(folder / KEY_FILE, self.key.pem())
        kept = {"station_id": self.station_id, "name": self.name, "hub_pin": self.hub_pin}
        content = json.dumps(kept, ensure_ascii=False)
        _write(folder / IDENTITY_FILE, content.encode("utf-8"))


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all, for the owner's eyes only."""
    new = path.with_suffix(path.suffix + ".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
