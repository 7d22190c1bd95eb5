"""The printed face of cards: previews, the check at intake, and the sheet that goes to the card printer.

Which card is printed how stands in `config/faces/<profile>.toml`; a profile without such a file prints nothing. Orders
and their match with the chip are `uec.services.print_orders`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session, undefer

from issuance.printing import render
from issuance.printing.errors import BadPhoto, TextDoesNotFit, UnknownSign
from issuance.printing.face import Face, load_face
from issuance.printing.layout import Facts, Layout, compose, fit_all
from uec.domain.actors import Actor
from uec.domain.errors import NotFound, UecError
from uec.domain.names import printed_name
from uec.domain.numbers import format_card_number, format_snils
from uec.domain.permissions import Permission
from uec.services.rows import present
from uec.settings import Settings
from uec.store import audit
from uec.store.tables import Application, Batch, Card

FONTS = Path(__file__).parents[1] / "web" / "static" / "dist" / "fonts"
UNPRINTABLE = (TextDoesNotFit, UnknownSign, BadPhoto)
NO_NUMBER = "0" * 16
# The field of the form behind each text of the face that comes from it.
_FIELDS: Mapping[str, str] = {"surname": "surname", "given": "name", "latin": "surname"}


class UnprintableCards(UecError):
    """Cards whose face cannot be drawn; nothing is printed then. Facts: `cards`, a mapping of number to why."""

    code = "uec.unprintable_cards"


@dataclass(frozen=True)
class Printer:
    """How this office prints: the faces' folder, and what stands on every card of the region."""

    faces: Path
    region: str
    contact: str

    @classmethod
    def of(cls, settings: Settings) -> "Printer":
        """The printer of the settings."""
        return cls(settings.profile_dir.parent / "faces", settings.region_ru, settings.organisation_contact)

    def face(self, profile: str) -> Face | None:
        """The face of a card profile, None for one that is not printed; raises `InvalidFace`."""
        file = self.faces / f"{profile}.toml"
        return _loaded(file, file.stat().st_mtime_ns) if file.is_file() else None


@lru_cache(maxsize=16)
def _loaded(file: Path, _changed_at_ns: int) -> Face:
    return load_face(file)


def misfits(printer: Printer, profile: str, *, surname: str, name: str, patronymic: str) -> dict[str, str]:
    """Which fields of a form have no room on the card, as message keys of a form: `form.no_room:GIVEN:FITTING`."""
    face = printer.face(profile)
    if face is None:
        return {}
    texts, found = _names(surname, name, patronymic), {}
    for fact, field in _FIELDS.items():
        try:
            fit_all(_only(face, fact), texts, FONTS)
        except TextDoesNotFit as error:
            found[field] = f"form.no_room:{error.facts['given']}:{error.facts['fitting']}"
        except UnknownSign:
            found[field] = f"form.{field}"
    return found


@lru_cache(maxsize=64)
def _only(face: Face, fact: str) -> Face:
    return Face(face.name, face.title, tuple(place for place in face.texts if place.fact == fact))


def card_face(
    session: Session, card_id: int, *, printer: Printer, actor: Actor, now: datetime, dpi: int = 300
) -> bytes:
    """A card's face as PNG, as it is printed; a look at the person's record, which the audit keeps."""
    actor.require(Permission.VIEW_PERSON)
    card = present(session, Card, card_id)
    application = _with_photo(session, card.application_id)
    _tell(session, actor, "card", card_id, application.resident_id, now)
    layout = layout_of(card, application, printer=printer)
    session.commit()
    return render.png(layout, FONTS, dpi=dpi)


def card_pages(session: Session, card_ids: Sequence[int], *, printer: Printer, actor: Actor, now: datetime) -> bytes:
    """The faces of cards as one PDF for whoever may see the people on them; each is a look that the audit keeps."""
    actor.require(Permission.VIEW_PERSON)
    for card_id in card_ids:
        card = present(session, Card, card_id)
        _tell(session, actor, "card", card_id, present(session, Application, card.application_id).resident_id, now)
    pages = sheet(session, card_ids, printer=printer, title="UEC", now=now)
    session.commit()
    return pages


def application_face(
    session: Session, application_id: int, *, profile: str, expires_on: date, printer: Printer, actor: Actor,
    now: datetime, dpi: int = 300,
) -> bytes:  # fmt: skip
    """What the card of an application will look like, as PNG, with zeros for its number; a look that is audited.

    `profile` is the usual card variant, for who asked for none.
    """
    actor.require(Permission.VIEW_PERSON)
    application = _with_photo(session, application_id)
    _tell(session, actor, "application", application_id, application.resident_id, now)
    facts = _facts(application, NO_NUMBER, expires_on, printer)
    layout = compose(_required(printer, application.profile or profile), facts, FONTS)
    session.commit()
    return render.png(layout, FONTS, dpi=dpi)


def sheet(session: Session, card_ids: Sequence[int], *, printer: Printer, title: str, now: datetime) -> bytes:
    """The faces of cards as one PDF, a page each, in the order of their numbers. Raises `UnprintableCards`."""
    rows = session.execute(
        select(Card, Application)
        .join(Application, Application.id == Card.application_id)
        .where(Card.id.in_(card_ids))
        .order_by(Card.number)
        .options(undefer(Application.photo))
    )
    layouts, wrong = [], {}
    for card, application in rows:
        try:
            layouts.append(layout_of(card, application, printer=printer))
        except UNPRINTABLE as error:
            wrong[card.number] = str(error)
    if wrong:
        told = "; ".join(f"{number}: {why}" for number, why in list(wrong.items())[:5])
        raise UnprintableCards(f"{len(wrong)} cards cannot be printed ({told}).", cards=wrong)
    return render.pdf(layouts, FONTS, title=title, now=now)


def layout_of(card: Card, application: Application, *, printer: Printer) -> Layout:
    """A card's face filled in; raises `TextDoesNotFit`, `UnknownSign`, `BadPhoto`."""
    return compose(_required(printer, card.profile), _facts(application, card.number, card.expires_on, printer), FONTS)


def prints(session: Session, batch_id: int, *, printer: Printer) -> bool:
    """Whether the cards of a batch have a printed face."""
    return printer.face(present(session, Batch, batch_id).profile) is not None


def card_prints(session: Session, card_id: int, *, printer: Printer) -> bool:
    """Whether a card has a printed face."""
    return printer.face(present(session, Card, card_id).profile) is not None


def _required(printer: Printer, profile: str) -> Face:
    face = printer.face(profile)
    if face is None:
        raise NotFound(
            f"Cards of the profile {profile} are not printed: there is no face for it.", kind="Face", id=profile
        )
    return face


def _with_photo(session: Session, application_id: int) -> Application:
    present(session, Application, application_id)
    return session.get_one(Application, application_id, options=[undefer(Application.photo)], populate_existing=True)


def _facts(application: Application, number: str, expires_on: date, printer: Printer) -> Facts:
    texts = _names(application.surname, application.name, application.patronymic or "") | {
        "region": printer.region,
        "contact": printer.contact,
        "number": format_card_number(number),
        "expires": f"{expires_on:%d.%m.%Y}",
        "snils": format_snils(application.snils),
    }
    return Facts(texts, number, application.photo)


def _names(surname: str, name: str, patronymic: str) -> dict[str, str]:
    return {
        "surname": surname,
        "given": f"{name} {patronymic}".strip(),
        "latin": printed_name(surname, name),
    }


def _tell(session: Session, actor: Actor, kind: str, subject_id: int, resident_id: int | None, now: datetime) -> None:
    audit.record(
        session,
        actor=actor.reference,
        action=f"{kind}.view",
        subject_kind=kind,
        subject_id=subject_id,
        person_id=resident_id,
        details={"part": "face"},
        now=now,
    )
