"""The exchange folder of the bureaux: what is due is put there, what is new is taken; by hand or by a job.

`CODE/in` is what a bureau fetches, `CODE/out` what it brings. A file that was looked at before is left alone, so a
folder may be gone through any number of times; one refused file keeps no other from being taken.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path

from sqlalchemy.orm import Session

from issuance.keys.port import Vault
from issuance.pki.ca import CertificateAuthority
from issuance.pki.hygiene import WeakKeyList
from issuance.pki.signing import Signer
from issuance.production.profile import CardProfile
from uec.domain.actors import Actor
from uec.domain.bureau import FileRefused
from uec.domain.errors import UecError
from uec.services import bureau_answers, bureau_orders, bureau_sending, bureau_taking
from uec.services.applicant_secret import RandomBytes
from uec.services.bureau_sending import Sender
from uec.services.bureau_taking import Taken
from uec.services.certification import Issuer

FOLDER = "bureaux"
INCOMING = "*/out/*.p7s"
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


@dataclass(frozen=True)
class NotSent:
    """An order whose file, or answer, could not be made, and why."""

    order: str
    refusal: UecError


def send_due(
    session: Session, counter: Counter, *, folder: Path, actor: Actor, clock: Callable[[], datetime]
) -> Iterator[Path | NotSent]:
    """Make the files of approved orders, and answers to results; what stands against one keeps no other back."""

    def send(order_id: int, sender: Sender) -> Path:
        return bureau_sending.send(session, order_id, folder=folder, sender=sender, actor=actor, now=clock())

    def answer(order_id: int, sender: Sender) -> Path:
        now = clock()
        issuer = Issuer(counter.ca, sender.profile, now, counter.random, actor.reference, counter.zone)
        return bureau_answers.answer(
            session, order_id, folder=folder, sender=sender, issuer=issuer, actor=actor, now=now
        )

    yield from bureau_answers.put_into_place(session, folder)
    for due, make in ((bureau_sending.due, send), (bureau_answers.due, answer)):
        for order_id in due(session):
            try:
                profile = counter.profiles(bureau_orders.profile_name(session, order_id))
                said: Path | NotSent = make(order_id, Sender(counter.vault, counter.signer, profile))
            except UecError as refusal:
                session.rollback()
                said = NotSent(bureau_orders.number_of(session, order_id), refusal)
                _log.warning("nothing was made of order %s: %s", said.order, refusal)
            yield said


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
) -> Iterator[Taken | FileRefused]:
    """Take every file that nobody has looked at yet; a refused one comes as its refusal."""
    for path in sorted(folder.glob(INCOMING)):
        if bureau_taking.known(session, path):
            continue
        with path.open("rb") as stream:
            try:
                yield bureau_taking.take(
                    session, stream, path.name, profiles=profiles, weak_keys=weak_keys, actor=actor, now=clock()
                )
            except FileRefused as refusal:
                yield refusal
