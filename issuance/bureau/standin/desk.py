"""Answers what a personalisation asks, from an order alone: key sets unwrapped, data as ordered, nothing of an office.

The same generator that an own line runs (`issuance.production.personalise`) runs here, with a bureau's knowledge: the
keys of the chip in the reader and no master, the certificates only once the office has answered.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from card_io.keyset import KeySet, SessionKeys
from card_io.secret import Secret
from issuance.bureau.answer import Closing
from issuance.bureau.order import CardOrder
from issuance.errors import IssuanceError
from issuance.keys import card_keys
from issuance.keys.port import ForetoldSession, KeyPurpose, KeyRef, PutKeyData
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
    RecordKind,
    SecurityObjectWanted,
    SessionKeysWanted,
    WhoIs,
)


class AwaitingCertificates(Exception):
    """The card's keys are made and proven; it waits for the office's answer."""


@dataclass(frozen=True)
class ChipSecrets:
    """A chip's key sets, unwrapped: as a blank, and its own."""

    blank: KeySet
    own: KeySet

    def of(self, ref: KeyRef) -> KeySet:
        """The set that a reference means on this chip."""
        return self.blank if ref.purpose is KeyPurpose.BLANK_TRANSPORT else self.own


@dataclass
class CardBook:
    """The journal of a card at the bureau, in a file, one entry a line; written before the next command goes."""

    path: Path
    records: list[Record] = field(default_factory=list)

    @classmethod
    def open(cls, path: Path) -> "CardBook":
        """Read what was recorded, if anything."""
        if not path.exists():
            return cls(path)
        lines = (json.loads(line) for line in path.read_text("utf-8").splitlines())
        return cls(path, [Record(RecordKind(kind), facts) for kind, facts in lines])

    def append(self, records: list[Record]) -> None:
        """Keep entries."""
        with self.path.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps([record.kind.value, dict(record.facts)]) + "\n" for record in records)
        self.records += records


class Desk:
    """`OfficePort` for one card at the bureau."""

    def __init__(
        self,
        order: CardOrder,
        secrets: ChipSecrets,
        book: CardBook,
        *,
        pins: Mapping[str, Secret],
        closing: Closing | None,
    ) -> None:
        """Bind to a card and a chip; without a `closing` the work stops where certificates are needed."""
        self._order, self._secrets, self._book = order, secrets, book
        self._pins, self._closing = pins, closing
        self._pending: list[Record] = []

    def who_is(self, request: WhoIs) -> KnownChip | None:
        """The bureau takes each chip once; it knows of no other card."""
        return None

    def record(self, record: Record) -> None:
        """Taken; kept by the next commit."""
        self._pending.append(record)

    def commit(self) -> None:
        """Keep what was recorded."""
        pending, self._pending = self._pending, []
        if pending:
            self._book.append(pending)

    def close(self) -> None:
        """Nothing waits for more."""
        self.commit()

    def session_keys(self, request: SessionKeysWanted) -> SessionKeys:
        """From the chip's own static keys."""
        return card_keys.session_keys(self._secrets.of(request.request.master), request.request)

    def foretold_session(self, request: ForetoldSessionWanted) -> ForetoldSession:
        """From the chip's own static keys."""
        return card_keys.foretold_session(self._secrets.of(request.request.master), request.request)

    def put_key_data(self, request: PutKeyWanted) -> PutKeyData:
        """From the chip's own two key sets."""
        wanted = request.request
        return card_keys.put_key_data(self._secrets.of(wanted.current), self._secrets.of(wanted.new), wanted)

    def admin_key(self, request: AdminKeyWanted) -> Secret:
        """Orders hold none."""
        raise IssuanceError("a bureau's order holds no key for applets outside of a secure channel")

    def certificates(self, request: CertificatesWanted) -> Mapping[str, bytes]:
        """Those of the office's answer; raises `AwaitingCertificates` before it came."""
        if self._closing is None:
            raise AwaitingCertificates
        return self._closing.certificates

    def security_object(self, request: SecurityObjectWanted) -> bytes:
        """That of the order or of the answer."""
        return (self._closing.security_object if self._closing else b"") or self._order.security_object

    def identifier_signature(self, request: IdentifierSignatureWanted) -> bytes:
        """Orders hold none: PIV cards are not made at bureaux."""
        raise IssuanceError("a bureau's order holds no signature for a PIV card's identifier")

    def pins(self, request: PinsWanted) -> Mapping[str, Secret]:
        """Those of the order."""
        return dict(self._pins)

    def progress(self, progress: Progress) -> None:
        """Nobody watches."""
