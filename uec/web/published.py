"""Hides how the published lists are looked into for the pages: a revocation list says how new it is (RFC 5280, 5)."""

from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from sqlalchemy.orm import Session

from uec.domain.errors import NotFound
from uec.services import authority, publication


@dataclass(frozen=True)
class PublishedCrl:
    """The newest revocation list and what it says of itself."""

    der: bytes
    number: int
    this_update: datetime
    next_update: datetime
    entries: int


def crl(session: Session, issuer: str = "issuing") -> PublishedCrl | None:
    """Return the newest revocation list of the `issuing` or the `root` authority, None before the first."""
    try:
        der = publication.latest_crl(session, issuer=issuer)
    except NotFound:
        return None
    parsed = x509.load_der_x509_crl(der)
    number = parsed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    next_update = parsed.next_update_utc or parsed.last_update_utc
    return PublishedCrl(der, number, parsed.last_update_utc, next_update, len(parsed))


def stop_list(session: Session) -> bytes | None:
    """Return the newest signed stop-list, None before the first."""
    try:
        return publication.latest_stop_list(session)
    except NotFound:
        return None


def certificates(session: Session) -> dict[str, bytes]:
    """Return the certificates anybody may have, by their names in addresses; none before the authority is made."""
    try:
        known = authority.certificates(session)
    except authority.NoAuthority:
        return {}
    return {"root": known.root, "issuing": known.issuing, "document-signer": known.document_signer}
