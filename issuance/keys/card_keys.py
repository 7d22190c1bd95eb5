"""What a vault computes for one card from a master key: session keys, PUT KEY data, transport PINs. Pure functions.

GlobalPlatform Amendment D v1.2 sections 6.2 (session keys, cryptograms) and 7.2 (PUT KEY with AES); key check values
are section 7.2.2's. PINs: NIST SP 800-108 in counter mode with CMAC under the PIN master (any token with AES can do it
too), 256 bits reduced to decimal digits; their bias modulo 10^12 is far below 2^-200.
"""

import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Master:
    """A master key that stays where it is: its size, and its AES-CMAC over messages."""

    size_bytes: int
    cmac: Callable[[Sequence[bytes]], list[bytes]]


def static_keys(master: Master, derivation: str, kdd: bytes) -> KeySet:
    """Derive a card's static keys by KDF3 (NIST SP 800-108, counter mode): each as long as the master key.

    Raises `VaultError` for another derivation, or data that are not 10 bytes.
    """
    if derivation != _KDF3 or len(kdd) != KDD_SIZE:
        raise VaultError(f"no card keys: {derivation} over {len(kdd)} bytes is not {_KDF3} over {KDD_SIZE}")
    blocks = -(-master.size_bytes // _BLOCK_BYTES)
    messages = [bytes((counter, 0, 0, 0, key, 0)) + kdd for key in (1, 2, 3) for counter in range(1, blocks + 1)]
    stream = b"".join(master.cmac(messages))
    enc, mac, dek = (Secret(stream[at : at + master.size_bytes]) for at in range(0, len(stream), blocks * _BLOCK_BYTES))
    return KeySet(enc, mac, dek)


def session_keys(master: Master, request: CardSessionRequest) -> SessionKeys:
    """Derive session keys and check the card's cryptogram with them.

    Raises `WrongCardKeys` when the card has other keys, `VaultError` for an answer that is not SCP03's.
    """
    keys = static_keys(master, request.derivation, request.kdd)
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


def put_key_data(current: Master, new: Master, request: PutKeyRequest) -> PutKeyData:
    """Return the PUT KEY data field that replaces a card's keys, and the check values the card must answer."""
    if not 1 <= request.new_kvn <= 0x7F:
        raise VaultError(f"key version number {request.new_kvn} is not between 1 and 127: choose another")
    dek = static_keys(current, request.derivation, request.kdd).dek.reveal()
    keys = [key.reveal() for key in static_keys(new, request.derivation, request.kdd).in_order()]
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
