r"""The bodies of an order's records: cards to make, and key sets for the chips of the stock at the bureau.

E1, a card: 80 card number \| 81 data groups, as data groupings (EMV CPS 1.1 section 2.2: identifier 2 bytes, length 1
byte or FF and 2 bytes, data; identifier 00NN is data group NN of the profile) \| 82 security object (CMS, DER; LDS
style, signed over the groups' digests), where it is signed already \| 83 PIN data, wrapped for the bureau, only where
the bureau sets PINs \| 84 name to print \| 85 last day of validity (`YYYY-MM-DD`) \| 8F SHA-256 over the objects
before.

E2, a chip: 80 chip (10 bytes of the CPLC: fabricator, type, batch, serial) \| 81 key diversification data (10 bytes) \|
82 the blank's key set \| 83 its check values (9) \| 84 the card's production key set \| 85 its check values (9). Key
sets are ENC, MAC and DEK in a row under AES Key Wrap (RFC 3394) with the bureau's transport key: wrapped inside the
vault, so that nobody in the office can read them. Any card may be made on any chip of the order; spare chips are among
them.

Terms of an order: `transport` (version and check value of the transport key, `3:504A77`), `kvn` (key version number
that the production keys get), `key_version` (of the card master), `derivation` and `aes_form` (see the profile),
`certificates` (`hand-over` or `answer`), `pins` (`pin1:8,krp:8`; empty where the bureau sets none).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from card_io import tlv
from issuance.bureau.errors import refused
from issuance.bureau.records import DIGEST_BYTES, Fields
from issuance.keys.port import BureauKeys
from issuance.production.groups_writer import read_groupings

CHIP_BYTES = KDD_BYTES = 10
CHECK_VALUES_BYTES = 9


@dataclass(frozen=True)
class CardOrder:
    """One card to make; `groups` are the data groupings as they were prepared."""

    number: str
    groups: bytes
    security_object: bytes
    pins: bytes
    printed_name: str
    expires_on: str

    @property
    def data_groups(self) -> Mapping[int, bytes]:
        """The data groups by number."""
        return read_groupings(self.groups)

    def encode(self) -> bytes:
        """The record's body."""
        body = tlv.encode(0x80, self.number.encode()) + tlv.encode(0x81, self.groups)
        body += tlv.encode(0x82, self.security_object) if self.security_object else b""
        body += tlv.encode(0x83, self.pins) if self.pins else b""
        body += tlv.encode(0x84, self.printed_name.encode()) + tlv.encode(0x85, self.expires_on.encode())
        return body + tlv.encode(0x8F, hashlib.sha256(body).digest())

    @classmethod
    def decode(cls, body: bytes) -> "CardOrder":
        """Read a body; raises `BureauFileRefused`."""
        fields = Fields(body)
        digest = fields.sized(0x8F, DIGEST_BYTES)
        if hashlib.sha256(body[: -len(tlv.encode(0x8F, digest))]).digest() != digest:
            raise refused("wrong-digest", "a card's record is not what its digest was made of")
        return cls(
            fields.text(0x80),
            fields.value(0x81),
            fields.value(0x82, b""),
            fields.value(0x83, b""),
            fields.text(0x84),
            fields.text(0x85),
        )


@dataclass(frozen=True)
class ChipKeys:
    """The key sets of one chip, wrapped; `chip_id` and `kdd` have 10 bytes."""

    chip_id: bytes
    kdd: bytes
    keys: BureauKeys

    def encode(self) -> bytes:
        """The record's body."""
        keys = self.keys
        parts = (
            self.chip_id,
            self.kdd,
            keys.current,
            b"".join(keys.current_check_values),
            keys.new,
            b"".join(keys.new_check_values),
        )
        return b"".join(tlv.encode(0x80 + place, part) for place, part in enumerate(parts))

    @classmethod
    def decode(cls, body: bytes) -> "ChipKeys":
        """Read a body; raises `BureauFileRefused`."""
        fields = Fields(body)
        return cls(
            fields.sized(0x80, CHIP_BYTES),
            fields.sized(0x81, KDD_BYTES),
            BureauKeys(
                fields.value(0x82),
                check_values(fields.sized(0x83, CHECK_VALUES_BYTES)),
                fields.value(0x84),
                check_values(fields.sized(0x85, CHECK_VALUES_BYTES)),
            ),
        )


def check_values(joined: bytes) -> tuple[bytes, bytes, bytes]:
    """Three check values of 3 bytes out of 9."""
    return joined[:3], joined[3:6], joined[6:9]


def pin_digits(terms: Mapping[str, str]) -> dict[str, int]:
    """The PINs that the bureau sets, and how many digits each has; raises `BureauFileRefused`."""
    try:
        parts = (part.partition(":")[::2] for part in terms.get("pins", "").split(",") if part)
        return {name: int(digits) for name, digits in parts}
    except ValueError as error:
        raise refused("malformed", "the order's PINs cannot be read") from error
