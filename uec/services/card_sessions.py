"""Does one operation on the card in a reader, from its claim to its end, wherever the reader is.

What differs between a station 3,000 km away and a card in this process is the `Runner` alone: it takes what starts a
generator, from the journal as it stands then, and the office that answers it. A hub passes one that speaks to a station
and starts anew when a card comes back; tests and small offices one around `run_local`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Protocol, TypeVar

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from card_io.errors import CardError
from card_io.secret import Secret
from issuance.errors import IssuanceError
from issuance.keys.port import KeyPurpose
from issuance.production.anchors import Anchors
from issuance.production.asking import Talk
from issuance.production.check import look
from issuance.production.chip import chip_number
from issuance.production.errors import UnblockRefused
from issuance.production.foreign import OURS, wanting
from issuance.production.handover import hand_over
from issuance.production.inspect import inspect
from issuance.production.job import HandedOver, Unblocked
from issuance.production.judge import CardReport
from issuance.production.make import make
from issuance.production.office import OfficePort
from issuance.production.profile import CardProfile
from issuance.production.rekey import RekeyedCard, RekeyJob, rekey
from issuance.production.sealing import SealingKey, open_pins
from issuance.production.sighting import Sighting
from issuance.production.terminate import Terminated, terminate
from issuance.production.unblock import unblock
from uec.domain.errors import StoreUnavailable, UecError
from uec.domain.lifecycle import OperationKind
from uec.services import authority, card_jobs, key_rotation, operations
from uec.services.production_office import Bench, DatabaseOffice
from uec.services.rows import present
from uec.services.views import OperationView
from uec.store.engine import reading
from uec.store.tables import Application, Card, CardOperation

T = TypeVar("T")


# Built once: every card asks them.
_GIVEN = (
    select(Card.number, Application.number, CardOperation.sealed_pins)
    .join(CardOperation, CardOperation.card_id == Card.id)
    .join(Application, Application.id == Card.application_id)
    .where(CardOperation.id == bindparam("this"))
)
_HELD = select(Card.key_version).where(Card.id == bindparam("this"))
_NEWEST = (
    select(Card.id, Card.number, Card.profile)
    .where(Card.chip_id == bindparam("chip"))
    .order_by(Card.id.desc())
    .limit(1)
)


class NotForThisCard(UecError):
    """The card's profile has nothing of the kind that was asked for."""

    code = "uec.not_for_this_card"


class Runner(Protocol):
    """Runs a generator against the card in one reader."""

    def __call__(self, start: Callable[[], Talk[T]], office: OfficePort) -> T:
        """The generator's result, or its error; `start` may be called again to go on from the journal."""


class _Run(Protocol):
    """A `Runner` with its office."""

    def __call__(self, start: Callable[[], Talk[T]]) -> T:
        """The generator's result, or its error."""


@dataclass(frozen=True)
class Desk:
    """What a process that does operations has: its bench, what it trusts, and the key PINs are sealed to.

    `seen` tells what the reader's machine saw of the card that lies there, `named` gives the profile of that name.
    """

    bench: Bench
    anchors: Anchors
    sealing_key: SealingKey
    named: Callable[[str], CardProfile]
    seen: Callable[[], Sighting | None] = lambda: None


def anchors_of(bench: Bench) -> Anchors:
    """What cards of this office are judged by: the authority that signs now, and earlier ones that have not ended."""
    with reading(bench.sessions) as session:
        issuing = authority.issuing_in_use(session, now=bench.clock())
    return Anchors.of(bench.ca.root, tuple(dict.fromkeys((bench.ca.issuing, *issuing))), bench.ca.config.policy_arc)


def do_operation(desk: Desk, operation: OperationView, run: Runner) -> OperationView:
    """Do a claimed operation and close it, done or failed; returns it as it stands then.

    An error of card, reader, vault or office fails the operation with its code and sentence; a database that is away
    (`StoreUnavailable`) and anything else leave it running, as a killed process would, for
    `operations.release_operations`.
    """
    bench = desk.bench
    card_id = None if operation.kind is OperationKind.READ else operation.card_id
    office = DatabaseOffice(bench, card_id, operation_id=operation.id)
    try:
        return office.finish(_WORK[operation.kind](desk, operation, lambda start: run(start, office)))
    except StoreUnavailable:
        raise
    except (IssuanceError, CardError, UecError) as error:
        told = {"tries_left": error.tries_left} if isinstance(error, UnblockRefused) else None
        with bench.sessions() as session:
            return operations.fail_operation(
                session, operation.id, code=error.code, text=str(error), result=told, now=bench.clock()
            )


def _personalise(desk: Desk, operation: OperationView, run: _Run) -> Mapping[str, Any]:
    bench, card_id = desk.bench, _card_id(operation)

    def start() -> Talk[CardReport]:
        with reading(bench.sessions) as session:
            job = card_jobs.card_job(session, card_id, bench.vault, seen=desk.seen())
        judged_at = partial(_judged_at, bench, card_id)
        return make(job, bench.profile, desk.anchors, clock=judged_at, random=bench.random)

    return _told(bench, run(start))


def _inspect(desk: Desk, operation: OperationView, run: _Run) -> Mapping[str, Any]:
    bench, card_id = desk.bench, _card_id(operation)

    def start() -> Talk[CardReport]:
        with reading(bench.sessions) as session:
            job = card_jobs.inspection_job(session, card_id)
        now = _judged_at(bench, card_id)
        return inspect(job, bench.profile, desk.anchors, now=now, random=bench.random)

    return _told(bench, run(start))


def _judged_at(bench: Bench, card_id: int) -> datetime:
    with reading(bench.sessions) as session:
        return card_jobs.judged_at(session, card_id, now=bench.clock())


def _hand_over(desk: Desk, operation: OperationView, run: _Run) -> Mapping[str, Any]:
    bench, card_id = desk.bench, _card_id(operation)
    with reading(bench.sessions) as session:
        number, receipt, sealed = session.connection().execute(_GIVEN, {"this": operation.id}).one()
    pins = open_pins(desk.sealing_key, sealed or b"", card_number=number)

    def start() -> Talk[HandedOver]:
        # A card whose keys are of an older master gets the newest ones while it lies here.
        if (moving := _rekey_job(desk, card_id)) is not None:
            yield from rekey(moving, bench.profile, random=bench.random)
        with reading(bench.sessions) as session:
            job = card_jobs.hand_over_job(session, card_id, profile=bench.profile, pins=pins, operation_id=operation.id)
        return (yield from hand_over(job, bench.profile, random=bench.random))

    done = run(start)
    told = {"chip_id": done.chip_id, "card_number": done.card_number, "receipt": receipt, "resumed": done.resumed}
    return told | {"at_reader": done.at_reader}


def _unblock(desk: Desk, operation: OperationView, run: _Run) -> Mapping[str, Any]:
    bench, card_id = desk.bench, _card_id(operation)
    with reading(bench.sessions) as session:
        typed = _typed(session, desk, operation.id, present(session, Card, card_id).number)

    def start() -> Talk[Unblocked]:
        with reading(bench.sessions) as session:
            job = card_jobs.unblock_job(session, card_id, profile=bench.profile, typed=typed)
        return unblock(job, bench.profile, random=bench.random)

    done = run(start)
    return {"chip_id": done.chip_id, "card_number": done.card_number, "pin": done.pin, "at_reader": done.at_reader}


def _typed(session: Session, desk: Desk, operation_id: int, card_number: str) -> dict[str, Secret]:
    """What the holder has typed at the window, and what the letter says, by name."""
    sealed = present(session, CardOperation, operation_id).sealed_pins or b""
    return open_pins(desk.sealing_key, sealed, card_number=card_number)


def _rekey(desk: Desk, operation: OperationView, run: _Run) -> Mapping[str, Any]:
    bench, card_id = desk.bench, _card_id(operation)

    def start() -> Talk[RekeyedCard]:
        with reading(bench.sessions) as session:
            job = key_rotation.rekey_job(session, card_id, bench.vault, seen=desk.seen())
        return rekey(job, bench.profile, random=bench.random)

    if bench.profile.piv is not None:
        raise NotForThisCard(f"Cards of profile {bench.profile.name} have no keys to move: take the card out.")
    done = run(start)
    return {"card_number": done.card_number, "chip_id": done.chip_id, "changed": done.changed, "kvn": done.kvn}


def _rekey_job(desk: Desk, card_id: int) -> RekeyJob | None:
    """The order to move the card to the newest master; None for one that has it, or has no such keys."""
    bench = desk.bench
    if bench.profile.piv is not None:
        return None
    with reading(bench.sessions) as session:
        held = session.connection().execute(_HELD, {"this": card_id}).scalar()
        if held is None or held == bench.vault.active(KeyPurpose.CARD_MASTER).version:
            return None
        return key_rotation.rekey_job(session, card_id, bench.vault, seen=desk.seen())


def _terminate(desk: Desk, operation: OperationView, run: _Run) -> Mapping[str, Any]:
    bench, card_id = desk.bench, _card_id(operation)

    def start() -> Talk[Terminated]:
        with reading(bench.sessions) as session:
            job = key_rotation.rekey_job(session, card_id, bench.vault, seen=desk.seen())
        blank = bench.vault.active(KeyPurpose.BLANK_TRANSPORT)
        return terminate(job, bench.profile, blank_master=blank, random=bench.random)

    if not bench.profile.secure_channel.terminate_returned:
        raise NotForThisCard(f"Cards of profile {bench.profile.name} are not made mute: destroy the plastic.")
    done = run(start)
    return {"card_number": done.card_number, "chip_id": done.chip_id, "resumed": done.resumed}


def _read(desk: Desk, operation: OperationView, run: _Run) -> Mapping[str, Any]:
    bench = desk.bench

    def start() -> Talk[CardReport]:
        profile = yield from _profile_in_reader(desk)
        return (yield from look(profile, desk.anchors, now=bench.clock(), random=bench.random))

    return _told(bench, run(start))


def _profile_in_reader(desk: Desk) -> Talk[CardProfile]:
    """The profile that the card in the reader was made by; the bench's own for a card that nobody knows."""
    bench = desk.bench
    with wanting(OURS):
        chip_id = yield from chip_number(bench.profile.secure_channel.isd_aid)
    with reading(bench.sessions) as session:
        known = session.connection().execute(_NEWEST, {"chip": chip_id}).first()
    return bench.profile if known is None else desk.named(known.profile)


def _told(bench: Bench, report: CardReport) -> dict[str, Any]:
    """What a page shows of a report: no personal data, which a card gives out to its holder's PIN only."""
    with reading(bench.sessions) as session:
        known = session.connection().execute(_NEWEST, {"chip": report.chip_id}).first()
    return {
        "genuine": report.genuine,
        "chip_id": report.chip_id,
        "card_id": known.id if known else None,
        "card_number": known.number if known else None,
        "findings": [{"check": one.check, "ok": one.ok, "reason": one.reason} for one in report.findings],
    }


def _card_id(operation: OperationView) -> int:
    if operation.card_id is None:
        raise UecError(f"Operation {operation.id} names no card: ask for it again with the card's number.")
    return operation.card_id


_WORK: Mapping[OperationKind, Callable[[Desk, OperationView, _Run], Mapping[str, Any]]] = {
    OperationKind.PERSONALISE: _personalise,
    OperationKind.INSPECT: _inspect,
    OperationKind.HAND_OVER: _hand_over,
    OperationKind.READ: _read,
    OperationKind.REKEY: _rekey,
    OperationKind.TERMINATE: _terminate,
    OperationKind.UNBLOCK: _unblock,
}
