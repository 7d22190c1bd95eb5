"""Published revocation lists as a terminal sees them: signed by whom, in time, in order (RFC 5280, section 6.3.3)."""

from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from sqlalchemy.orm import Session

from issuance.pki.trust import UNREADABLE
from uec.services import authority, publication


@dataclass(frozen=True)
class Checked:
    """The newest edition of a list, and what is wrong with it (empty: nothing)."""

    name: str
    number: int
    finding: str


def check_lists(session: Session, *, now: datetime) -> list[Checked]:
    """Check the newest edition of every list."""
    known = authority.certificates(session)
    issuers = {
        publication.ROOT: [x509.load_der_x509_certificate(known.root)],
        publication.ISSUING: [
            x509.load_der_x509_certificate(issuing) for issuing in authority.issuing_in_use(session, now=now)
        ],
    }
    planned = publication.plan(session)
    numbers = {one.name: one.number for one in planned}
    return [
        Checked(one.name, one.number, _finding(session, one, issuers[one.name.split("-")[0]], numbers, now))
        for one in planned
    ]


def _finding(
    session: Session,
    one: publication.Planned,
    issuers: list[x509.Certificate],
    numbers: dict[str, int],
    now: datetime,
) -> str:
    try:
        parsed = x509.load_der_x509_crl(publication.latest_crl(session, issuer=one.name))
        number = parsed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        base = _base(parsed)
        signed = any(parsed.is_signature_valid(issuer.public_key()) for issuer in issuers)  # type: ignore[arg-type]
    except UNREADABLE as error:
        return f"cannot be read: {error}"
    complete = numbers.get(one.name.removesuffix("-delta"), 0)
    faults = (
        (not signed, "is not signed by the authority"),
        (parsed.last_update_utc > now, "speaks from a moment that has not come: check the clock"),
        (parsed.next_update_utc is None or parsed.next_update_utc <= now, "has ended"),
        (number != one.number, f"says that it is number {number}"),
        (base is not None and base > complete, f"follows the complete list {base}, and the newest is {complete}"),
    )
    return next((words for wrong, words in faults if wrong), "")


def _base(parsed: x509.CertificateRevocationList) -> int | None:
    try:
        return parsed.extensions.get_extension_for_class(x509.DeltaCRLIndicator).value.crl_number
    except x509.ExtensionNotFound:
        return None
