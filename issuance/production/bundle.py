"""What a personalisation says to the world: bundles of commands, records to keep, questions to vault and office.

The generators of this package (`personalise`, `inspect`, `hand_over`) yield these and are sent the answers, so that
they know nothing of readers, links, databases or clocks. One `Send` is one round trip, however many commands it holds.

| yielded | answered by |
|---|---|
| `Send` | `Answers` |
| `Record` | `None`; it is durably stored before the next `Send` or `CertificatesWanted` is answered |
| `WhoIs` | `KnownChip` or `None` |
| `SessionKeysWanted` | `card_io.scp03.SessionKeys`; `issuance.errors.WrongCardKeys` is thrown in on a mismatch |
| `ForetoldSessionWanted` | `issuance.keys.port.ForetoldSession` |
| `PutKeyWanted` | `issuance.keys.port.PutKeyData` |
| `AdminKeyWanted` | `Secret` |
| `CertificatesWanted` | mapping of key slot name to certificate (DER) |
| `SecurityObjectWanted` | the signed security object (CMS, DER) |
| `IdentifierSignatureWanted` | the signature in a PIV card's CHUID (CMS, DER) |
| `PinsWanted` | mapping of PIN name to `Secret` (the card's transport PINs) |
| `Progress` | `None` |
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from card_io.pinpad import PinEntry
from issuance.keys.port import CardSessionRequest, ForetellRequest, KeyRef, PutKeyRequest
from issuance.pki.possession import Proof

SW_OK = 0x9000


@dataclass(frozen=True, slots=True)
class Step:
    """One command APDU, and the status words and data that let the bundle go on.

    `command` is the whole APDU (wrapped already, where a secure channel is open). The station follows 61xx and 6Cxx by
    itself; any other status word outside `expect` ends the bundle, and so do other data than `answer`, where the host
    knows them ahead. `label` is what an operator may read. With `pad` the holder types into the command at the reader's
    own keys; such a step is the last one of its bundle, and what the reader says of a holder who did not finish
    (`card_io.pinpad.ENDINGS`) is its answer.
    """

    command: bytes
    expect: tuple[int, ...] = (SW_OK,)
    label: str = ""
    answer: bytes | None = None
    pad: PinEntry | None = None


@dataclass(frozen=True, slots=True)
class Send:
    """A bundle: commands that go to the card in order, in one round trip.

    `fresh` asks for a new connection first (the card is reset, so no session or verified PIN survives).
    """

    steps: tuple[Step, ...]
    fresh: bool = False


class Fault(StrEnum):
    """Why a bundle ended early, when it was not the card's own status word."""

    CARD_REMOVED = "card_removed"
    CARD_MUTE = "card_mute"
    READER_LOST = "reader_lost"
    LINK_LOST = "link_lost"
    PAD_UNFIT = "pad_unfit"


@dataclass(frozen=True, slots=True)
class Answers:
    """What came back for a bundle.

    `responses` holds one raw response (data and SW1 SW2) for each command that was answered, in order; the last one is
    the unexpected one when `complete` is false and `fault` is None. With a `fault`, the command after the last answer
    may or may not have been executed by the card (after LINK_LOST: any number of them). `detail` is the
    reader's own sentence about it. `elapsed_ms` is one figure a response, measured next to the reader.
    """

    responses: tuple[bytes, ...]
    complete: bool
    fault: Fault | None = None
    detail: str = ""
    atr: bytes = b""
    elapsed_ms: tuple[int, ...] = ()


class RecordKind(StrEnum):
    """The journal's entries. An `..._INTENT` is stored before its bundle leaves, the outcome after its answers.

    Records that follow each other are stored together: all of them or none.
    """

    CHIP_CLAIMED = "chip_claimed"
    CHIP_RELEASED = "chip_released"
    KEY_CHANGE_INTENT = "key_change_intent"
    KEY_CHANGED = "key_changed"
    WRITE_INTENT = "write_intent"
    KEYS_MADE = "keys_made"
    FINISH_INTENT = "finish_intent"
    FINISHED = "finished"
    INSPECTED = "inspected"
    PIN_CHANGE_INTENT = "pin_change_intent"
    PIN_CHOSEN = "pin_chosen"
    PIN_CHANGED = "pin_changed"
    HANDED_OVER = "handed_over"
    UNBLOCK_INTENT = "unblock_intent"
    UNBLOCKED = "unblocked"
    UNBLOCK_REFUSED = "unblock_refused"
    TERMINATE_INTENT = "terminate_intent"
    TERMINATED = "terminated"
    SCRAPPED = "scrapped"
    TRANSCRIPT = "transcript"


@dataclass(frozen=True, slots=True)
class Record:
    """A journal entry; `facts` is plain JSON (bytes as lower-case hex), and never holds a secret."""

    kind: RecordKind
    facts: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WhoIs:
    """Which card, if any, this chip is known as. `chip_id` is derived from the chip's CPLC (hex)."""

    chip_id: str


@dataclass(frozen=True, slots=True)
class KnownChip:
    """The office's knowledge of a chip that has been claimed for a card, or spoiled, before."""

    card_number: str
    state: str
    batch_number: str


@dataclass(frozen=True, slots=True)
class SessionKeysWanted:
    """Session keys for an SCP03 channel; the vault checks the card cryptogram before it answers."""

    request: CardSessionRequest


@dataclass(frozen=True, slots=True)
class ForetoldSessionWanted:
    """An SCP03 session computed before the card has answered; no cryptogram is there to check yet."""

    request: ForetellRequest


@dataclass(frozen=True, slots=True)
class PutKeyWanted:
    """Key data that replace one key set by another on one card."""

    request: PutKeyRequest


@dataclass(frozen=True, slots=True)
class AdminKeyWanted:
    """The key that manages one chip's applet where there is no secure channel (PIV 9B), of so many bytes."""

    master: KeyRef
    chip_id: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class CertificatesWanted:
    """Certificates for the keys the chip has made: key slot name to SubjectPublicKeyInfo (DER).

    `proofs`, by slot too, show that the chip holds them; a key that was certified before needs none.
    """

    card_number: str
    chip_id: str
    public_keys: Mapping[str, bytes]
    proofs: Mapping[str, Proof] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SecurityObjectWanted:
    """The issuer's signature over the SHA-256 digests of the card's data groups (number to digest)."""

    card_number: str
    digests: Mapping[int, bytes]


@dataclass(frozen=True, slots=True)
class IdentifierSignatureWanted:
    """The issuer's signature over the objects of a PIV card's CHUID."""

    card_number: str
    content: bytes


@dataclass(frozen=True, slots=True)
class PinsWanted:
    """The card's transport PINs: `digits` names each (`pin1`, `pin2`, `krp`) and how many digits it has."""

    card_number: str
    digits: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Progress:
    """Step `step` of `of`, with a label an operator may read; `facts` are more of it, as plain JSON."""

    step: int
    of: int
    label: str
    facts: Mapping[str, object] = field(default_factory=dict)


Request = (
    Send
    | Record
    | WhoIs
    | SessionKeysWanted
    | ForetoldSessionWanted
    | PutKeyWanted
    | AdminKeyWanted
    | CertificatesWanted
    | SecurityObjectWanted
    | IdentifierSignatureWanted
    | PinsWanted
    | Progress
)
