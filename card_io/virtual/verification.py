"""Keys that a security domain checks signatures over code with, and the check itself.

GlobalPlatform Card Specification 2.3.1: 11.8.2.3 (PUT KEY: components), C.1.2 and C.3 (load file data block signature),
B.1.2.2, B.2.2, B.3, B.4.3 (the algorithms). Versions 70 to 7F hold one such key each; lower ones open sessions.
"""

from collections.abc import Iterator
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from card_io.apdu import CommandAPDU
from card_io.errors import InvalidTlv
from card_io.virtual.keyloading import Decrypt, read_keys
from card_io.virtual.keysets import TYPE_AES, TYPE_DES
from card_io.virtual.memory import Area
from card_io.virtual.primitives import cmac, retail_mac
from card_io.virtual.refusal import CONDITIONS, REFERENCE_NOT_FOUND, WRONG_DATA, Refused

VERSIONS: Final = range(0x70, 0x80)
RSA_EXPONENT, RSA_MODULUS, EC_POINT, EC_PARAMETERS = 0xA0, 0xA1, 0xB0, 0xF0
_CURVES: Final = {0x00: ec.SECP256R1(), 0x01: ec.SECP384R1(), 0x02: ec.SECP521R1()}
_HASH_OF_CURVE: Final = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}
_RSA_SCHEME_1_BITS: Final = 1024

Components = dict[int, bytes]


class VerificationKeys:
    """The verification keys of one domain, by version; a key is its components by type."""

    def __init__(self, area: Area) -> None:
        self._area = area

    def versions(self) -> list[int]:
        """Versions present, lowest first."""
        return sorted(int(name.removeprefix("check/"), 16) for name in self._area.names("check/"))

    def get(self, version: int) -> Components:
        """The components of a key."""
        row = self._area.row(f"check/{version:02x}") or ()
        pairs = [item for item in row if isinstance(item, tuple)]
        return {kind: value for kind, value in pairs if isinstance(kind, int) and isinstance(value, bytes)}

    def put(self, command: CommandAPDU, decrypt: Decrypt) -> bytes:
        """PUT KEY of such a key (key identifier 01); the answer is its version, and check values of symmetric ones."""
        version = command.data[0]
        if command.p1 not in {0, version} or command.p2 & 0x7F != 0x01:
            raise Refused(REFERENCE_NOT_FOUND)
        if (version in self.versions()) != bool(command.p1):
            raise Refused(CONDITIONS if not command.p1 else REFERENCE_NOT_FOUND)
        if command.data[1:2] in {bytes([TYPE_AES]), bytes([TYPE_DES])}:
            keys = read_keys(command.data[1:], decrypt)
            if len(keys) != 1:
                raise Refused(WRONG_DATA)
            components, answer = {keys[0].key_type: keys[0].value}, keys[0].check_value
        else:
            components, answer = _public_components(command.data[1:]), b""
        self._area.put(f"check/{version:02x}", tuple(components.items()))
        return bytes([version]) + answer

    def delete(self, version: int) -> None:
        """Forget a key; `Refused` 6A88 when it is not there."""
        if version not in self.versions():
            raise Refused(REFERENCE_NOT_FOUND)
        self._area.delete(f"check/{version:02x}")

    def information(self) -> Iterator[bytes]:
        """Key information data, basic structure: a length of 256 bytes and more is told as 00, a curve by reference."""
        for version in self.versions():
            line = bytes([0x01, version])
            for kind, value in self.get(version).items():
                size = value[0] if kind == EC_PARAMETERS else len(value) - (kind == EC_POINT)
                line += bytes([kind, size if size < 0x100 else 0])
            yield line

    def accept(self, signature: bytes, digest: bytes) -> bool:
        """Whether any of the keys finds `signature` good over a load file data block hash."""
        return any(_is_good(self.get(version), signature, digest) for version in self.versions())


def _public_components(data: bytes) -> Components:
    """RSA: modulus and exponent. ECC: uncompressed point and a curve's reference. No check value follows."""
    components: Components = {}
    try:
        while data and data[0]:
            kind, data = data[0], data[1:]
            size, start = _length(data)
            components[kind], data = data[start : start + size], data[start + size :]
            if len(components[kind]) != size:
                raise Refused(WRONG_DATA)
    except InvalidTlv as error:
        raise Refused(WRONG_DATA) from error
    if data != b"\x00" or not _is_public(components):
        raise Refused(WRONG_DATA)
    return components


def _length(data: bytes) -> tuple[int, int]:
    """A length in BER and how many bytes it takes."""
    if not data:
        raise Refused(WRONG_DATA)
    if data[0] < 0x80:
        return data[0], 1
    count = data[0] & 0x7F
    if not 1 <= count <= 2 or len(data) <= count:
        raise Refused(WRONG_DATA)
    return int.from_bytes(data[1 : 1 + count], "big"), 1 + count


def _is_public(components: Components) -> bool:
    if components.keys() == {RSA_MODULUS, RSA_EXPONENT}:
        return len(components[RSA_MODULUS]) * 8 >= _RSA_SCHEME_1_BITS
    if components.keys() != {EC_POINT, EC_PARAMETERS}:
        return False
    curve = _CURVES.get(int.from_bytes(components[EC_PARAMETERS], "big"))
    if curve is None or not components[EC_PARAMETERS]:
        return False
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(curve, components[EC_POINT])
    except ValueError:
        return False
    return True


def _is_good(components: Components, signature: bytes, digest: bytes) -> bool:
    """One signature under one key; the type and length of the key say the algorithm (C.3)."""
    match components:
        case {0x80: key}:
            return signature == retail_mac(key, digest)
        case {0x88: key}:
            return signature == cmac(key, digest)
        case {0xA1: modulus, 0xA0: exponent}:
            return _rsa_is_good(int.from_bytes(modulus, "big"), int.from_bytes(exponent, "big"), signature, digest)
        case {0xB0: point, 0xF0: reference}:
            curve = _CURVES[reference[0]]
            return _ec_is_good(ec.EllipticCurvePublicKey.from_encoded_point(curve, point), signature, digest)
    return False


def _rsa_is_good(modulus: int, exponent: int, signature: bytes, digest: bytes) -> bool:
    try:
        public = rsa.RSAPublicNumbers(exponent, modulus).public_key()
        if public.key_size == _RSA_SCHEME_1_BITS:
            public.verify(signature, digest, padding.PKCS1v15(), hashes.SHA1())  # noqa: S303 - scheme 1 says so
        else:
            pss = padding.PSS(padding.MGF1(hashes.SHA256()), hashes.SHA256.digest_size)
            public.verify(signature, digest, pss, hashes.SHA256())
    except (InvalidSignature, ValueError):
        return False
    return True


def _ec_is_good(public: ec.EllipticCurvePublicKey, signature: bytes, digest: bytes) -> bool:
    """The signature is r and s one after the other, each as long as the order."""
    half = -(-public.key_size // 8)
    if len(signature) != 2 * half:
        return False
    numbers = (int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big"))
    try:
        public.verify(encode_dss_signature(*numbers), digest, ec.ECDSA(_HASH_OF_CURVE[public.key_size]))
    except InvalidSignature:
        return False
    return True
