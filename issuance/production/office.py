"""What a personalisation needs of the office and the vault: the port that `uec` implements."""

from collections.abc import Mapping
from typing import Protocol

from card_io.keyset import SessionKeys
from card_io.secret import Secret
from issuance.keys.port import ForetoldSession, PutKeyData
from issuance.production.bundle import (
    AdminKeyWanted,
    CertificatesWanted,
    ForetoldSessionWanted,
    IdentifierSignatureWanted,
    KnownChip,
    PinsWanted,
    Progress,
    PutKeyWanted,
    Record,
    SecurityObjectWanted,
    SessionKeysWanted,
    WhoIs,
)


class OfficePort(Protocol):
    """Answers every request of a generator that is not a bundle.

    Each method may raise an `issuance.errors.IssuanceError`; it is thrown into the generator, which ends the card's
    session in a state that the journal knows.
    """

    def who_is(self, request: WhoIs) -> KnownChip | None:
        """Which card this chip is known as; None for a blank nobody has used."""

    def record(self, record: Record) -> None:
        """Take an entry of the card's journal; it is durable once `commit` has returned, together with its neighbours.

        For CHIP_CLAIMED the office also binds the chip to the card, and `commit` refuses a chip that is bound already.
        """

    def commit(self) -> None:
        """Make all that was recorded durable, in one transaction; asked before a bundle leaves and before signing."""

    def close(self) -> None:
        """The generator has ended well; what was recorded last is durable at the latest with the work it belongs to."""

    def session_keys(self, request: SessionKeysWanted) -> SessionKeys:
        """Ask the vault; `WrongCardKeys` when the card cryptogram does not match."""

    def foretold_session(self, request: ForetoldSessionWanted) -> ForetoldSession:
        """Ask the vault for a session that the card is yet to open."""

    def put_key_data(self, request: PutKeyWanted) -> PutKeyData:
        """Ask the vault for the key data blocks and their check values."""

    def admin_key(self, request: AdminKeyWanted) -> Secret:
        """Ask the vault for the key that manages one chip's applet."""

    def certificates(self, request: CertificatesWanted) -> Mapping[str, bytes]:
        """One certificate (DER) a key slot: the same request gives the same certificates."""

    def security_object(self, request: SecurityObjectWanted) -> bytes:
        """The signed security object (CMS, DER) over the digests."""

    def identifier_signature(self, request: IdentifierSignatureWanted) -> bytes:
        """The issuer's signature over a CHUID's objects (CMS without its content, DER)."""

    def pins(self, request: PinsWanted) -> Mapping[str, Secret]:
        """The card's transport PINs, by name."""

    def progress(self, progress: Progress) -> None:
        """Show it to whoever watches; need not be durable, and may wait for the next `commit`."""
