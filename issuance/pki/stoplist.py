"""The stop-list that terminals fetch: numbered snapshots and deltas, each a signed JSON document.

A document is one JSON object: `body`, the signer's `certificate` and the `signature` over the canonical bytes of the
body (RFC 8785: members in order, no spaces, UTF-8). State number n is what a snapshot n says, or what delta n makes of
state n-1. Certificate and signature are base64.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from issuance.errors import InvalidStopList
from issuance.pki.signing import Signer
from issuance.pki.trust import UNREADABLE, Trust, Untrusted, load_certificate

FORMAT = "uec-stop-list/1"
# Signed with the body, so that this signature can never be taken for one over something else.
_CONTEXT = b"uec stop-list document\n"


class Scope(StrEnum):
    """What is stopped: the whole card, one applet on it, or one certificate."""

    CARD = "card"
    APPLET = "applet"
    CERTIFICATE = "certificate"


@dataclass(frozen=True, order=True)
class Stopped:
    """What must not be served. `identifier`: card number, `card number/AID`, or certificate serial in hex."""

    scope: Scope
    identifier: str


@dataclass(frozen=True)
class StopEntry:
    """A stopped thing with its reason (a short word, no personal data) and since when."""

    stopped: Stopped
    reason: str
    since: datetime


@dataclass(frozen=True)
class Snapshot:
    """The whole list at state `number`."""

    number: int
    issued_at: datetime
    next_update: datetime
    entries: tuple[StopEntry, ...]


@dataclass(frozen=True)
class Delta:
    """What makes state `number` of state `number - 1`."""

    number: int
    issued_at: datetime
    next_update: datetime
    added: tuple[StopEntry, ...]
    removed: tuple[Stopped, ...]


Document = Snapshot | Delta


@dataclass(frozen=True)
class StopList:
    """A terminal's state: the number it is at, and what is stopped."""

    number: int
    entries: Mapping[Stopped, StopEntry]

    def apply(self, document: Document) -> "StopList":
        """Return the state after a verified document.

        A snapshot of an earlier state is refused, and so is a delta that does not follow: fetch the snapshot then.
        Raises `InvalidStopList`.
        """
        if isinstance(document, Snapshot):
            if document.number < self.number:
                raise InvalidStopList(
                    f"snapshot {document.number} is older than the list here, {self.number}: keep this one"
                )
            return StopList(document.number, {entry.stopped: entry for entry in document.entries})
        if document.number != self.number + 1:
            raise InvalidStopList(
                f"delta {document.number} does not follow the list here, {self.number}: fetch the snapshot"
            )
        entries = {key: entry for key, entry in self.entries.items() if key not in document.removed}
        entries.update({entry.stopped: entry for entry in document.added})
        return StopList(document.number, entries)

    def snapshot(self, *, issued_at: datetime, next_update: datetime) -> Snapshot:
        """Return the document that says this whole state, its entries in order."""
        ordered = tuple(self.entries[key] for key in sorted(self.entries))
        return Snapshot(self.number, issued_at, next_update, ordered)


EMPTY = StopList(0, {})


def canonical(value: object) -> bytes:
    """Encode JSON canonically (RFC 8785); only objects, arrays, strings, booleans and whole numbers are used here."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def sign(signer: Signer, document: Document) -> bytes:
    """Sign a document; `signer` is the document signer with its certificate. Returns canonical JSON."""
    signer.require_valid(document.issued_at)
    body = _body(document)
    (signature,) = signer.sign([_CONTEXT + canonical(body)])
    envelope = {"body": body, "certificate": _base64(signer.certificate), "signature": _base64(signature)}
    return canonical(envelope)


def verify(data: bytes, trust: Trust, *, now: datetime) -> Document:
    """Check a document's signature and read it; raises `InvalidStopList`.

    A document whose next update has passed is still returned: the terminal decides what an old list is worth.
    """
    try:
        envelope = json.loads(data)
        body, signature = envelope["body"], base64.b64decode(envelope["signature"], validate=True)
        certificate = base64.b64decode(envelope["certificate"], validate=True)
        document = _document(body)
        trust.require(certificate, document.issued_at)
        _check_signature(certificate, signature, _CONTEXT + canonical(body))
    except (*UNREADABLE, LookupError, AttributeError, RecursionError) as error:
        reason = str(error) if isinstance(error, Untrusted) else "it is malformed"
        raise InvalidStopList(f"the stop-list cannot be used ({reason}): fetch it again") from error
    except InvalidSignature:
        raise InvalidStopList(
            "the stop-list's signature is wrong: fetch it again, and report it if it stays so"
        ) from None
    if document.issued_at > now:
        raise InvalidStopList(f"the stop-list was issued at {document.issued_at}, which is to come: check the clock")
    return document


def _check_signature(certificate: bytes, signature: bytes, message: bytes) -> None:
    key = load_certificate(certificate).public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        wide = key.key_size > 256
        key.verify(signature, message, ec.ECDSA(hashes.SHA384() if wide else hashes.SHA256()))
    elif isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
    else:
        raise Untrusted("the signer's key is of a kind that is not used here")


def _body(document: Document) -> dict[str, Any]:
    body: dict[str, Any] = {
        "format": FORMAT,
        "number": document.number,
        "issued_at": document.issued_at.isoformat(),
        "next_update": document.next_update.isoformat(),
    }
    if isinstance(document, Snapshot):
        return body | {"kind": "snapshot", "entries": _entries_out(document.entries)}
    removed = [{"scope": item.scope.value, "id": item.identifier} for item in document.removed]
    return body | {"kind": "delta", "added": _entries_out(document.added), "removed": removed}


def _entries_out(entries: Sequence[StopEntry]) -> list[dict[str, str]]:
    return [
        {
            "scope": entry.stopped.scope.value,
            "id": entry.stopped.identifier,
            "reason": entry.reason,
            "since": entry.since.isoformat(),
        }
        for entry in entries
    ]


def _document(body: dict[str, Any]) -> Document:
    if body["format"] != FORMAT or type(body["number"]) is not int or body["number"] < 0:
        raise ValueError("another format")
    issued_at, next_update = _moment(body["issued_at"]), _moment(body["next_update"])
    if body["kind"] == "snapshot":
        return Snapshot(body["number"], issued_at, next_update, _entries_in(body["entries"]))
    if body["kind"] != "delta":
        raise ValueError("another kind of document")
    removed = tuple(Stopped(Scope(item["scope"]), str(item["id"])) for item in body["removed"])
    return Delta(body["number"], issued_at, next_update, _entries_in(body["added"]), removed)


def _entries_in(items: list[dict[str, str]]) -> tuple[StopEntry, ...]:
    return tuple(
        StopEntry(Stopped(Scope(item["scope"]), str(item["id"])), str(item["reason"]), _moment(item["since"]))
        for item in items
    )


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time without a zone")
    return moment


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
