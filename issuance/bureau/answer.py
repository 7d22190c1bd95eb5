r"""The office's answer to results: what to write onto each card now that its keys are certified.

E7, a card: 80 card number \| 81 chip (10 bytes) \| A2 once a key slot: 80 name of the slot, 81 certificate (DER) \| 83
security object (CMS, DER). The bureau writes them and the ISO/IEC 7816-15 files of the profile, sets the transport PINs
that came with the order, and closes the applet.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from card_io import tlv
from issuance.bureau.order import CHIP_BYTES
from issuance.bureau.records import Fields


@dataclass(frozen=True)
class Closing:
    """Certificates (DER) by key slot, and the security object, for one card."""

    number: str
    chip_id: bytes
    certificates: Mapping[str, bytes] = field(default_factory=dict)
    security_object: bytes = b""

    def encode(self) -> bytes:
        """The record's body."""
        body = tlv.encode(0x80, self.number.encode()) + tlv.encode(0x81, self.chip_id)
        for slot, certificate in self.certificates.items():
            body += tlv.encode(0xA2, tlv.encode(0x80, slot.encode()) + tlv.encode(0x81, certificate))
        return body + tlv.encode(0x83, self.security_object)

    @classmethod
    def decode(cls, body: bytes) -> "Closing":
        """Read a body; raises `BureauFileRefused`."""
        fields = Fields(body)
        slots = [Fields(part) for part in fields.values(0xA2)]
        return cls(
            fields.text(0x80),
            fields.sized(0x81, CHIP_BYTES),
            {slot.text(0x80): slot.value(0x81) for slot in slots},
            fields.value(0x83),
        )
