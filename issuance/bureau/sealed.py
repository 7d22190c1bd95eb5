"""A file as it lies in the exchange folder: what the office sends is signed, then encrypted; what it gets is signed.

Both ways in constant memory: content goes to a spool as it is read, and is looked at only after the signature held.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, cast

from issuance.bureau.envelope import EncryptingWriter, RecipientKey, read_enveloped
from issuance.bureau.records import Header, RecordWriter
from issuance.bureau.signing import SigningWriter, StreamSigner, read_signed
from issuance.pki import cms
from issuance.pki.signing import Signer, algorithm_identifier

IN_MEMORY_BYTES = 8 << 20


@dataclass(frozen=True)
class VaultKey:
    """The office's signer: a key in the vault, with its certificate."""

    signer: Signer

    @property
    def certificate(self) -> bytes:
        """Its certificate, DER."""
        return self.signer.certificate

    @property
    def digest(self) -> str:
        """The hash that goes with the key."""
        return cms.DIGESTS[cms.digest_of(self.signer)]

    @property
    def algorithm(self) -> bytes:
        """The AlgorithmIdentifier of its signatures."""
        return algorithm_identifier(self.signer.algorithm)

    def sign(self, message: bytes) -> bytes:
        """Have the vault sign."""
        return self.signer.sign([message])[0]


@contextmanager
def sealing(
    write: Callable[[bytes], object], header: Header, *, signer: StreamSigner, recipient: bytes, now: datetime
) -> Iterator[RecordWriter]:
    """Write records into a file for the holder of `recipient` (certificate, DER).

    The caller closes the record writer, which gives the digest; an error leaves a file without an end.
    """
    envelope = EncryptingWriter(write, recipient)
    signed = SigningWriter(envelope.write, signer, now=now)
    yield RecordWriter(signed.write, header)
    signed.close()
    envelope.close()


@contextmanager
def signing(
    write: Callable[[bytes], object], header: Header, *, signer: StreamSigner, now: datetime
) -> Iterator[RecordWriter]:
    """Write records into a file that is signed and not encrypted: a bureau's replies hold no secret."""
    signed = SigningWriter(write, signer, now=now)
    yield RecordWriter(signed.write, header)
    signed.close()


@contextmanager
def opened_reply(stream: BinaryIO, certificate: bytes) -> Iterator[BinaryIO]:
    """The records of a signed file, once its signature by this certificate held; raises `BureauFileRefused`."""
    with spool() as kept:
        read_signed(stream, certificate, kept.write)
        kept.seek(0)
        yield kept


@contextmanager
def opened_order(path: Path, *, recipient: bytes, key: RecipientKey, signer: bytes) -> Iterator[BinaryIO]:
    """The records of a file for this recipient, signed by exactly this certificate; raises `BureauFileRefused`."""
    with spool() as kept, spool() as inner:
        with path.open("rb") as stream:
            read_enveloped(stream, recipient, key, inner.write)
        inner.seek(0)
        read_signed(inner, signer, kept.write)
        kept.seek(0)
        yield kept


@contextmanager
def spool() -> Iterator[BinaryIO]:
    """A temporary file, in memory while it is small."""
    with SpooledTemporaryFile(IN_MEMORY_BYTES) as kept:
        yield cast("BinaryIO", kept)
