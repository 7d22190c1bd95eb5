"""What a vault computes for one card from a master key: session keys, PUT KEY data, transport PINs. Pure functions.

GlobalPlatform Amendment D v1.2 sections 6.2 (session keys, cryptograms) and 7.2 (PUT KEY with AES); key check values
are section 7.2.2's. PINs: NIST SP 800-108 in counter mode with CMAC under the PIN master (any token with AES can do it
too), 256 bits reduced to decimal digits; their bias modulo 10^12 is far below 2^-200.
"""

import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from struct import Struct

import numpy as np
from numpy.typing import NDArray

from card_io.ciphers import aes_cbc_encrypt, kcv_aes
from card_io.diversification import KDD_SIZE
from card_io.errors import CardError
from card_io.keyset import KeySet, SessionKeys
from card_io.scp03 import card_cryptogram, derive_session_keys, parse_initialize_update
from card_io.secret import Secret
from issuance.errors import BadComponent, VaultError, WrongCardKeys
from issuance.keys.port import AesForm, CardSessionRequest, PutKeyData, PutKeyRequest

_AES_KEY_TYPE = 0x88
_BLOCK_BYTES = 16
_MAX_PIN_DIGITS = 12
_KDF3 = "kdf3"
_PIN_LABEL = b"uec transport pin"
_ADMIN_LABEL = b"uec applet admin key"
_WORD = np.dtype("<u8")
_KDD_WORDS = np.dtype([("high", "<u2"), ("low", "<u8")])


Buffer = bytes | memoryview


@dataclass(frozen=True)
class Master:
    """A master key that stays where it is: its size, its AES-CMAC over messages, its AES (ECB) over whole blocks."""

    size_bytes: int
    cmac: Callable[[Sequence[bytes]], list[bytes]]
    encrypt: Callable[[Buffer], bytes]


def static_keys(master: Master, derivation: str, kdds: Sequence[bytes]) -> list[KeySet]:
    """Derive cards' static keys by KDF3 (NIST SP 800-108, counter mode): each as long as the master key.

    Raises `VaultError` for another derivation, or data that are not 10 bytes.
    """
    wrong = [len(kdd) for kdd in kdds if len(kdd) != KDD_SIZE]
    if derivation != _KDF3 or wrong:
        raise VaultError(f"no card keys: {derivation} over {wrong or KDD_SIZE} bytes is not {_KDF3} over {KDD_SIZE}")
    columns = kdf3_columns(master, b"".join(kdds))
    cut = Struct(f"{master.size_bytes}s" * len(kdds))
    enc, mac, dek = (cut.unpack(column) for column in columns)
    return [KeySet(Secret(e), Secret(m), Secret(d)) for e, m, d in zip(enc, mac, dek, strict=True)]


def kdf3_columns(master: Master, kdds: bytes) -> tuple[memoryview, memoryview, memoryview]:
    """Derive the keys of many cards at once: all ENC, all MAC and all DEK keys, each in one piece without gaps.

    `kdds`: 10 bytes a card, one after the other; a key is as long as the master, in the order of the cards. KDF3's
    message is one block, so its CMAC is AES over that block plus the subkey K1 (RFC 4493 section 2.4): as many blocks
    as the keys have, all of them in one call of the master's AES. Ten thousand cards a call stay in the cache. Raises
    `VaultError` for data that are not whole.
    """
    if len(kdds) % KDD_SIZE:
        raise VaultError(f"no card keys: {len(kdds)} bytes are no diversification data of {KDD_SIZE} bytes a card")
    cards, halves = len(kdds) // KDD_SIZE, -(-master.size_bytes // _BLOCK_BYTES)
    if not cards:
        return memoryview(b""), memoryview(b""), memoryview(b"")
    blocks = _kdf3_blocks(_subkey(master.encrypt(bytes(_BLOCK_BYTES))), kdds, cards, halves)
    keys = np.frombuffer(master.encrypt(blocks.data.cast("B")), np.uint8).reshape(3, cards, halves * _BLOCK_BYTES)
    if master.size_bytes < keys.shape[2]:  # a key of 24 bytes takes half of its second block
        keys = np.ascontiguousarray(keys[:, :, : master.size_bytes])
    enc, mac, dek = (key.reshape(-1).data for key in keys)
    return enc, mac, dek


def _kdf3_blocks(subkey: bytes, kdds: bytes, cards: int, halves: int) -> NDArray[np.uint64]:
    """What AES runs over, shape (3 keys, cards, halves, 2 words): counter, key's number and KDD, all plus K1.

    A block is two words; the first holds the six bytes that are the same for all cards and two of the KDD's.
    """
    fields = np.frombuffer(kdds, _KDD_WORDS)
    high, low = fields["high"].astype(np.uint64) << np.uint64(48), np.ascontiguousarray(fields["low"])
    blocks = np.empty((3, cards, halves, 2), _WORD)
    for key in range(3):
        for counter in range(halves):
            fixed = bytes((counter + 1, 0, 0, 0, key + 1, 0)) + bytes(KDD_SIZE)
            first, second = np.frombuffer(_xor(fixed, subkey), _WORD)
            np.bitwise_xor(high, first, out=blocks[key, :, counter, 0])
            np.bitwise_xor(low, second, out=blocks[key, :, counter, 1])
    return blocks


def _subkey(encrypted_zeros: bytes) -> bytes:
    """K1 of CMAC: L doubled in GF(2^128)."""
    value = int.from_bytes(encrypted_zeros, "big") << 1
    return ((value & ((1 << 128) - 1)) ^ (0x87 if value >> 128 else 0)).to_bytes(_BLOCK_BYTES, "big")


def _xor(left: bytes, right: bytes) -> bytes:
    return (int.from_bytes(left, "little") ^ int.from_bytes(right, "little")).to_bytes(len(left), "little")


def session_keys(keys: KeySet, request: CardSessionRequest) -> SessionKeys:
    """Derive session keys from a card's static ones and check the card's cryptogram with them.

    Raises `WrongCardKeys` when the card has other keys, `VaultError` for an answer that is not SCP03's.
    """
    try:
        card = parse_initialize_update(request.initialize_update_response)
        session = derive_session_keys(keys, request.host_challenge, card.card_challenge, request.s_mode)
    except CardError as error:
        raise VaultError(f"no session keys: {error}") from error
    expected = card_cryptogram(session, request.host_challenge, card.card_challenge)
    if not hmac.compare_digest(expected, card.card_cryptogram):
        ref = request.master
        raise WrongCardKeys(
            f"the card's key set {card.kvn} does not come from {ref.purpose} version {ref.version}: "
            "check which blank stock, and which vault, this card belongs to; do not try again with this key",
            purpose=ref.purpose,
            version=ref.version,
            kvn=card.kvn,
        )
    return session


def put_key_data(current: KeySet, new: KeySet, request: PutKeyRequest) -> PutKeyData:
    """Return the PUT KEY data field that replaces a card's keys, and the check values the card must answer."""
    if not 1 <= request.new_kvn <= 0x7F:
        raise VaultError(f"key version number {request.new_kvn} is not between 1 and 127: choose another")
    dek = current.dek.reveal()
    keys = [key.reveal() for key in new.in_order()]
    enc, mac, dek_value = (kcv_aes(key) for key in keys)
    blocks = b"".join(_key_block(dek, key, request.aes_form) for key in keys)
    return PutKeyData(bytes([request.new_kvn]) + blocks, (enc, mac, dek_value))


def _key_block(dek: bytes, key: bytes, form: AesForm) -> bytes:
    """Key type, length, the key under the DEK (CBC, zero IV, zero padding to whole blocks), check value."""
    encrypted = aes_cbc_encrypt(dek, bytes(_BLOCK_BYTES), key + bytes(-len(key) % _BLOCK_BYTES))
    if form is AesForm.INNER_LENGTH:
        encrypted = bytes([len(key)]) + encrypted
    kcv = kcv_aes(key)
    return bytes([_AES_KEY_TYPE, len(encrypted)]) + encrypted + bytes([len(kcv)]) + kcv


def transport_pin(master: Master, card_number: str, name: str, digits: int) -> Secret:
    """Derive one transport PIN as ASCII digits; raises `VaultError` for an impossible length or an empty number."""
    if not 4 <= digits <= _MAX_PIN_DIGITS:
        raise VaultError(f"a PIN of {digits} digits is not possible: choose 4 to {_MAX_PIN_DIGITS}")
    if not card_number.isascii() or not card_number.isdigit() or not name:
        raise VaultError("a PIN belongs to a card number in digits and has a name")
    context = b"\x00".join((_PIN_LABEL, name.encode(), card_number.encode(), str(digits).encode()))
    stream = b"".join(master.cmac([bytes([counter]) + context for counter in (1, 2)]))
    value = int.from_bytes(stream, "big") % 10**digits
    return Secret(f"{value:0{digits}d}".encode())


def admin_key(master: Master, chip_id: str, size_bytes: int) -> Secret:
    """Derive the key that manages one chip's applet outside of a secure channel (PIV 9B): 16, 24 or 32 bytes.

    KDF in counter mode with CMAC (NIST SP 800-108r1, 4.1) over the label, the chip and the length.
    """
    if size_bytes not in (16, 24, 32):
        raise VaultError(f"an admin key of {size_bytes} bytes is not possible: choose 16, 24 or 32")
    if not chip_id.isascii() or not chip_id.isalnum():
        raise VaultError("an admin key belongs to a chip by its identifier in hex")
    context = b"\x00".join((_ADMIN_LABEL, chip_id.encode(), str(size_bytes).encode()))
    return Secret(b"".join(master.cmac([bytes([counter]) + context for counter in (1, 2)]))[:size_bytes])


def combine(components: tuple[Secret, ...], size_bytes: int) -> Secret:
    """XOR two or more components into a key; raises `BadComponent` for a wrong count, length or repeated component."""
    if len(components) < 2:
        raise BadComponent("a key comes in two or more components, each with its own custodian")
    if any(len(component) != size_bytes for component in components):
        raise BadComponent(f"each component has {size_bytes} bytes, {2 * size_bytes} hex digits")
    value = 0
    for position, component in enumerate(components):
        if component in components[:position]:
            raise BadComponent("two components are the same: each custodian enters their own")
        value ^= int.from_bytes(component.reveal(), "big")
    return Secret(value.to_bytes(size_bytes, "big"))
