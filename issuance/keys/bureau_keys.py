"""Card keys and transport PINs on their way to an outside bureau: wrapped inside the vault, by the thousand.

AES Key Wrap (RFC 3394, NIST SP 800-38F section 6.2) under the bureau's transport key (AES-256, brought in by a ceremony
whose components the bureau's own custodians have too). The wrapping runs step by step for all cards at once, since a
token is asked once a step and not once a card. A key set is ENC, MAC and DEK in a row; PIN data see `pin_data`.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap

from card_io.ciphers import kcv_aes
from card_io.keyset import KeySet
from card_io.secret import Secret
from issuance.errors import VaultError

_SEMIBLOCK = 8
_ROUNDS = 6
_INITIAL = 0xA6A6A6A6A6A6A6A6

Encrypt = Callable[[bytes | memoryview], bytes]


def wrap_all(encrypt: Encrypt, plain: Sequence[bytes]) -> list[bytes]:
    """Wrap byte strings of one length (a multiple of 8, at least 16); `encrypt` is the key's AES over whole blocks."""
    if not plain:
        return []
    size = len(plain[0])
    if size % _SEMIBLOCK or size < 2 * _SEMIBLOCK or any(len(one) != size for one in plain):
        raise VaultError("what is wrapped together has one length, a multiple of 8 and at least 16 bytes")
    count, parts = len(plain), size // _SEMIBLOCK
    rest = np.frombuffer(b"".join(plain), ">u8").reshape(count, parts).copy()
    blocks = np.empty((count, 2), ">u8")
    blocks[:, 0] = _INITIAL
    for step in range(_ROUNDS * parts):
        place = step % parts
        blocks[:, 1] = rest[:, place]
        made = np.frombuffer(encrypt(blocks.tobytes()), ">u8").reshape(count, 2)
        blocks[:, 0] = made[:, 0] ^ np.uint64(step + 1)
        rest[:, place] = made[:, 1]
    whole = np.concatenate((blocks[:, :1], rest), axis=1).astype(">u8").tobytes()
    length = size + _SEMIBLOCK
    return [whole[at : at + length] for at in range(0, count * length, length)]


def key_set(keys: KeySet) -> tuple[bytes, tuple[bytes, bytes, bytes]]:
    """A key set in a row, and its three check values."""
    values = [key.reveal() for key in keys.in_order()]
    enc, mac, dek = (kcv_aes(value) for value in values)
    return b"".join(values), (enc, mac, dek)


def unwrap_keys(transport: Secret, wrapped: bytes, check_values: Sequence[bytes]) -> KeySet:
    """The bureau's side: a key set whose check values agree; raises `VaultError` for one that is not meant for it."""
    plain = _unwrap(transport, wrapped)
    if len(plain) % 3:
        raise VaultError("a key set has three keys of one length")
    size = len(plain) // 3
    keys = KeySet(*(Secret(plain[at : at + size]) for at in range(0, len(plain), size)))
    if [kcv_aes(key.reveal()) for key in keys.in_order()] != list(check_values):
        raise VaultError("the check values are not those of the keys: the order is damaged")
    return keys


def pin_data(pins: Mapping[str, Secret]) -> bytes:
    """PINs in their order: each its number of digits (1 byte) and its ASCII digits; zeros to a multiple of 8."""
    plain = b"".join(bytes([len(pin)]) + pin.reveal() for pin in pins.values())
    plain += bytes(-len(plain) % _SEMIBLOCK)
    return plain.ljust(2 * _SEMIBLOCK, b"\x00")


def unwrap_pins(transport: Secret, wrapped: bytes, names: Sequence[str]) -> dict[str, Secret]:
    """The bureau's side: PINs by name; raises `VaultError`."""
    plain, pins, at = _unwrap(transport, wrapped), {}, 0
    for name in names:
        end = at + 1 + (plain[at] if at < len(plain) else 0)
        pins[name] = Secret(plain[at + 1 : end])
        if end > len(plain) or end == at + 1:
            raise VaultError(f"the PIN data hold no {name}")
        at = end
    if any(plain[at:]):
        raise VaultError("the PIN data hold more than was announced")
    return pins


def _unwrap(transport: Secret, wrapped: bytes) -> bytes:
    try:
        return aes_key_unwrap(transport.reveal(), wrapped)
    except (InvalidUnwrap, ValueError) as error:
        raise VaultError("this was not wrapped under this transport key: compare its check value") from error
