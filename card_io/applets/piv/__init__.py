"""The PIV applet, host side: what NIST SP 800-73-4 and SP 800-73-5 part 2 give a client, over any `Connection`.

`algorithms` has identifiers, slots and admin keys, `objects` the data objects, `session` the commands.
"""

from card_io.applets.piv.algorithms import PIV_AID, AdminAlgorithm, KeyAlgorithm, Slot
from card_io.applets.piv.errors import (
    CertificateTooLarge,
    NotPivCard,
    PinBlocked,
    PivError,
    WrongAdminKey,
    WrongPin,
)
from card_io.applets.piv.objects import (
    Chuid,
    Discovery,
    KeyHistory,
    ObjectId,
    certificate_object,
    encode_certificate,
    parse_certificate,
    parse_chuid,
    parse_discovery,
    parse_key_history,
)
from card_io.applets.piv.session import ApplicationProperties, PivSession, PublicKey

__all__ = [
    "PIV_AID",
    "AdminAlgorithm",
    "ApplicationProperties",
    "CertificateTooLarge",
    "Chuid",
    "Discovery",
    "KeyAlgorithm",
    "KeyHistory",
    "NotPivCard",
    "ObjectId",
    "PinBlocked",
    "PivError",
    "PivSession",
    "PublicKey",
    "Slot",
    "WrongAdminKey",
    "WrongPin",
    "certificate_object",
    "encode_certificate",
    "parse_certificate",
    "parse_chuid",
    "parse_discovery",
    "parse_key_history",
]
