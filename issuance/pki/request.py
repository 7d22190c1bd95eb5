"""What is asked of an issuing authority: one certificate, in the requester's words."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from issuance.pki.names import CardNames, Subject


@dataclass(frozen=True)
class CertificateRequest:
    """A certificate wanted. `public_key` is a SubjectPublicKeyInfo in DER; times are aware and cut to seconds.

    `card_expires`: nothing on a card outlives it. `card_number` is for the office's record; it is printed into the
    certificate only where the subject says so. `crl_part`: which part of the revocation list the certificate points
    at, None for the whole list; it is fixed here for ever. `card_names` are for profiles that name the card otherwise
    too.
    """

    profile: str
    public_key: bytes
    subject: Subject
    serial: int
    not_before: datetime
    not_after: datetime
    card_number: str | None = None
    card_expires: datetime | None = None
    crl_part: int | None = None
    card_names: CardNames | None = None

    @cached_property
    def key_digest(self) -> bytes:
        """SHA-256 of the public key: by it a key is looked up among all that ever were, and certificates name it."""
        return hashlib.sha256(self.public_key).digest()
