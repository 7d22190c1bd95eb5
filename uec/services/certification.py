"""Certificates for the keys a card has made: intended in the database first, then signed, on hold until hand-over.

The same request gives the same certificates, whatever was torn in between: one key has one certificate a profile, for
ever and for one card only (public keys of two cards are never equal; Estonia, 2017).
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta, tzinfo
from functools import cache
from typing import Any

from sqlalchemy import Row, bindparam, insert, select, update
from sqlalchemy.orm import Session

from issuance.errors import IssuanceError, RequestRefused, UnfitKey
from issuance.pki.ca import CertificateAuthority, CertificateRequest, Tbs, new_serial
from issuance.pki.names import Subject, fit_common_name
from issuance.pki.possession import Proof, check_proofs
from issuance.production.profile import CardProfile
from uec.domain.lifecycle import CERTIFICATE, CardState, CertificateEvent, CertificateState, advance
from uec.services import numbering, revocation
from uec.services.applicant_secret import RandomBytes
from uec.services.rows import missing
from uec.store import audit
from uec.store.tables import Application, Card, Certificate

# The series that counts the certificates which belong to a part of the revocation list.
PARTED = "certificate-parted"
NAME_LIMIT = 64  # ub-common-name and its kind, RFC 5280 appendix A.1


@dataclass(frozen=True)
class Issuer:
    """Who signs, when, and where serial numbers come from; a card's last day ends by the clock of `zone`."""

    ca: CertificateAuthority
    profile: CardProfile
    now: datetime
    random: RandomBytes
    actor: str = "system:hub"
    zone: tzinfo = UTC


@dataclass(frozen=True)
class Made:
    """The public keys that a card has made (SubjectPublicKeyInfo, DER) and the proofs that it holds them, by slot."""

    public_keys: Mapping[str, bytes]
    proofs: Mapping[str, Proof] = field(default_factory=dict)


def issue(session: Session, card_id: int, made: Made, *, issuer: Issuer) -> dict[str, bytes]:
    """Certificates (DER) by key slot for the keys that a card has made.

    Two transactions: the intents, then the signed certificates, on hold until the card is handed over. Raises
    `UnfitKey` for a key that fails hygiene, is on another card, or was not proved to be on this one, `RequestRefused`
    for what the authority may not sign, and what the vault raises; each refusal stands in the audit.
    """
    try:
        return _issue(session, card_id, made, issuer)
    except IssuanceError as error:
        _tell_refusal(session, card_id, error, issuer)
        raise


def _tell_refusal(session: Session, card_id: int, error: IssuanceError, issuer: Issuer) -> None:
    session.rollback()
    audit.record(
        session,
        actor=issuer.actor,
        action="certificate.refuse",
        subject_kind="card",
        subject_id=card_id,
        details={"code": error.code, "reason": str(error), **error.facts},
        now=issuer.now,
    )
    session.commit()


def _issue(session: Session, card_id: int, asked: Made, issuer: Issuer) -> dict[str, bytes]:
    signed = _intend(session, card_id, asked, issuer)
    session.commit()
    unsigned = {slot: tbs for slot, tbs in signed.items() if isinstance(tbs, Tbs)}
    certificates = issuer.ca.sign(list(unsigned.values()), now=issuer.now)
    if unsigned:
        _keep(session, card_id, list(zip(unsigned.values(), certificates, strict=True)), issuer)
        session.commit()
    made = dict(zip(unsigned, certificates, strict=True))
    return {slot: made[slot] if isinstance(tbs, Tbs) else tbs for slot, tbs in signed.items()}


def _intend(session: Session, card_id: int, asked: Made, issuer: Issuer) -> dict[str, Tbs | bytes]:
    """By slot what will be signed, whose intent is stored now or was before; or the certificate that there is."""
    keys = asked.public_keys
    digests = {slot: hashlib.sha256(key).hexdigest() for slot, key in keys.items()}
    connection = session.connection()
    found = connection.execute(_certified(), {"digests": list(digests.values())})
    known = {row.public_key_digest: row for row in found}
    card = connection.execute(_holder(), {"this": card_id}).one()
    if len(set(digests.values())) < len(digests):
        raise _shared()
    rows = {slot: known.get(digest) for slot, digest in digests.items()}
    for slot, row in rows.items():
        _require_own(row, card, issuer.profile.key(slot).certificate_profile)
    signed: dict[str, Tbs | bytes] = {slot: row.der for slot, row in rows.items() if row is not None and row.der}
    unsigned = {slot: key for slot, key in keys.items() if slot not in signed}
    fresh = [slot for slot in unsigned if rows[slot] is None]
    parts = dict(zip(fresh, _next_parts(session, issuer.ca.config.crl_part_entries, len(fresh)), strict=True))
    subject, intended = _subject(card, issuer.ca), list[Tbs]()
    for slot, key in unsigned.items():
        row, profile = rows[slot], issuer.profile.key(slot).certificate_profile
        start = _Start.of(row) if row is not None else _Start.fresh(issuer, parts[slot])
        tbs = issuer.ca.prepare(_request(card, subject, profile, key, issuer, start))
        if row is not None and row.tbs_digest != tbs.digest:
            raise RequestRefused(
                "what was to be signed for this key has changed since: scrap the card and make it again",
                profile=profile,
            )
        signed[slot] = tbs
        if row is None:
            intended.append(tbs)
    check_proofs(unsigned, asked.proofs)  # after its fitness: an unfit key is told as that, whoever holds it
    if intended:
        connection.execute(_intending(), [_row(card_id, tbs, issuer) for tbs in intended])
    return {slot: signed[slot] for slot in keys}


# Built once: every card asks them.
@cache
def _certified() -> Any:
    return select(Certificate.__table__).where(Certificate.public_key_digest.in_(bindparam("digests", expanding=True)))


@cache
def _holder() -> Any:
    """The card, locked, and whose it is."""
    card = (Card.id, Card.number, Card.state, Card.expires_on)
    person = (Application.surname, Application.name, Application.patronymic)
    whose = select(*card, *person).join(Application, Application.id == Card.application_id)
    return whose.where(Card.id == bindparam("this")).with_for_update(of=Card, key_share=True)


@cache
def _intending() -> Any:
    return insert(Certificate.__table__)  # type: ignore[arg-type]


@cache
def _issued() -> Any:
    """What was signed in the place of its intent; one that was revoked meanwhile stays as it is."""
    table = Certificate.__table__
    intended = (table.c.serial == bindparam("this"), table.c.state == CertificateState.INTENDED)
    values = {"state": CertificateState.ISSUED, "der": bindparam("signed"), "issued_at": bindparam("at")}
    return update(table).where(*intended).values(values)  # type: ignore[arg-type]


def _require_own(known: Row[Any] | None, card: Row[Any], profile: str) -> None:
    """Refuse a key of another card or for another purpose, and a card that is not being written."""
    if known is not None and (known.card_id != card.id or known.profile != profile):
        raise _shared()
    if (known is None or known.der is None) and card.state is not CardState.WRITING:
        raise RequestRefused(f"the card is {card.state}: put it aside, it gets no certificates", profile=profile)


def _shared() -> UnfitKey:
    return UnfitKey("this public key is in use already: scrap the card and report its chip", finding="shared")


def _row(card_id: int, tbs: Tbs, issuer: Issuer) -> dict[str, Any]:
    return {
        "card_id": card_id,
        "profile": tbs.request.profile,
        "serial": tbs.serial_hex,
        "tbs_digest": tbs.digest,
        "public_key_digest": tbs.public_key_digest,
        "subject": tbs.request.subject.text(),
        "not_before": tbs.request.not_before,
        "not_after": tbs.request.not_after,
        "intended_at": issuer.now,
        "crl_part": tbs.request.crl_part,
        "state": CertificateState.INTENDED,
    }


def _keep(session: Session, card_id: int, signed: Sequence[tuple[Tbs, bytes]], issuer: Issuer) -> None:
    """Store signed certificates in the place of their intents, put them on hold, tell the audit."""
    issued = [{"this": tbs.serial_hex, "signed": der, "at": issuer.now} for tbs, der in signed]
    session.connection().execute(_issued(), issued)
    held = revocation.held(session, card_id, now=issuer.now)
    if lost := {tbs.serial_hex for tbs, _ in signed} - {one.serial for one in held}:
        _refuse_issued(session, lost)
    audit.record_many(
        session,
        [
            audit.Note(
                issuer.actor,
                "certificate.issue",
                "certificate",
                str(one.id),
                issuer.now,
                None,
                {"profile": one.profile, "serial": one.serial, "card": card_id},
            )
            for one in held
        ],
    )


def _refuse_issued(session: Session, serials: Collection[str]) -> None:
    """Raise `IllegalMove` for an intent that became something else before it was signed, `NotFound` without one."""
    states = select(Certificate.state).where(Certificate.serial.in_(serials))
    for state in session.scalars(states).all():
        advance(CERTIFICATE, state, CertificateEvent.ISSUE)
    raise missing(Certificate, min(serials))


@dataclass(frozen=True)
class _Start:
    """What a request is given once and keeps: its number, its beginning and its part of the list."""

    serial: int
    not_before: datetime
    not_after: datetime | None
    crl_part: int | None

    @classmethod
    def of(cls, row: Row[Any]) -> "_Start":
        return cls(int(row.serial, 16), row.not_before, row.not_after, row.crl_part)

    @classmethod
    def fresh(cls, issuer: Issuer, crl_part: int | None) -> "_Start":
        return cls(new_serial(issuer.random), issuer.now.replace(microsecond=0), None, crl_part)


def _request(
    card: Row[Any], subject: Subject, profile: str, key: bytes, issuer: Issuer, start: _Start
) -> CertificateRequest:
    card_end = datetime.combine(card.expires_on, time(23, 59, 59), issuer.zone).astimezone(UTC)
    limit = start.not_before + timedelta(days=issuer.ca.profiles[profile].max_days)
    return CertificateRequest(
        profile=profile,
        public_key=key,
        subject=subject,
        serial=start.serial,
        not_before=start.not_before,
        not_after=start.not_after or min(card_end, limit, issuer.ca.signer.not_after),
        card_number=card.number,
        card_expires=card_end,
        crl_part=start.crl_part,
    )


def _next_parts(session: Session, part_entries: int, count: int) -> list[int | None]:
    """Which part of the revocation list each next certificate belongs to: a part takes so many, none with 0."""
    if not part_entries or not count:
        return [None] * count
    return [(number - 1) // part_entries for number in numbering.take(session, PARTED, count=count)]


def _subject(person: Row[Any], ca: CertificateAuthority) -> Subject:
    given = " ".join(part for part in (person.name, person.patronymic) if part)
    return ca.config.subject(
        common_name=fit_common_name(person.surname, person.name, person.patronymic or ""),
        surname=person.surname[:NAME_LIMIT].strip(),
        given_name=given[:NAME_LIMIT].strip(),
        serial_number=person.number,
    )
