"""Security objects by the thousand: what is signed comes from a DER template that is filled in, not from its parts.

All security objects over the same data groups differ in 32-byte digests at fixed places alone (`security_object` has
the structure), so their bytes are joined from constant pieces. What is kept of one is its signature: the rest follows
from the digests, the moment and the signer's certificate, and `assemble` puts it together again, byte for byte.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import repeat

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from issuance.keys.port import KeyAlgorithm
from issuance.pki import cms, der
from issuance.pki.security_object import LDS_SECURITY_OBJECT, encode
from issuance.pki.signing import Signer, algorithm_identifier

_sha256 = hashlib.sha256
Digests = Mapping[int, bytes]
"""SHA-256 of each data group by number, in rising order."""


def hash_list(groups: Mapping[int, bytes]) -> dict[int, bytes]:
    """The SHA-256 digest of each data group by number, in the groups' order."""
    return {number: _sha256(content).digest() for number, content in groups.items()}


def contents(hash_lists: Sequence[Digests]) -> list[bytes]:
    """Encode the list of digests of each card, as it stands in its security object."""
    encoded = []
    for one in hash_lists:
        pieces = _pieces(tuple(one))
        encoded.append(b"".join([part for pair in zip(pieces, one.values(), strict=True) for part in pair]))
    return encoded


def contents_of(groups: Mapping[int, Sequence[bytes]]) -> list[bytes]:
    """What `contents` makes of many cards that have the same groups; `groups` has a column of files for each number."""
    parts: list[Iterable[bytes]] = []
    for piece, files in zip(_pieces(tuple(groups)), groups.values(), strict=True):
        parts += (repeat(piece, len(files)), [_sha256(file).digest() for file in files])
    return list(map(b"".join, zip(*parts, strict=True)))


def sign(signer: Signer, encoded: Sequence[bytes], *, now: datetime) -> list[bytes]:
    """Sign each of `contents`; returns the bare signatures, in order. Raises `IssuerExpired`."""
    signer.require_valid(now)
    name = cms.DIGESTS[cms.digest_of(signer)]
    before, after = _attributes(name, now)
    hashed = getattr(hashlib, name)
    attributes = [before + hashed(content).digest() + after for content in encoded]
    if signer.algorithm is KeyAlgorithm.ED25519:
        return signer.sign(attributes)
    # Digests are a third of what would travel to the vault, and hashed here in a quarter of the time.
    return signer.vault.sign_digests(signer.ref, [hashed(one).digest() for one in attributes])


def assemble(certificate: bytes, digests: Digests, *, signed_at: datetime, signature: bytes) -> bytes:
    """Put a security object (CMS, DER) together again from its signature.

    `certificate` is the signer's (DER), `signed_at` the moment given to `sign`.
    """
    algorithm = _algorithm(certificate)
    digest = cms.SHA_384 if algorithm is KeyAlgorithm.EC_P384 else cms.SHA_256
    content = encode(digests)
    attributes = cms.attributes_of(LDS_SECURITY_OBJECT, content, cms.DIGESTS[digest], signed_at)
    part = cms.SignerPart(digest, attributes, algorithm_identifier(algorithm), signature)
    return cms.assemble(certificate, LDS_SECURITY_OBJECT, content, part)


@lru_cache(maxsize=64)
def _pieces(numbers: tuple[int, ...]) -> tuple[bytes, ...]:
    """The constant bytes before each digest of a list over these groups; nothing follows the last one."""
    marks = {number: hashlib.sha256(bytes((number,))).digest() for number in numbers}
    rest, pieces = encode(marks), []
    for mark in marks.values():
        before, _, rest = rest.partition(mark)
        pieces.append(before)
    if rest or list(numbers) != sorted(numbers):
        raise ValueError("the digests of a card are given in the order of its groups")
    return tuple(pieces)


@lru_cache(maxsize=64)
def _attributes(digest: str, now: datetime) -> tuple[bytes, bytes]:
    """The signed attributes (as the SET that is signed) around the digest of the content."""
    blank = b"what is hashed here has no meaning"
    mark = hashlib.new(digest, blank).digest()
    before, _, after = der.tlv(der.SET, cms.attributes_of(LDS_SECURITY_OBJECT, blank, digest, now)).partition(mark)
    return before, after


@lru_cache(maxsize=16)
def _algorithm(certificate: bytes) -> KeyAlgorithm:
    key = x509.load_der_x509_certificate(certificate).public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        return KeyAlgorithm.EC_P384 if isinstance(key.curve, ec.SECP384R1) else KeyAlgorithm.EC_P256
    return KeyAlgorithm.RSA_2048
