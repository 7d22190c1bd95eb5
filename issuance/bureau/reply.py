r"""What a bureau says: its word on an order, cards made, blanks spoiled, cards not made, cards finished, consignments.

E3, its word: 80 `accepted` or `declined` \| 81 why, in a sentence \| 82 cards it read (4 bytes) \| 83 chips it read
(4).

E4, keys made: 80 card number \| 81 chip (10 bytes) \| 82 CPLC (42 bytes) \| 83 key version number on the chip (1) \| 84
check values of its keys as the chip answered them (9) \| A5 once a key slot: 80 name of the slot, 81 public key
(SubjectPublicKeyInfo, DER), 82 the key's signature over the challenge of `proof_challenge` (SHA-256).

E5, a blank spoiled: 80 chip \| 81 reason in one word \| 82 the same in a sentence \| 83 card number it was to become,
if any. E6, a card not made: 80 card number \| 81 reason in one word \| 82 the same in a sentence.

E8, finished: 80 card number \| 81 chip. The applet is closed: certificates are on it, PINs are the transport PINs.

E9, a consignment: 80 its number \| 81 seal \| 82 card number, once a card.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from card_io import tlv
from card_io.applets.uec.personalisation import CHALLENGE_BYTES
from issuance.bureau.errors import refused
from issuance.bureau.order import CHECK_VALUES_BYTES, CHIP_BYTES, check_values
from issuance.bureau.records import Fields

CPLC_BYTES = 42
CONSIGNMENT_LIMIT, SEAL_LIMIT = 40, 60
_PROOF_LABEL = b"uec bureau key proof\x00"


def proof_challenge(order_digest: bytes, card_number: str, slot: str) -> bytes:
    """What a key of an order signs to prove possession: bound to the order, the card and the slot; 32 bytes."""
    bound = b"\x00".join((_PROOF_LABEL, order_digest, card_number.encode(), slot.encode()))
    return hashlib.sha256(bound).digest()[:CHALLENGE_BYTES]


@dataclass(frozen=True)
class Word:
    """Whether the bureau takes the order, and what it read of it."""

    accepted: bool
    reason: str
    cards: int
    chips: int

    def encode(self) -> bytes:
        """The record's body."""
        word = b"accepted" if self.accepted else b"declined"
        counts = ((0x82, self.cards), (0x83, self.chips))
        body = tlv.encode(0x80, word) + tlv.encode(0x81, self.reason.encode())
        return body + b"".join(tlv.encode(tag, count.to_bytes(4, "big")) for tag, count in counts)

    @classmethod
    def decode(cls, body: bytes) -> "Word":
        """Read a body."""
        fields = Fields(body)
        cards, chips = (int.from_bytes(fields.sized(tag, 4), "big") for tag in (0x82, 0x83))
        return cls(fields.text(0x80) == "accepted", fields.text(0x81), cards, chips)


@dataclass(frozen=True)
class MadeKey:
    """A key pair on a card: its public half (DER), and its proof."""

    public_key: bytes
    proof: bytes


@dataclass(frozen=True)
class Made:
    """A card whose keys were made."""

    number: str
    chip_id: bytes
    cplc: bytes
    kvn: int
    check_values: tuple[bytes, bytes, bytes]
    keys: Mapping[str, MadeKey] = field(default_factory=dict)

    def encode(self) -> bytes:
        """The record's body."""
        body = tlv.encode(0x80, self.number.encode()) + tlv.encode(0x81, self.chip_id) + tlv.encode(0x82, self.cplc)
        body += tlv.encode(0x83, bytes([self.kvn])) + tlv.encode(0x84, b"".join(self.check_values))
        for slot, key in self.keys.items():
            parts = (slot.encode(), key.public_key, key.proof)
            body += tlv.encode(0xA5, b"".join(tlv.encode(0x80 + at, part) for at, part in enumerate(parts)))
        return body

    @classmethod
    def decode(cls, body: bytes) -> "Made":
        """Read a body."""
        fields = Fields(body)
        slots = [Fields(part) for part in fields.values(0xA5)]
        return cls(
            number=fields.text(0x80),
            chip_id=fields.sized(0x81, CHIP_BYTES),
            cplc=fields.sized(0x82, CPLC_BYTES),
            kvn=fields.sized(0x83, 1)[0],
            check_values=check_values(fields.sized(0x84, CHECK_VALUES_BYTES)),
            keys={slot.text(0x80): MadeKey(slot.value(0x81), slot.value(0x82)) for slot in slots},
        )


@dataclass(frozen=True)
class Spoiled:
    """A blank that came to nothing."""

    chip_id: bytes
    reason: str
    sentence: str
    number: str = ""

    def encode(self) -> bytes:
        """The record's body."""
        parts = (self.chip_id, self.reason.encode(), self.sentence.encode(), self.number.encode())
        return b"".join(tlv.encode(0x80 + at, part) for at, part in enumerate(parts))

    @classmethod
    def decode(cls, body: bytes) -> "Spoiled":
        """Read a body."""
        fields = Fields(body)
        return cls(fields.sized(0x80, CHIP_BYTES), fields.text(0x81), fields.text(0x82), fields.text(0x83, ""))


@dataclass(frozen=True)
class NotMade:
    """A card of the order that the bureau gave up."""

    number: str
    reason: str
    sentence: str

    def encode(self) -> bytes:
        """The record's body."""
        parts = (self.number, self.reason, self.sentence)
        return b"".join(tlv.encode(0x80 + at, part.encode()) for at, part in enumerate(parts))

    @classmethod
    def decode(cls, body: bytes) -> "NotMade":
        """Read a body."""
        fields = Fields(body)
        return cls(fields.text(0x80), fields.text(0x81), fields.text(0x82))


@dataclass(frozen=True)
class Finished:
    """A card whose applet is closed."""

    number: str
    chip_id: bytes

    def encode(self) -> bytes:
        """The record's body."""
        return tlv.encode(0x80, self.number.encode()) + tlv.encode(0x81, self.chip_id)

    @classmethod
    def decode(cls, body: bytes) -> "Finished":
        """Read a body."""
        fields = Fields(body)
        return cls(fields.text(0x80), fields.sized(0x81, CHIP_BYTES))


@dataclass(frozen=True)
class Shipped:
    """A sealed consignment and the cards in it."""

    consignment: str
    seal: str
    numbers: tuple[str, ...]

    def encode(self) -> bytes:
        """The record's body."""
        body = tlv.encode(0x80, self.consignment.encode()) + tlv.encode(0x81, self.seal.encode())
        return body + b"".join(tlv.encode(0x82, number.encode()) for number in self.numbers)

    @classmethod
    def decode(cls, body: bytes) -> "Shipped":
        """Read a body."""
        fields = Fields(body)
        consignment, seal = fields.text(0x80), fields.text(0x81)
        if not 0 < len(consignment) <= CONSIGNMENT_LIMIT or not 0 < len(seal) <= SEAL_LIMIT:
            raise refused("malformed", "a consignment has no number and seal, or impossibly long ones")
        return cls(consignment, seal, tuple(fields.texts(0x82)))
