"""Running a generator: its bundles go to a card, its questions to the office.

`drive` is the one loop; what differs is where bundles go: to a slot in this process (`run_local`) or to a station.
Records that follow each other are committed together, before the next bundle leaves and before anything is signed: so
the intent of every step in a bundle is durable before the step, and its outcome before the next.
"""

from collections.abc import Callable
from typing import TypeVar

from issuance.errors import IssuanceError
from issuance.production.asking import Talk
from issuance.production.bundle import (
    AdminKeyWanted,
    Answers,
    CertificatesWanted,
    ForetoldSessionWanted,
    IdentifierSignatureWanted,
    PinsWanted,
    Progress,
    PutKeyWanted,
    Record,
    RecordKind,
    Request,
    SecurityObjectWanted,
    Send,
    SessionKeysWanted,
    WhoIs,
)
from issuance.production.office import OfficePort
from issuance.production.relay import Slot, play
from issuance.production.transcript import Transcript

__all__ = ["OfficePort", "drive", "run_local", "send_all"]

T = TypeVar("T")


def run_local(talk: Talk[T], slot: Slot, office: OfficePort, *, transcript: Transcript | None = None) -> T:
    """Run a generator against the card in a slot of this process; its result, or its error."""
    try:
        return drive(talk, lambda bundle: play(slot, bundle), office, transcript=transcript)
    finally:
        slot.close()


def drive(
    talk: Talk[T], send: Callable[[Send], Answers], office: OfficePort, *, transcript: Transcript | None = None
) -> T:
    """Answer a generator until it ends.

    An `IssuanceError` of office or vault is thrown into the generator; any other error ends it where it stands, as a
    killed process would. The transcript is recorded when the generator ends by itself, well or not.
    """
    kept = transcript or Transcript()

    def counted(bundle: Send) -> Answers:
        answers = send(bundle)
        kept.add(bundle, answers)
        return answers

    try:
        result = _loop(talk, counted, office, kept.note)
        office.commit()  # a transcript is witnessed by the station: what was proven must not wait for it
    except IssuanceError:
        office.commit()
        if kept.round_trips:
            office.record(Record(RecordKind.TRANSCRIPT, kept.facts()))
            office.commit()
        raise
    finally:
        talk.close()
    office.record(Record(RecordKind.TRANSCRIPT, kept.facts()))
    office.close()
    return result


def send_all(talk: Talk[T], send: Callable[[Send], Answers]) -> T:
    """Run a generator that asks nothing of the office: its bundles alone; anything else it yields is a `TypeError`."""
    try:
        request = next(talk)
        while isinstance(request, Send):
            request = talk.send(send(request))
    except StopIteration as stop:
        result: T = stop.value
        return result
    raise TypeError(f"no office is there to answer {type(request).__name__}")


def _loop(talk: Talk[T], send: Callable[[Send], Answers], office: OfficePort, on_record: Callable[[Record], None]) -> T:
    try:
        request = next(talk)
        while True:
            if isinstance(request, Record):
                on_record(request)
            try:
                answer = _answer(request, send, office)
            except IssuanceError as error:
                request = talk.throw(error)
            else:
                request = talk.send(answer)
    except StopIteration as stop:
        result: T = stop.value
        return result


def _answer(request: Request, send: Callable[[Send], Answers], office: OfficePort) -> object:  # noqa: PLR0911
    """One way for each kind of request."""
    match request:
        case Send():
            office.commit()
            return send(request)
        case Record():
            office.record(request)
            return None
        case WhoIs():
            return office.who_is(request)
        case SessionKeysWanted():
            return office.session_keys(request)
        case ForetoldSessionWanted():
            return office.foretold_session(request)
        case PutKeyWanted():
            return office.put_key_data(request)
        case AdminKeyWanted():
            return office.admin_key(request)
        case CertificatesWanted():
            office.commit()
            return dict(office.certificates(request))
        case SecurityObjectWanted():
            return office.security_object(request)
        case IdentifierSignatureWanted():
            return office.identifier_signature(request)
        case PinsWanted():
            return dict(office.pins(request))
        case Progress():
            office.progress(request)
            return None
