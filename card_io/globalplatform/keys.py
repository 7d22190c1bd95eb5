"""Keys on the card: PUT KEY with every key type of the specification, what the card answers, DELETE [key].

GlobalPlatform Card Specification 2.3.1 §11.1.8, §11.8, §11.2.2.3.2; Amendment D 1.1.1 §7.2. Secret components come in
enciphered: the key that enciphers them stays with its keeper. Builders and parsers only.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum

from card_io import tlv
from card_io.apdu import CommandAPDU
from card_io.ciphers import AES_BLOCK, aes_cbc_encrypt
from card_io.errors import CardError, InvalidApdu, UnexpectedAnswer
from card_io.secret import Secret


class KeyType(IntEnum):
    """Key type coding (table 11-16)."""

    DES = 0x80
    TLS_PSK = 0x85
    AES = 0x88
    HMAC_SHA1 = 0x90
    HMAC_SHA1_160 = 0x91
    RSA_PUBLIC_EXPONENT = 0xA0
    RSA_PUBLIC_MODULUS = 0xA1
    RSA_PRIVATE_MODULUS = 0xA2
    RSA_PRIVATE_EXPONENT = 0xA3
    RSA_CRT_P = 0xA4
    RSA_CRT_Q = 0xA5
    RSA_CRT_PQ = 0xA6
    RSA_CRT_DP1 = 0xA7
    RSA_CRT_DQ1 = 0xA8
    ECC_PUBLIC = 0xB0
    ECC_PRIVATE = 0xB1
    ECC_P = 0xB2
    ECC_A = 0xB3
    ECC_B = 0xB4
    ECC_G = 0xB5
    ECC_N = 0xB6
    ECC_K = 0xB7
    ECC_PARAMETERS = 0xF0


class AesForm(Enum):
    """How an AES key stands in PUT KEY: cards and hosts disagree, so the card's profile says which.

    INNER_LENGTH is Amendment D's `88 11 10 <key> 03 <KCV>`; BARE is `88 10 <key> 03 <KCV>`, for 16 and 32 bytes only.
    """

    INNER_LENGTH = "inner-length"
    BARE = "bare"


@dataclass(frozen=True, slots=True)
class KeyComponent:
    """One component: its type and its block, enciphered where it is secret."""

    kind: KeyType
    block: bytes

    def encode(self) -> bytes:
        """Type, length, block."""
        return bytes([self.kind]) + tlv.length_bytes(len(self.block)) + self.block


@dataclass(frozen=True, slots=True)
class KeyData:
    """One key data field in the basic format: components and key check value (empty for RSA and ECC)."""

    components: tuple[KeyComponent, ...]
    check_value: bytes = b""

    def encode(self) -> bytes:
        """The field as PUT KEY carries it (table 11-68)."""
        parts = b"".join(component.encode() for component in self.components)
        return parts + bytes([len(self.check_value)]) + self.check_value


def encipher_aes_key(dek: Secret, key: Secret, padding: bytes = bytes(8)) -> bytes:
    """An AES key under a static AES Key-DEK (Amendment D §6.2.8), for the keeper of both; 24 bytes are padded to 32."""
    value = key.reveal()
    missing = -len(value) % AES_BLOCK
    return aes_cbc_encrypt(dek.reveal(), bytes(AES_BLOCK), value + padding[:missing])


def aes_key(enciphered: bytes, size_bytes: int, check_value: bytes, form: AesForm) -> KeyData:
    """The key data field of an AES key of 16, 24 or 32 bytes; 24 need the inner length."""
    if size_bytes not in (16, 24, 32) or len(enciphered) != -(-size_bytes // AES_BLOCK) * AES_BLOCK:
        raise InvalidApdu(f"an AES key of {size_bytes} bytes enciphered to {len(enciphered)}; encipher whole blocks")
    if form is AesForm.BARE and size_bytes == 24:
        raise InvalidApdu("an AES-192 key is padded and needs its inner length; choose that form in the card profile")
    inner = bytes([size_bytes]) if form is AesForm.INNER_LENGTH else b""
    return KeyData((KeyComponent(KeyType.AES, inner + enciphered),), check_value)


def des_key(enciphered: bytes, check_value: bytes) -> KeyData:
    """The key data field of a 3DES key of 16 or 24 bytes."""
    if len(enciphered) not in (16, 24):
        raise InvalidApdu(f"a 3DES key of {len(enciphered)} bytes; it has 16 or 24")
    return KeyData((KeyComponent(KeyType.DES, enciphered),), check_value)


def rsa_public_key(modulus: bytes, exponent: bytes) -> KeyData:
    """The key data field of an RSA public key (table 11-75)."""
    return KeyData(
        (KeyComponent(KeyType.RSA_PUBLIC_MODULUS, modulus), KeyComponent(KeyType.RSA_PUBLIC_EXPONENT, exponent))
    )


def rsa_private_key(modulus: bytes, exponent_block: bytes) -> KeyData:
    """The key data field of an RSA private key: modulus in clear, exponent as an enciphered block (table 11-76)."""
    return KeyData(
        (KeyComponent(KeyType.RSA_PUBLIC_MODULUS, modulus), KeyComponent(KeyType.RSA_PRIVATE_EXPONENT, exponent_block))
    )


def rsa_crt_key(blocks: Sequence[bytes]) -> KeyData:
    """The key data field of an RSA private key in CRT form: enciphered blocks of P, Q, PQ, DP1, DQ1."""
    kinds = (KeyType.RSA_CRT_P, KeyType.RSA_CRT_Q, KeyType.RSA_CRT_PQ, KeyType.RSA_CRT_DP1, KeyType.RSA_CRT_DQ1)
    if len(blocks) != len(kinds):
        raise InvalidApdu(f"{len(blocks)} CRT components; give P, Q, PQ, DP1 and DQ1")
    return KeyData(tuple(KeyComponent(kind, block) for kind, block in zip(kinds, blocks, strict=True)))


def ecc_public_key(point: bytes, parameters: int) -> KeyData:
    """The key data field of an ECC public key (uncompressed point) on the curve with this parameter reference."""
    if point[:1] != b"\x04":
        raise InvalidApdu("an ECC public key is an uncompressed point; it starts with 04")
    return KeyData((KeyComponent(KeyType.ECC_PUBLIC, point), _curve(parameters)))


def ecc_private_key(block: bytes, parameters: int) -> KeyData:
    """The key data field of an ECC private key (enciphered block) on the curve with this parameter reference."""
    return KeyData((KeyComponent(KeyType.ECC_PRIVATE, block), _curve(parameters)))


def _curve(parameters: int) -> KeyComponent:
    size = 1 if parameters <= 0xFF else 2
    return KeyComponent(KeyType.ECC_PARAMETERS, parameters.to_bytes(size, "big"))


def component_block(enciphered: bytes, size_bytes: int) -> bytes:
    """A secret component that was padded before it was enciphered: its true length in front (table 11-70)."""
    return tlv.length_bytes(size_bytes) + enciphered


def put_key(kvn: int, key_id: int, new_kvn: int, keys: Sequence[KeyData]) -> CommandAPDU:
    """PUT KEY: replace key version `kvn` (0 adds a new one) by `keys`, numbered from `key_id` up, as `new_kvn`.

    A command that grows over 255 bytes is extended: wrap it whole and `segment` it.
    """
    if not keys:
        raise InvalidApdu("PUT KEY without a key; give at least one")
    if not 1 <= new_kvn <= 0x7F:
        raise InvalidApdu(f"key version {new_kvn:02X} cannot be put; use 01 to 7F")
    return put_key_data(kvn, key_id, bytes([new_kvn]) + b"".join(key.encode() for key in keys), count=len(keys))


def put_key_data(kvn: int, key_id: int, data: bytes, *, count: int) -> CommandAPDU:
    """PUT KEY with a data field that a keeper of keys made: new key version, then `count` key data fields."""
    if not 0 <= kvn <= 0x7F or not 0 <= key_id <= 0x7F:
        raise InvalidApdu(f"key version {kvn:02X}, key {key_id:02X}; both go from 00 to 7F")
    return CommandAPDU(0x80, 0xD8, kvn, key_id | (0x80 if count > 1 else 0x00), data, 256)


class WrongCheckValues(CardError):
    """The card took other keys than those sent."""

    code = "card.check-values"


def check_put_key_answer(answer: bytes, new_kvn: int, check_values: Sequence[bytes]) -> None:
    """Compare what PUT KEY answered (key version, then the check values) with what was sent.

    Raises `WrongCheckValues`: the keys on the card are not the ones meant. Even a right answer is no proof: open a
    channel with the new keys before the old ones are forgotten.
    """
    if not answer:
        raise UnexpectedAnswer("PUT KEY answered nothing; read the key information and open a channel to see")
    expected = bytes([new_kvn]) + b"".join(check_values)
    if not hmac.compare_digest(answer, expected):
        raise WrongCheckValues("the card answers other key check values than those sent; set the card aside")


def delete_key(*, kvn: int | None = None, key_id: int | None = None) -> CommandAPDU:
    """DELETE [key]: one key by both numbers, or all keys of one version or of one identifier."""
    data = b"" if key_id is None else tlv.encode(0xD0, bytes([key_id]))
    data += b"" if kvn is None else tlv.encode(0xD2, bytes([kvn]))
    if not data:
        raise InvalidApdu("DELETE [key] without a key; name its version, its identifier or both")
    return CommandAPDU(0x80, 0xE4, 0x00, 0x00, data, 256)
