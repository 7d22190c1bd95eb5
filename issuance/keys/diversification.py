"""Cards' static keys from a master key, a thousand cards or ten thousand in one call. Pure functions.

KDF3: NIST SP 800-108 in counter mode with CMAC, GlobalPlatform's way; EMV: EMV Card Personalization Specification 1.1,
section 4.1; VISA2: as public GlobalPlatform hosts implement it. Hides how the blocks for the cipher are laid out: all
cards' blocks are made by whole arrays, and the master's cipher runs over them in a few calls. One card's side of the
same formulas is `card_io.diversification`; tests hold one against the other.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from struct import Struct

import numpy as np
from numpy.typing import NDArray

from card_io.diversification import KDD_SIZE
from card_io.keyset import KeySet
from card_io.secret import Secret
from issuance.errors import VaultError
from issuance.keys.port import EMV, KDF3, VISA2

AES_BLOCK, DES_BLOCK = 16, 8
DES_KEY_BYTES = 16

Buffer = bytes | memoryview
Columns = tuple[memoryview, memoryview, memoryview]
"""All cards' ENC keys in one piece without gaps, then all MAC keys, then all DEK keys."""

# Which bytes of the KDD open a card's seed.
_SEEDS = {EMV: (slice(4, 10),), VISA2: (slice(0, 2), slice(4, 8))}
# So many blocks a key fit the processor's second cache with what is made of them.
_BLOCKS_AT_ONCE = 10_240
# A pattern that repeats is laid over the blocks by rows of so many words, short enough to stay in the first cache.
_ROW_WORDS = 512
_BLOCK_WORDS = 2
_WORD = np.dtype("<u8")
_BLOCK = np.dtype("V16")


@dataclass(frozen=True)
class Master:
    """A master key that stays where it is.

    `cmac` is its AES-CMAC over messages. `encrypt` enciphers whole blocks, each by itself, to the front of a buffer
    that has room for one block more.
    """

    size_bytes: int
    block_bytes: int
    cmac: Callable[[Sequence[bytes]], list[bytes]]
    encrypt: Callable[[Buffer, memoryview], object]

    def enciphered(self, blocks: Buffer) -> bytes:
        """Encipher whole blocks, each by itself."""
        room = bytearray(len(blocks) + self.block_bytes)
        self.encrypt(blocks, memoryview(room))
        return bytes(room[: len(blocks)])


def static_keys(master: Master, derivation: str, kdds: Sequence[bytes]) -> list[KeySet]:
    """Derive cards' static keys: each as long as the master key.

    Raises `VaultError` for a derivation that is not of this master's cipher, or data that are not 10 bytes.
    """
    wrong = [len(kdd) for kdd in kdds if len(kdd) != KDD_SIZE]
    if wrong:
        raise VaultError(f"no card keys: diversification data have {KDD_SIZE} bytes a card, not {wrong[0]}")
    columns = key_columns(master, derivation, b"".join(kdds))
    cut = Struct(f"{master.size_bytes}s" * len(kdds))
    enc, mac, dek = (cut.unpack(column) for column in columns)
    return [KeySet(Secret(e), Secret(m), Secret(d)) for e, m, d in zip(enc, mac, dek, strict=True)]


def key_columns(master: Master, derivation: str, kdds: bytes) -> Columns:
    """Derive the keys of many cards at once, in the order of the cards.

    `kdds`: 10 bytes a card, one after the other; a key is as long as the master. Raises `VaultError` for data that are
    not whole, and for a derivation that this master's cipher does not have.
    """
    if len(kdds) % KDD_SIZE:
        raise VaultError(f"no card keys: {len(kdds)} bytes are no diversification data of {KDD_SIZE} bytes a card")
    if derivation == KDF3 and master.block_bytes == AES_BLOCK:
        return _kdf3(master, kdds) if kdds else _NOTHING
    if derivation in _SEEDS and (master.block_bytes, master.size_bytes) == (DES_BLOCK, DES_KEY_BYTES):
        return _by_seeds(master, _SEEDS[derivation], kdds) if kdds else _NOTHING
    cipher = "AES" if master.block_bytes == AES_BLOCK else "3DES"
    raise VaultError(f"no card keys: {derivation} is no derivation of an {cipher} master; check the card's profile")


_NOTHING: Columns = (memoryview(b""), memoryview(b""), memoryview(b""))


def _kdf3(master: Master, kdds: bytes) -> Columns:
    """KDF3's message is one block, so its CMAC is AES over that block plus the subkey K1 (RFC 4493 section 2.4)."""
    cards, halves = len(kdds) // KDD_SIZE, -(-master.size_bytes // AES_BLOCK)
    column, at_once = cards * halves * AES_BLOCK, _BLOCKS_AT_ONCE // halves
    made = np.empty(3 * column + AES_BLOCK, np.uint8)
    subkey = _subkey(master)
    keys, pattern, space = made.data, _pattern(subkey, halves), _workspace(min(cards, at_once) * halves)
    kdds = _BEFORE + kdds
    for first in range(0, cards, at_once):
        count = min(at_once, cards - first)
        space.lay_out(kdds, first, count, halves)
        space.add(count * halves, pattern)
        for key, number in enumerate(_KEY_NUMBERS):
            blocks = space.numbered(count * halves, number ^ subkey[_KEY_NUMBER_AT])
            master.encrypt(blocks, keys[key * column + first * halves * AES_BLOCK :])
    if master.size_bytes % AES_BLOCK:
        return _cut(made[: 3 * column].reshape(3, cards, halves * AES_BLOCK), master.size_bytes)
    return keys[:column], keys[column : 2 * column], keys[2 * column : 3 * column]


def _pattern(subkey: bytes, halves: int) -> NDArray[np.uint64]:
    """What is added to every card's blocks: the counter of each half, and K1. The key's number comes later."""
    counted = b"".join(bytes([half]) + bytes(AES_BLOCK - 1) for half in range(1, halves + 1))
    added = int.from_bytes(counted, "big") ^ int.from_bytes(subkey * halves, "big")
    return _row(added.to_bytes(len(counted), "big"))


def _row(pattern: bytes) -> NDArray[np.uint64]:
    return np.frombuffer(pattern * (_ROW_WORDS * _WORD.itemsize // len(pattern)), _WORD)


# A block holds its card's ten bytes last; what is read before them belongs to the card before.
_BEFORE = bytes(AES_BLOCK - KDD_SIZE)
_LAST_TEN = _row(_BEFORE + b"\xff" * KDD_SIZE)
# The blocks of a card's three keys differ in this byte only.
_KEY_NUMBERS, _KEY_NUMBER_AT = (1, 2, 3), 4


class _Workspace:
    """Blocks that are used again by every call of a thread, so that no call waits for fresh memory."""

    def __init__(self, blocks: int) -> None:
        rows = -(-blocks * _BLOCK_WORDS // _ROW_WORDS)
        self.blocks = rows * _ROW_WORDS // _BLOCK_WORDS
        self._rows = np.zeros((rows, _ROW_WORDS), _WORD)
        self._whole = self._rows.reshape(-1).view(_BLOCK)
        self._bytes = self._rows.reshape(-1).view(np.uint8)

    def lay_out(self, kdds: bytes, first: int, count: int, halves: int) -> None:
        """Put `count` cards' KDDs, from the card `first`, at the ends of `halves` blocks each.

        `kdds` begin after `_BEFORE`: whole blocks are copied, with the six bytes that lie before each KDD.
        """
        cards = np.ndarray(count, _BLOCK, kdds, first * KDD_SIZE, (KDD_SIZE,))
        if halves == 1:
            self._whole[:count] = cards
        else:
            self._whole[: count * halves].reshape(count, halves)[:] = cards[:, None]

    def add(self, blocks: int, pattern: NDArray[np.uint64]) -> None:
        """Make of the first so many blocks what the cipher gets, but for the key's number."""
        rows = self._rows[: -(-blocks * _BLOCK_WORDS // _ROW_WORDS)]
        np.bitwise_and(rows, _LAST_TEN, out=rows)
        np.bitwise_xor(rows, pattern, out=rows)

    def numbered(self, blocks: int, number: int) -> memoryview:
        """The first so many blocks, with a key's number in each."""
        self._bytes[_KEY_NUMBER_AT : blocks * AES_BLOCK : AES_BLOCK].fill(number)
        return self._bytes.data[: blocks * AES_BLOCK]


_kept = threading.local()


def _workspace(blocks: int) -> _Workspace:
    space: _Workspace | None = getattr(_kept, "space", None)
    if space is None or space.blocks < blocks:
        space = _kept.space = _Workspace(blocks)
    return space


def _subkey(master: Master) -> bytes:
    """K1 of CMAC: the enciphered zero block, doubled in GF(2^128)."""
    value = int.from_bytes(master.enciphered(bytes(AES_BLOCK)), "big") << 1
    return ((value & ((1 << 128) - 1)) ^ (0x87 if value >> 128 else 0)).to_bytes(AES_BLOCK, "big")


def _by_seeds(master: Master, seed: tuple[slice, ...], kdds: bytes) -> Columns:
    """EMV and VISA2: 3DES over the card's six bytes, F0 and the key's number, then the six bytes, 0F and the number."""
    given = np.frombuffer(kdds, np.uint8).reshape(-1, KDD_SIZE)
    taken = list(chain.from_iterable(range(*part.indices(KDD_SIZE)) for part in seed))
    blocks = np.empty((3, len(given), 2, DES_BLOCK), np.uint8)
    blocks[..., : len(taken)] = given[:, None, taken]
    blocks[:, :, :, 6] = (0xF0, 0x0F)
    blocks[..., 7] = np.array((1, 2, 3), np.uint8)[:, None, None]
    made = np.empty(blocks.size + DES_BLOCK, np.uint8)
    master.encrypt(blocks.reshape(-1).data, made.data)
    return _cut(made[: blocks.size].reshape(3, len(given), DES_KEY_BYTES), DES_KEY_BYTES)


def _cut(keys: NDArray[np.uint8], size_bytes: int) -> Columns:
    if size_bytes < keys.shape[2]:  # a key of 24 bytes takes half of its second block
        keys = np.ascontiguousarray(keys[:, :, :size_bytes])
    enc, mac, dek = (key.reshape(-1).data for key in keys)
    return enc, mac, dek
