"""The words between hub and station: JSON messages over a WebSocket, each a frozen dataclass here.

    hub -> station   Challenge, Enrolled, Welcome, Refused, Play (a bundle), Release (of a card), Attest (sign evidence)
    station -> hub   Enrol, SignIn, Readers, Heard (a step goes to the card), Played (a bundle's answers), Attested

Bytes are hex. A message is an object with `type`; unknown types, unknown or missing keys and wrong types are refused
(`BadMessage`), so that neither side guesses. A station proves its key by signing the hub's nonce together with its own
and the words of the purpose; a signature for one purpose never serves another.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from card_io.pinpad import PinEntry, PinFormat, Typed
from issuance.errors import IssuanceError
from issuance.production.bundle import Answers, Fault, Send, Step

MESSAGE_MAX_BYTES = 16 << 20
NONCE_BYTES = 32
PROTOCOL = 3


class BadMessage(IssuanceError):
    """The other side sent something that is no message of this protocol."""

    code = "station-protocol"

    def __init__(self, reason: str, **facts: int) -> None:
        """Say what is wrong with it."""
        words = f"Hub and station do not understand each other ({reason}). Install the same version on both."
        super().__init__(words, **facts)


class OtherVersion(BadMessage):
    """The hub speaks another version of this protocol. Facts: `here`, `there`."""

    here: int
    there: int

    def __init__(self, there: int) -> None:
        """Name both."""
        reason = f"the hub speaks version {there} of the link, this station version {PROTOCOL}"
        super().__init__(reason, here=PROTOCOL, there=there)


@dataclass(frozen=True, slots=True)
class Challenge:
    """The hub's first word: a nonce (hex) to sign."""

    nonce: str
    protocol: int


@dataclass(frozen=True, slots=True)
class Enrol:
    """A new station with its one-time code and public key (SPKI DER, hex), signed by the private half."""

    code: str
    public_key: str
    signature: str


@dataclass(frozen=True, slots=True)
class Enrolled:
    """The station is known from now on as `station_id`."""

    station_id: int
    name: str


@dataclass(frozen=True, slots=True)
class SignIn:
    """An enrolled station; `signature` (hex, DER) is over `to_sign("sign-in", ...)`."""

    station_id: int
    nonce: str
    signature: str


@dataclass(frozen=True, slots=True)
class Welcome:
    """The hub accepts the station; `looks` asks it to look at each card that is put in, and to tell what it saw."""

    name: str
    looks: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """The hub does not talk to this station; `reason` is a sentence for the person there."""

    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Reader:
    """One reader: whether a card lies in it, and how many times one was inserted.

    `pad` tells what a holder may do at its own keys: `verify`, `modify`; empty without keys. `seen` are the card's
    answers when it was looked at (`issuance.production.sighting`, hex); empty where that was not asked for.
    """

    name: str
    card: bool
    insertion: int
    pad: tuple[str, ...] = ()
    seen: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Readers:
    """All readers of the station, sent whenever something changes."""

    readers: tuple[Reader, ...]


@dataclass(frozen=True, slots=True)
class Play:
    """A bundle for a reader; answered by `Played` with the same id, `Heard` may come in between."""

    id: int
    reader: str
    bundle: Send


@dataclass(frozen=True, slots=True)
class Heard:
    """Step `step` of bundle `id` goes to the card now."""

    id: int
    step: int


@dataclass(frozen=True, slots=True)
class Played:
    """What became of a bundle."""

    id: int
    answers: Answers


@dataclass(frozen=True, slots=True)
class Release:
    """The session with the card in this reader is over."""

    reader: str


@dataclass(frozen=True, slots=True)
class Attest:
    """Sign the digest (hex) of a transcript, as the one through whose hands it went."""

    id: int
    digest: str


@dataclass(frozen=True, slots=True)
class Attested:
    """The station's signature (hex, DER) over `to_sign("transcript", digest)`."""

    id: int
    signature: str


Message = (
    Challenge
    | Enrol
    | Enrolled
    | SignIn
    | Welcome
    | Refused
    | Readers
    | Play
    | Heard
    | Played
    | Release
    | Attest
    | Attested
)
_KINDS: dict[str, type[Message]] = {
    "challenge": Challenge,
    "enrol": Enrol,
    "enrolled": Enrolled,
    "sign_in": SignIn,
    "welcome": Welcome,
    "refused": Refused,
    "readers": Readers,
    "play": Play,
    "heard": Heard,
    "played": Played,
    "release": Release,
    "attest": Attest,
    "attested": Attested,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


def to_sign(purpose: str, *parts: bytes) -> bytes:
    """The bytes a station signs: purpose and parts, each with its length, so that nothing can be shifted."""
    words = [b"uec station", purpose.encode("ascii"), *parts]
    return b"".join(len(word).to_bytes(4, "big") + word for word in words)


def encode(message: Message) -> str:
    """The message as it is sent."""
    content = {field.name: _plain(getattr(message, field.name)) for field in fields(message)}
    return json.dumps({"type": _NAMES[type(message)], **content}, separators=(",", ":"))


def decode(text: str | bytes) -> Message:
    """The message that was received; `BadMessage` for anything else."""
    try:
        content = json.loads(text)
        kind = _KINDS[content.pop("type")]
        values = {field.name: _typed(field.type, content.pop(field.name)) for field in fields(kind)}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadMessage(f"what came is no message of version {PROTOCOL} of the link") from error
    if content:
        raise BadMessage(f"unknown key {next(iter(content))!r} in version {PROTOCOL} of the link")
    return kind(**values)


def protocol_told(text: str | bytes) -> int | None:
    """The version that a hub's first word tells, whatever else another version says there; None where it tells none."""
    try:
        told = json.loads(text)["protocol"]
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        return None
    return told if type(told) is int else None


def _plain(value: object) -> object:
    match value:
        case Send():
            return {"steps": [_step(step) for step in value.steps], "fresh": value.fresh}
        case Answers():
            return {
                "responses": [response.hex() for response in value.responses],
                "complete": value.complete,
                "fault": value.fault.value if value.fault else "",
                "detail": value.detail,
                "atr": value.atr.hex(),
                "elapsed_ms": list(value.elapsed_ms),
            }
        case tuple():
            return [_reader(item) for item in value]
    return value


def _reader(reader: Reader) -> dict[str, object]:
    lists = {"pad": list(reader.pad), "seen": list(reader.seen)}
    return {"name": reader.name, "card": reader.card, "insertion": reader.insertion, **lists}


def _step(step: Step) -> list[object]:
    answer = None if step.answer is None else step.answer.hex()
    return [step.command.hex(), list(step.expect), step.label, answer, _entry(step.pad)]


def _entry(entry: PinEntry | None) -> list[object] | None:
    if entry is None:
        return None
    form = entry.format
    return [entry.typed.value, form.minimum, form.maximum, form.block, form.fill, form.timeout_s, form.language]


def _typed(hint: object, value: Any) -> Any:
    if hint is Send:
        return _bundle(value)
    if hint is Answers:
        return _answers(value)
    if hint in (str, int, bool):
        return _exact(hint, value)
    return tuple(_told_reader(**item) for item in value)


def _told_reader(*, name: Any, card: Any, insertion: Any, pad: Any, seen: Any) -> Reader:
    return Reader(_exact(str, name), _exact(bool, card), _exact(int, insertion), _words(pad), _words(seen))


def _words(value: Any) -> tuple[str, ...]:
    return tuple(_exact(str, one) for one in _exact(list, value))


def _exact(kind: object, value: Any) -> Any:
    if type(value) is not kind:
        raise TypeError(f"{value!r} is no {kind}")
    return value


def _bundle(value: Mapping[str, Any]) -> Send:
    steps = tuple(
        Step(
            bytes.fromhex(command),
            tuple(_exact(int, sw) for sw in expect),
            _exact(str, label),
            None if answer is None else bytes.fromhex(answer),
            None if pad is None else _pin_entry(*pad),
        )
        for command, expect, label, answer, pad in value["steps"]
    )
    return Send(steps, _exact(bool, value["fresh"]))


def _pin_entry(typed: Any, *form: Any) -> PinEntry:
    *numbers, language = form
    least, most, block, fill, timeout_s = (_exact(int, one) for one in numbers)
    return PinEntry(Typed(typed), PinFormat(least, most, block, fill, timeout_s, _exact(str, language)))


def _answers(value: Mapping[str, Any]) -> Answers:
    return Answers(
        responses=tuple(bytes.fromhex(response) for response in value["responses"]),
        complete=_exact(bool, value["complete"]),
        fault=Fault(value["fault"]) if value["fault"] else None,
        detail=_exact(str, value["detail"]),
        atr=bytes.fromhex(value["atr"]),
        elapsed_ms=tuple(_exact(int, ms) for ms in value["elapsed_ms"]),
    )
