"""The exchange folder of the bureaux: what is due is put there, what is new is taken; by hand or by a job.

`CODE/in` is what a bureau fetches, `CODE/out` what it brings. A file that was looked at before is left alone, so a
folder may be gone through any number of times. What stands against one order or one file keeps no other back: it is
said, an order keeps it for its page, and the next run tries again.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path

from sqlalchemy import or_, update
from sqlalchemy.orm import Session

from issuance.errors import IssuanceError
from issuance.keys.port import Vault
from issuance.pki.ca import CertificateAuthority
from issuance.pki.hygiene import WeakKeyList
from issuance.pki.signing import Signer
from issuance.production.profile import CardProfile
from uec.domain.actors import Actor
from uec.domain.bureau import BureauRefused, FileRefused, OrderState
from uec.domain.errors import UecError
from uec.domain.permissions import Permission
from uec.services import bureau_answers, bureau_orders, bureau_sending, bureau_taking
from uec.services.applicant_secret import RandomBytes
from uec.services.bureau_sending import Sender
from uec.services.bureau_taking import Taken
from uec.services.certification import Issuer
from uec.store.tables import BureauOrder

FOLDER = "bureaux"
INCOMING = "*/out/*.p7s"
SENTENCE_LIMIT = 500
TROUBLE = (UecError, IssuanceError, OSError)
HELD = (OrderState.APPROVED, OrderState.ACCEPTED)
"""Orders of which a file or an answer may be due: nothing holds another one up."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Counter:
    """What files for bureaux are made with; `profiles` gives a card profile by its name."""

    vault: Vault
    signer: Signer
    ca: CertificateAuthority
    profiles: Callable[[str], CardProfile]
    random: RandomBytes
    zone: tzinfo


class FolderRefuses(BureauRefused):
    """A file of the exchange folder cannot be read or written. Facts: `finding`."""

    code = "uec.bureau_folder"


@dataclass(frozen=True)
class NotSent:
    """An order whose file, or answer, could not be made, and why."""

    order: str
    refusal: UecError | IssuanceError


@dataclass(frozen=True)
class NotTaken:
    """A file that was not judged, and why: it is tried again."""

    name: str
    refusal: UecError | IssuanceError


def send_due(
    session: Session,
    open_counter: Callable[[], Counter],
    *,
    folder: Path,
    actor: Actor,
    clock: Callable[[], datetime],
) -> Iterator[Path | NotSent]:
    """Make the files of approved orders, and answers to results; what stands against one keeps no other back.

    `open_counter` is called once there is something to make; what it raises stands against every order.
    """

    def send(counter: Counter, order_id: int, sender: Sender) -> Path:
        return bureau_sending.send(session, order_id, folder=folder, sender=sender, actor=actor, now=clock())

    def answer(counter: Counter, order_id: int, sender: Sender) -> Path:
        now = clock()
        issuer = Issuer(counter.ca, sender.profile, now, counter.random, actor.reference, counter.zone)
        return bureau_answers.answer(
            session, order_id, folder=folder, sender=sender, issuer=issuer, actor=actor, now=now
        )

    actor.require(Permission.RELEASE_BATCH)
    yield from bureau_answers.put_into_place(session, folder)
    due = [(send, one) for one in bureau_sending.due(session)] + [(answer, one) for one in bureau_answers.due(session)]
    if not due:
        return
    try:
        counter = open_counter()
    except TROUBLE as error:
        yield from [_held_up(session, order_id, error) for _, order_id in due]
        return
    for make, order_id in due:
        try:
            profile = counter.profiles(bureau_orders.profile_name(session, order_id))
            yield make(counter, order_id, Sender(counter.vault, counter.signer, profile))
        except TROUBLE as error:
            if isinstance(error, BureauRefused) and error.facts.get("finding") == bureau_answers.NOTHING:
                session.rollback()  # its last cards were rejected, or another process has answered: that is no trouble
            else:
                yield _held_up(session, order_id, error)


def anything_due(session: Session, folder: Path) -> bool:
    """Whether a file is to be made, or one that was made lies aside: only then is the vault asked."""
    return any(folder.glob(f"*/in/*{bureau_answers.PART}")) or bool(
        bureau_sending.due(session) or bureau_answers.due(session)
    )


def take_new(
    session: Session,
    *,
    folder: Path,
    profiles: Callable[[str], CardProfile],
    weak_keys: WeakKeyList,
    actor: Actor,
    clock: Callable[[], datetime],
) -> Iterator[Taken | FileRefused | NotTaken]:
    """Take every file that nobody has looked at yet; a refused one comes as its refusal."""
    actor.require(Permission.PRODUCE_CARD)
    for path in sorted(folder.glob(INCOMING)):
        try:
            if bureau_taking.known(session, path):
                continue
            with path.open("rb") as stream:
                yield bureau_taking.take(
                    session, stream, path.name, profiles=profiles, weak_keys=weak_keys, actor=actor, now=clock()
                )
        except FileRefused as refusal:
            yield refusal
        except TROUBLE as error:
            session.rollback()
            session.connection()  # a database that is away is not the trouble of one file
            _log.warning("file %s of a bureau was not judged: %s", path, error)
            yield NotTaken(path.name, _said(error, path.name))


def _held_up(session: Session, order_id: int, error: UecError | IssuanceError | OSError) -> NotSent:
    """Keep with the order what stands against it, where that is something new."""
    session.rollback()
    said = NotSent(bureau_orders.number_of(session, order_id), _said(error, "its folder"))
    by, why = str(said.refusal.facts.get("finding") or said.refusal.code)[:60], str(said.refusal)[:SENTENCE_LIMIT]
    changed = or_(BureauOrder.held_up_by.is_distinct_from(by), BureauOrder.held_up_why.is_distinct_from(why))
    standing = (BureauOrder.id == order_id, BureauOrder.state.in_(HELD), changed)
    kept = update(BureauOrder).where(*standing).values(held_up_by=by, held_up_why=why)
    session.execute(kept, execution_options={"synchronize_session": False})
    session.commit()
    _log.warning("nothing was made of order %s: %s", said.order, said.refusal)
    return said


def _said(error: UecError | IssuanceError | OSError, place: str) -> UecError | IssuanceError:
    if not isinstance(error, OSError):
        return error
    reason = error.strerror or type(error).__name__
    return FolderRefuses(f"The disk refuses {place}: {reason}; see to its place and rights.", finding="folder")
