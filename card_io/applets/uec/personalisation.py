"""How a `uec` applet is written: data groupings (DGIs) inside GlobalPlatform STORE DATA.

Specification: GlobalPlatform Card Specification 2.3.1, 11.5 INSTALL and 11.11 STORE DATA; DGI structure as in EMV CPS
1.1.

The way, all over one secure channel of the issuer security domain (C-MAC and C-DECRYPTION):
    1. INSTALL [for install and make selectable], P1 0C: PACKAGE_AID, MODULE_AID, APPLET_AID, privileges 04, parameters
       C900. Answers 6985 when the instance is there already (a card put back after a tear): GET STATUS tells
       beforehand.
    2. INSTALL [for personalization], P1 20, with APPLET_AID. 6985 once the instance is PERSONALISED.
    3. STORE DATA (80 E2, wrapped 84 E2), P2 the block number from 00 after each INSTALL [for personalization],
       P1: `P1_DGI` 08, or `P1_DGI_ANSWER` 09 for key generation (an ISO case 4 command, send Le 00);
       plus `P1_LAST` 80 on the last block. The last block ends the personalisation session: a later bundle starts
       again at step 2, on the same channel or another. Wrong P2: 6A86. A block is one transaction: all its DGIs or
       none.
Everything may be repeated until FINISH: creating a file anew replaces it, generating a key anew replaces it, setting a
PIN anew replaces it. So a card torn anywhere before FINISH is finished by starting over, no state to work out.

A block holds whole DGIs, each: identifier (2 bytes), length (1 byte, or FF and 2 bytes), data:
    0E01 CREATE FILE    parent (2) || identifier (2) || descriptor (1: 38 DF, 01 transparent EF) || size (2; DF 0)
                        || read rule (1) || update rule (1) [|| AID of a DF, 5..16]. 6A82 no parent, 6A84 memory full.
    0E02 WRITE FILE     identifier (2) || offset (2) || bytes. 6A82 no file, 6A84 past the end.
    0E03 GENERATE KEY   key reference (1) || algorithm (1) || rule (1) || use (1). Alone in its block, P1 09/89. Answer:
                        7F49 L { 86 L uncompressed point } for EC, 7F49 L { 81 L modulus, 82 L exponent } for RSA.
    0E04 SET PIN        reference (1) || tries (1) || least length (1) || greatest length (1) || reference of the PIN
                        that unblocks it, or 00 (1) || flags (1: 01 transport) || value (the rest, ASCII digits).
                        Only under C-DECRYPTION (else 6982).
    0E06 PROVE KEY      key reference (1) || challenge (32). Alone in its block, P1 09/89. Answer: the key's signature
                        over the challenge (ECDSA with SHA-256, DER), whatever the key is for: it proves possession
                        before anything is certified. 6A88 no such key, 6985 for an RSA key.
    0E05 FINISH         layout version (2). 6985 unless EF.OD is there, and every PIN that a file's or a key's rule, or
                        another PIN, names. Then state 0F.
Any other identifier, or a DGI cut short: 6A80, and nothing of the block is kept.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from card_io import tlv
from card_io.applets.uec.layout import LAYOUT_VERSION, PLACES, Fid, KeyAlgorithm, KeySlot, KeyUse, PinFlag, PinRef, Rule
from card_io.secret import Secret

P1_DGI: Final = 0x08
P1_DGI_ANSWER: Final = 0x09
P1_LAST: Final = 0x80

DGI_CREATE_FILE: Final = 0x0E01
DGI_WRITE_FILE: Final = 0x0E02
DGI_GENERATE_KEY: Final = 0x0E03
DGI_SET_PIN: Final = 0x0E04
DGI_FINISH: Final = 0x0E05
DGI_PROVE_KEY: Final = 0x0E06

DESCRIPTOR_DF: Final = 0x38
DESCRIPTOR_EF: Final = 0x01

CHALLENGE_BYTES: Final = 32

BLOCK_BYTES: Final = 223
"""Greatest data field that fits a short APDU after padding and a 16-byte MAC: 224 bytes of whole AES blocks, less 1."""


@dataclass(frozen=True)
class KeySpec:
    """How one key slot is generated."""

    slot: int
    algorithm: KeyAlgorithm
    rule: Rule
    use: KeyUse


DEFAULT_KEYS: Final[tuple[KeySpec, ...]] = (
    KeySpec(KeySlot.AUTHENTICATION, KeyAlgorithm.EC_P256, Rule.PIN1, KeyUse.SIGN),
    KeySpec(KeySlot.SIGNATURE, KeyAlgorithm.EC_P256, Rule.PIN2, KeyUse.SIGN),
    KeySpec(KeySlot.AGREEMENT, KeyAlgorithm.EC_P256, Rule.PIN1, KeyUse.AGREE),
    KeySpec(KeySlot.CARD, KeyAlgorithm.EC_P256, Rule.ALWAYS, KeyUse.INTERNAL_AUTHENTICATE),
)


@dataclass(frozen=True)
class PinSpec:
    """How one PIN is set; lengths are counted in digits."""

    ref: PinRef
    tries: int
    least: int
    greatest: int
    unblocked_by: PinRef | None
    flags: PinFlag


DEFAULT_PINS: Final[tuple[PinSpec, ...]] = (
    PinSpec(PinRef.PIN1, 3, 4, 8, PinRef.KRP, PinFlag.TRANSPORT),
    PinSpec(PinRef.PIN2, 3, 6, 8, PinRef.KRP, PinFlag.TRANSPORT),
    PinSpec(PinRef.KRP, 10, 8, 8, None, PinFlag.NONE),
)


def create_file(fid: Fid, size_bytes: int, *, read: Rule | None = None, update: Rule = Rule.NEVER) -> bytes:
    """DGI that creates `fid` at its place in the layout; `read` overrides the layout's read rule."""
    place = PLACES[fid]
    descriptor = DESCRIPTOR_DF if place.directory else DESCRIPTOR_EF
    head = (
        place.parent.to_bytes(2, "big") + fid.to_bytes(2, "big") + bytes([descriptor]) + size_bytes.to_bytes(2, "big")
    )
    rules = bytes([place.read if read is None else read, update])
    return tlv.encode_dgi(DGI_CREATE_FILE, head + rules)


def write_file(fid: Fid, content: bytes, *, block_bytes: int = BLOCK_BYTES) -> list[bytes]:
    """DGIs that write `content` from offset 0, each small enough to be a block of its own."""
    step = block_bytes - 7 if block_bytes - 3 < 0xFF else block_bytes - 9
    return [
        tlv.encode_dgi(
            DGI_WRITE_FILE, fid.to_bytes(2, "big") + offset.to_bytes(2, "big") + content[offset : offset + step]
        )
        for offset in range(0, len(content), step)
    ]


def generate_key(spec: KeySpec) -> bytes:
    """DGI that generates a key pair; alone in a block with P1 09 or 89, it is answered by the public key (7F49)."""
    return tlv.encode_dgi(DGI_GENERATE_KEY, bytes([spec.slot, spec.algorithm, spec.rule, spec.use]))


def prove_key(slot: int, challenge: bytes) -> bytes:
    """DGI that has a key sign a challenge of `CHALLENGE_BYTES`; alone in a block with P1 09 or 89."""
    if len(challenge) != CHALLENGE_BYTES:
        raise ValueError(f"a challenge has {CHALLENGE_BYTES} bytes, not {len(challenge)}")
    return tlv.encode_dgi(DGI_PROVE_KEY, bytes([slot]) + challenge)


def set_pin(spec: PinSpec, value: Secret) -> bytes:
    """DGI that sets a PIN; the bytes are secret and go only through a channel that encrypts."""
    head = bytes([spec.ref, spec.tries, spec.least, spec.greatest, spec.unblocked_by or 0, spec.flags])
    return tlv.encode_dgi(DGI_SET_PIN, head + value.reveal())


def finish() -> bytes:
    """DGI that closes the personalisation."""
    return tlv.encode_dgi(DGI_FINISH, LAYOUT_VERSION.to_bytes(2, "big"))


def pack(dgis: Iterable[bytes], *, block_bytes: int = BLOCK_BYTES) -> list[bytes]:
    """Pack whole DGIs, in order, into as few STORE DATA data fields of at most `block_bytes` as their order allows."""
    blocks: list[bytes] = []
    current = b""
    for item in dgis:
        if current and len(current) + len(item) > block_bytes:
            blocks.append(current)
            current = b""
        current += item
    return [*blocks, current] if current else blocks
