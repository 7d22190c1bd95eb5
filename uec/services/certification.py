"""Certificates for the keys a card has made: intended in the database first, then signed, on hold until hand-over.

The same request gives the same certificates, whatever was torn in between: one key has one certificate a profile, for
ever and for one card only (public keys of two cards are never equal; Estonia, 2017).
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
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
from issuance.production.piv.objects import card_names
from issuance.production.profile import CardProfile
from uec.domain.lifecycle import CardState, CertificateState
from uec.services import numbering, revocation
from uec.services.applicant_secret import RandomBytes
from uec.store import audit
from uec.store.arrays import among
from uec.store.bulk import insert_rows
from uec.store.bulk_changes import change_rows
from uec.store.tables import Application, Card, Certificate

# The series that counts the certificates which belong to a part of the revocation list.
PARTED = "certificate-parted"
ONE_CARD = 8  # certificates that are stored by statements which are built once; more are stored as a batch
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


Outcome = dict[str, bytes] | IssuanceError
"""A card's certificates (DER) by key slot, or why it gets none."""


def issue(session: Session, card_id: int, made: Made, *, issuer: Issuer) -> dict[str, bytes]:
    """Certificates (DER) by key slot for the keys that a card has made.

    Two transactions: the intents, then the signed certificates, on hold until the card is handed over. Raises
    `UnfitKey` for a key that fails hygiene, is on another card, or was not proved to be on this one, `RequestRefused`
    for what the authority may not sign, and what the vault raises; each refusal stands in the audit.
    """
    try:
        found = issue_all(session, {card_id: made}, issuer=issuer)[card_id]
    except IssuanceError as error:
        session.rollback()
        _tell_refusals(session, {card_id: error}, issuer)
        session.commit()
        raise
    if isinstance(found, IssuanceError):
        raise found
    return found


def issue_all(session: Session, asked: Mapping[int, Made], *, issuer: Issuer) -> dict[int, Outcome]:
    """The same for many cards at once, in the same two transactions: by card its certificates, or why it gets none.

    What is refused of one card keeps no other back. Two may ask for the same at once: both get what was stored first.
    Raises what the vault raises; the intents stand then, and the same request goes on with them.
    """
    intended = _intend(session, asked, issuer)
    _tell_refusals(session, {one: said for one, said in intended.items() if isinstance(said, IssuanceError)}, issuer)
    session.commit()
    unsigned = [
        (card_id, tbs)
        for card_id, slots in intended.items()
        if not isinstance(slots, IssuanceError)
        for tbs in slots.values()
        if isinstance(tbs, Tbs)
    ]
    stored: _Stored = {}
    if unsigned:
        signed = issuer.ca.sign([tbs for _, tbs in unsigned], now=issuer.now)
        stored = _keep(session, [(*one, der) for one, der in zip(unsigned, signed, strict=True)], issuer)
        session.commit()
    return {
        card_id: slots if isinstance(slots, IssuanceError) else _outcome(slots, stored)
        for card_id, slots in intended.items()
    }


def _outcome(slots: "_Slots", stored: "_Stored") -> Outcome:
    made = {slot: stored[tbs.serial_hex] if isinstance(tbs, Tbs) else tbs for slot, tbs in slots.items()}
    refused = [said for said in made.values() if isinstance(said, IssuanceError)]
    return refused[0] if refused else {slot: der for slot, der in made.items() if isinstance(der, bytes)}


def _tell_refusals(session: Session, refused: Mapping[int, IssuanceError], issuer: Issuer) -> None:
    audit.record_many(
        session,
        [
            audit.Note(
                issuer.actor,
                "certificate.refuse",
                "card",
                str(card_id),
                issuer.now,
                None,
                {"code": error.code, "reason": str(error), **error.facts},
            )
            for card_id, error in refused.items()
        ],
    )


_Slots = dict[str, Tbs | bytes]
"""By slot what will be signed, whose intent is stored now or was before; or the certificate that there is."""
_Stored = dict[str, bytes | IssuanceError]
"""By serial the certificate that stands, or why none does."""


def _intend(session: Session, asked: Mapping[int, Made], issuer: Issuer) -> dict[int, _Slots | IssuanceError]:
    """What becomes of each card's request; the intents of those that are new are stored."""
    connection = session.connection()
    # The cards are locked first: what is certified by then is seen.
    dialect = connection.dialect.name
    cards = {row.id: row for row in connection.execute(_holders(dialect), {"these": sorted(asked)})}
    digests = {
        card_id: {slot: hashlib.sha256(key).hexdigest() for slot, key in made.public_keys.items()}
        for card_id, made in asked.items()
    }
    every = [digest for slots in digests.values() for digest in slots.values()]
    known = {row.public_key_digest: row for row in connection.execute(_certified(dialect), {"digests": every})}
    fresh = sum(digest not in known for digest in every)
    parts = iter(_next_parts(session, issuer.ca.config.crl_part_entries, fresh))
    taken: set[str] = set()
    found: dict[int, _Slots | IssuanceError] = {}
    rows: list[dict[str, Any]] = []
    for card_id, made in asked.items():
        of_card = digests[card_id]
        try:
            if len(set(of_card.values())) < len(of_card) or not taken.isdisjoint(of_card.values()):
                raise _shared()
            slots = _intended(
                cards[card_id], made, {slot: known.get(one) for slot, one in of_card.items()}, parts, issuer
            )
        except IssuanceError as error:
            found[card_id] = error
            continue
        found[card_id] = slots
        taken.update(of_card.values())
        new = [tbs for slot, tbs in slots.items() if isinstance(tbs, Tbs) and of_card[slot] not in known]
        if new:
            named = new[0].request.subject.text()  # one name stands in all certificates of a card
            rows += [_row(card_id, tbs, named, issuer) for tbs in new]
    if len(rows) > ONE_CARD:
        insert_rows(session, Certificate, rows)
    elif rows:
        connection.execute(_intending(), rows)
    return found


def _intended(
    card: Row[Any], asked: Made, known: Mapping[str, Row[Any] | None], parts: Iterator[int | None], issuer: Issuer
) -> _Slots:
    """By slot what a card is to get; `known` has what is certified of its keys, `parts` the parts of the next ones."""
    for slot, row in known.items():
        _require_own(row, card, issuer.profile.key(slot).certificate_profile)
    slots: _Slots = {}
    subject = _subject(card, issuer.ca)
    for slot, key in asked.public_keys.items():
        row, profile = known[slot], issuer.profile.key(slot).certificate_profile
        if row is not None and row.der:
            slots[slot] = row.der
            continue
        start = _Start.of(row) if row is not None else _Start.fresh(issuer, next(parts))
        tbs = issuer.ca.prepare(_request(card, subject, profile, key, issuer, start))
        if row is not None and row.tbs_digest != tbs.digest:
            raise RequestRefused(
                "what was to be signed for this key has changed since: scrap the card and make it again",
                profile=profile,
            )
        slots[slot] = tbs
    unsigned = {slot: asked.public_keys[slot] for slot, tbs in slots.items() if isinstance(tbs, Tbs)}
    check_proofs(unsigned, asked.proofs)  # after its fitness: an unfit key is told as that, whoever holds it
    return slots


# Built once: every card asks them.
@cache
def _certified(dialect: str) -> Any:
    table = Certificate.__table__
    return select(table).where(among(dialect, table.c.public_key_digest, "digests"))


@cache
def _holders(dialect: str) -> Any:
    """The cards, locked one after the other, and whose they are."""
    card = (Card.id, Card.number, Card.state, Card.expires_on)
    person = (Application.surname, Application.name, Application.patronymic)
    whose = select(*card, *person).join(Application, Application.id == Card.application_id)
    these = among(dialect, Card.__table__.c.id, "these")
    return whose.where(these).order_by(Card.id).with_for_update(of=Card, key_share=True)


@cache
def _intending() -> Any:
    return insert(Certificate.__table__)  # type: ignore[arg-type]


@cache
def _awaited(dialect: str) -> Any:
    """What became of intents, locked one after the other."""
    wanted = select(Certificate.serial, Certificate.state, Certificate.der)
    these = among(dialect, Certificate.__table__.c.serial, "serials")
    return wanted.where(these).order_by(Certificate.id).with_for_update(key_share=True)


@cache
def _issued() -> Any:
    """What was signed in the place of its intent."""
    table = Certificate.__table__
    values = {"state": CertificateState.ISSUED, "der": bindparam("signed"), "issued_at": bindparam("at")}
    return update(table).where(table.c.serial == bindparam("this")).values(values)  # type: ignore[arg-type]


def _require_own(known: Row[Any] | None, card: Row[Any], profile: str) -> None:
    """Refuse a key of another card or for another purpose, a card that is not being written, and what was revoked."""
    if known is not None and (known.card_id != card.id or known.profile != profile):
        raise _shared()
    if (known is None or known.der is None) and card.state is not CardState.WRITING:
        raise RequestRefused(f"the card is {card.state}: put it aside, it gets no certificates", profile=profile)
    if known is not None and known.state is CertificateState.REVOKED:
        raise RequestRefused(
            f"the certificate of this key is revoked, the card is {card.state}: put it aside", profile=profile
        )


def _shared() -> UnfitKey:
    return UnfitKey("this public key is in use already: scrap the card and report its chip", finding="shared")


def _row(card_id: int, tbs: Tbs, named: str, issuer: Issuer) -> dict[str, Any]:
    return {
        "card_id": card_id,
        "profile": tbs.request.profile,
        "serial": tbs.serial_hex,
        "tbs_digest": tbs.digest,
        "public_key_digest": tbs.public_key_digest,
        "subject": named,
        "not_before": tbs.request.not_before,
        "not_after": tbs.request.not_after,
        "intended_at": issuer.now,
        "crl_part": tbs.request.crl_part,
        "state": CertificateState.INTENDED,
    }


def _keep(session: Session, signed: Sequence[tuple[int, Tbs, bytes]], issuer: Issuer) -> _Stored:
    """Store signed certificates in the place of their intents, put them on hold, tell the audit; returns what stands.

    Nothing was locked while they were signed: an intent that another process has replaced keeps that certificate, one
    that was revoked stays so, and both keep no other back.
    """
    connection = session.connection()
    serials = [tbs.serial_hex for _, tbs, _ in signed]
    found = {row.serial: row for row in connection.execute(_awaited(connection.dialect.name), {"serials": serials})}
    stored: _Stored = {}
    refused: dict[int, IssuanceError] = {}
    kept: dict[str, int] = {}
    for card_id, tbs, der in signed:
        row = found.get(tbs.serial_hex)
        if row is not None and row.state is CertificateState.INTENDED:
            kept[tbs.serial_hex], stored[tbs.serial_hex] = card_id, der
        elif row is not None and row.der and row.state is not CertificateState.REVOKED:
            stored[tbs.serial_hex] = row.der
        else:
            refused[card_id] = stored[tbs.serial_hex] = _gone(tbs, row)
    if len(kept) > ONE_CARD:
        ders = [{"serial": one, "der": stored[one]} for one in kept]
        issued = {"state": CertificateState.ISSUED, "issued_at": issuer.now}
        change_rows(session, Certificate, "serial", ders, same=issued)
    elif kept:
        rows = [{"this": one, "signed": stored[one], "at": issuer.now} for one in kept]
        connection.execute(_issued(), rows)
    if kept:
        _hold(session, kept, issuer)
    _tell_refusals(session, refused, issuer)
    return stored


def _gone(tbs: Tbs, row: Row[Any] | None) -> RequestRefused:
    state = "gone" if row is None else row.state
    return RequestRefused(
        f"what was intended for this key is {state} by now: put the card aside, it gets no certificates",
        profile=tbs.request.profile,
    )


def _hold(session: Session, cards: Mapping[str, int], issuer: Issuer) -> None:
    """Put what was issued (by serial its card) on hold, and tell the audit."""
    held = revocation.held(session, set(cards.values()), now=issuer.now)
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
                {"profile": one.profile, "serial": one.serial, "card": cards.get(one.serial)},
            )
            for one in held
        ],
    )


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
        card_names=card_names(issuer.profile, card.number),
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
