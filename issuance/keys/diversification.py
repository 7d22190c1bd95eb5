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

KDF3, EMV, VISA2 = "kdf3", "emv", "visa2"
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
    column = cards * halves * AES_BLOCK
    made = np.empty(3 * column + AES_BLOCK, np.uint8)
    keys, patterns = made.data, _patterns(_subkey(master), halves)
    space, at_once = _workspace(min(cards, _BLOCKS_AT_ONCE // halves) * halves), _BLOCKS_AT_ONCE // halves
    for first in range(0, cards, at_once):
        count = min(at_once, cards - first)
        seeds = space.lay_out(kdds, first, count, halves)
        for key, pattern in enumerate(patterns):
            master.encrypt(space.over(seeds, pattern), keys[key * column + first * halves * AES_BLOCK :])
    return _cut(made[: 3 * column].reshape(3, cards, halves * AES_BLOCK), master.size_bytes)


def _patterns(subkey: bytes, halves: int) -> list[NDArray[np.uint64]]:
    """What is added to every card's blocks, for each of its three keys: counter, the key's number, and K1."""
    added, fixed = int.from_bytes(subkey * halves, "big"), bytes(AES_BLOCK - 5)
    blocks = (b"".join(bytes((half, 0, 0, 0, key)) + fixed for half in range(1, halves + 1)) for key in (1, 2, 3))
    return [_row((int.from_bytes(block, "big") ^ added).to_bytes(len(block), "big")) for block in blocks]


def _row(pattern: bytes) -> NDArray[np.uint64]:
    return np.frombuffer(pattern * (_ROW_WORDS * _WORD.itemsize // len(pattern)), _WORD)


# A block holds its card's ten bytes last; what was read before them belongs to the card before.
_LAST_TEN = _row(bytes(AES_BLOCK - KDD_SIZE) + b"\xff" * KDD_SIZE)


class _Workspace:
    """Arrays that are used again by every call of a thread, so that no call waits for fresh memory."""

    def __init__(self, blocks: int) -> None:
        rows = -(-blocks * _BLOCK_WORDS // _ROW_WORDS)
        self.blocks = rows * _ROW_WORDS // _BLOCK_WORDS
        self._seeds = np.zeros((rows, _ROW_WORDS), _WORD)
        self._plain = np.empty((rows, _ROW_WORDS), _WORD)
        self._seed_blocks = self._seeds.reshape(-1).view(_BLOCK)
        self._plain_bytes = self._plain.reshape(-1).view(np.uint8).data

    def lay_out(self, kdds: bytes, first: int, count: int, halves: int) -> int:
        """Put `count` cards' KDDs, from the card `first`, at the ends of `halves` blocks each; returns how many."""
        blocks = self._seed_blocks[: count * halves].reshape(count, halves)
        # Whole blocks are copied, from six bytes before each KDD; only the very first card has none before it.
        start = 0 if first else 1
        if count > start:
            offset = (first + start) * KDD_SIZE - (AES_BLOCK - KDD_SIZE)
            windows = np.ndarray((count - start, 1), _BLOCK, kdds, offset, (KDD_SIZE, 0))
            blocks[start:] = windows
        if start:
            blocks[0] = np.frombuffer(bytes(AES_BLOCK - KDD_SIZE) + kdds[:KDD_SIZE], _BLOCK)
        rows = self._rows(count * halves)
        np.bitwise_and(self._seeds[:rows], _LAST_TEN, out=self._seeds[:rows])
        return count * halves

    def over(self, blocks: int, pattern: NDArray[np.uint64]) -> memoryview:
        """The first so many blocks, with a pattern added to them."""
        rows = self._rows(blocks)
        np.bitwise_xor(self._seeds[:rows], pattern, out=self._plain[:rows])
        return self._plain_bytes[: blocks * AES_BLOCK]

    def _rows(self, blocks: int) -> int:
        return -(-blocks * _BLOCK_WORDS // _ROW_WORDS)


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
