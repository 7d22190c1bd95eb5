"""A key divided into n shares of which k make it again: SLIP-39 (Shamir's secret sharing over GF(256), 2019-2023).

Hides the library. A share is a line of words with a checksum of its own, 20 for a key of 16 bytes and 33 for one of 32;
fewer than k shares tell nothing about the key, and a wrong one among k is noticed by a digest inside.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import shamir_mnemonic  # type: ignore[import-untyped]
from shamir_mnemonic.share import Share as Parsed  # type: ignore[import-untyped]

from card_io.ciphers import kcv_aes
from card_io.secret import Secret
from issuance.errors import BadComponent

MAX_SHARES = 16
KEY_SIZES = (16, 32)


@dataclass(frozen=True)
class Share:
    """One share: its number (from 1 up), which set it belongs to, how many are needed, and the words.

    `check_value`: six hex digits, the AES check value of the share's own bytes, printed beside the words.
    """

    number: int
    threshold: int
    set_id: int
    check_value: str
    key_bytes: int
    words: Secret = field(repr=False)


def read(words: str) -> Share:
    """Read a share's words; raises `BadComponent` for a mistyped one, or one that is of no simple k-of-n split."""
    line = " ".join(words.lower().split())
    try:
        parsed = Parsed.from_mnemonic(line)
    except (shamir_mnemonic.MnemonicError, ValueError, KeyError):
        # The library's own sentence quotes words.
        raise BadComponent("these words are no share: one was mistyped or left out, enter them again") from None
    if parsed.group_count != 1 or len(parsed.value) not in KEY_SIZES:
        raise BadComponent("this share is of a split into groups, or of no AES key: bring the one printed for this key")
    return Share(
        number=parsed.index + 1,
        threshold=parsed.member_threshold,
        set_id=parsed.identifier,
        check_value=kcv_aes(parsed.value).hex().upper(),
        key_bytes=len(parsed.value),
        words=Secret(line.encode()),
    )


def combine(lines: Sequence[Secret], passphrase: Secret = Secret(b"")) -> Secret:  # noqa: B008 - it never changes
    """Make the key of exactly as many shares as it needs; raises `BadComponent` when they do not belong together."""
    try:
        return Secret(
            shamir_mnemonic.combine_mnemonics([line.reveal().decode() for line in lines], passphrase.reveal())
        )
    except (shamir_mnemonic.MnemonicError, ValueError, KeyError):
        raise BadComponent("these shares make no key: are they all of one set, each another one, and enough?") from None


def split(key: Secret, *, threshold: int, count: int) -> list[Share]:
    """Divide a key into `count` shares of which `threshold` make it again (2 up to `count`, at most 16).

    The library takes its randomness from the operating system. Raises `BadComponent` for what cannot be divided.
    """
    if not 2 <= threshold <= count <= MAX_SHARES or len(key) not in KEY_SIZES:
        raise BadComponent(
            f"a key of 16 or 32 bytes is divided into 2 to {MAX_SHARES} shares, of which 2 or more make it"
        )
    (lines,) = shamir_mnemonic.generate_mnemonics(1, [(threshold, count)], key.reveal())
    return [read(line) for line in lines]
