"""How a generator asks: one typed sub-generator a request, so that the flows read as what they do.

Each checks that the answer is of the right kind; a driver that answers otherwise is a programming error (`TypeError`).
"""

from collections.abc import Generator, Sequence
from typing import TypeVar

from card_io.keyset import SessionKeys
from card_io.secret import Secret
from issuance.keys.port import ForetoldSession, PutKeyData
from issuance.production.bundle import (
    AdminKeyWanted,
    Answers,
    CertificatesWanted,
    Fault,
    ForetoldSessionWanted,
    IdentifierSignatureWanted,
    KnownChip,
    PinsWanted,
    Progress,
    PutKeyWanted,
    Record,
    RecordKind,
    Request,
    SecurityObjectWanted,
    Send,
    SessionKeysWanted,
    Step,
    WhoIs,
)
from issuance.production.errors import CardLost, CardRefused, PadUnfit, Unforeseen

T = TypeVar("T")
Talk = Generator[Request, object, T]
"""A conversation that ends with a `T`."""

SW_BYTES = 2


def status(response: bytes) -> int:
    """The status word of a raw response."""
    return int.from_bytes(response[-SW_BYTES:], "big")


def body(response: bytes) -> bytes:
    """The data of a raw response, without its status word."""
    return response[:-SW_BYTES]


def bundle(steps: Sequence[Step], *, fresh: bool = False) -> Talk[tuple[bytes, ...]]:
    """Send the steps in one round trip; the raw response to each.

    Raises `CardRefused` for a status word that a step does not expect (whatever the station made of it), `Unforeseen`
    for other data than it must answer with, `PadUnfit` when the reader's keys do not do what is asked of them, and
    `CardLost` when card, reader or link went away.
    """
    answers = _expect(Answers, (yield Send(tuple(steps), fresh)))
    for number, (step, response) in enumerate(zip(steps, answers.responses, strict=False), 1):
        if len(response) < SW_BYTES or status(response) not in step.expect:
            refused = CardRefused(step.label, status(response))
            refused.responses = answers.responses[:number]
            raise refused
        if step.answer is not None and body(response) != step.answer:
            raise Unforeseen(step.label, answers.responses[:number])
    if len(answers.responses) < len(steps):
        if answers.fault is Fault.PAD_UNFIT:
            raise PadUnfit(answers.detail)
        fault = answers.fault.value if answers.fault else "answers missing"
        lost = CardLost(steps[len(answers.responses)].label, fault, answers.detail)
        lost.responses = answers.responses
        raise lost
    return answers.responses


def note(kind: RecordKind, **facts: object) -> Talk[None]:
    """Keep a journal entry; it is durable before the next bundle leaves."""
    yield Record(kind, facts)


def progress(step: int, of: int, label: str) -> Talk[None]:
    """Tell whoever watches."""
    yield Progress(step, of, label)


def who_is(chip_id: str) -> Talk[KnownChip | None]:
    """Which card the chip is known as."""
    answer = yield WhoIs(chip_id)
    return None if answer is None else _expect(KnownChip, answer)


def session_keys(wanted: SessionKeysWanted) -> Talk[SessionKeys]:
    """Session keys, once the vault has checked the card's cryptogram."""
    return _expect(SessionKeys, (yield wanted))


def foretold_session(wanted: ForetoldSessionWanted) -> Talk[ForetoldSession]:
    """A session with a card that has not answered yet."""
    return _expect(ForetoldSession, (yield wanted))


def put_key_data(wanted: PutKeyWanted) -> Talk[PutKeyData]:
    """The data field of PUT KEY and the check values to expect."""
    return _expect(PutKeyData, (yield wanted))


def admin_key(wanted: AdminKeyWanted) -> Talk[Secret]:
    """The key that manages one chip's applet."""
    return _expect(Secret, (yield wanted))


def certificates(wanted: CertificatesWanted) -> Talk[dict[str, bytes]]:
    """A certificate for every key slot asked for."""
    found = _expect(dict, (yield wanted))
    if set(found) != set(wanted.public_keys):
        raise TypeError(f"certificates wanted for {sorted(wanted.public_keys)}, got {sorted(found)}")
    return found


def security_object(wanted: SecurityObjectWanted) -> Talk[bytes]:
    """The signed security object."""
    return _expect(bytes, (yield wanted))


def identifier_signature(wanted: IdentifierSignatureWanted) -> Talk[bytes]:
    """The signature in the card's CHUID."""
    return _expect(bytes, (yield wanted))


def pins(wanted: PinsWanted) -> Talk[dict[str, Secret]]:
    """The transport PINs asked for."""
    found = _expect(dict, (yield wanted))
    if set(found) != set(wanted.digits):
        raise TypeError(f"PINs wanted: {sorted(wanted.digits)}, got {sorted(found)}")
    return found


def _expect(kind: type[T], answer: object) -> T:
    if not isinstance(answer, kind):
        raise TypeError(f"the driver answered with {type(answer).__name__} where {kind.__name__} belongs")
    return answer
