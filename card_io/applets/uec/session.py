"""A terminal's session with a `uec` card: select, read, prove the PIN, sign, challenge the card.

ISO/IEC 7816-4 and 7816-8 as narrowed by `card_io.applets.uec.layout`. Hides command bytes, paths and the pieces in
which a long file is read. PINs come as `Secret` and are revealed at the line that sends them.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from card_io import tlv
from card_io.apdu import CommandAPDU, ResponseAPDU, tries_left
from card_io.applets.uec import layout
from card_io.applets.uec.layout import PLACES, AlgorithmRef, AppletState, Fid, KeyAlgorithm, KeySlot, KeyUse, PinRef
from card_io.connection import Connection, send
from card_io.errors import CardError, InvalidTlv, UnexpectedAnswer
from card_io.secret import Secret
from card_io.status import NO_SUCH_APPLET

PIECE_BYTES: Final = 0xE0
"""How much of a file is read at once: fits every reader's short answer."""
_VERIFICATION_FAILED: Final = 0x63C0
_BLOCKED: Final = 0x6983
_TRANSPORT: Final = 0x6984
_FILE_MAX: Final = 0x7FFF
"""Greatest size that the 15-bit offset of READ BINARY reaches."""


class WrongPin(CardError):
    """The card did not accept a PIN; `tries_left` says how often it may still be tried."""

    code = "card.pin.wrong"

    def __init__(self, ref: PinRef, left: int) -> None:
        super().__init__(
            f"{ref.name} is wrong; {left} tries are left" if left else f"{ref.name} is blocked; unblock it"
        )
        self.ref = ref
        self.tries_left = left


class TransportPin(CardError):
    """The PIN is still the one from production: it can only be changed."""

    code = "card.pin.transport"

    def __init__(self, ref: PinRef) -> None:
        super().__init__(f"{ref.name} is still the transport PIN; let the holder choose one first")
        self.ref = ref


class NotUecCard(CardError):
    """There is no `uec` applet on the card."""

    code = "card.uec.missing"


@dataclass(frozen=True)
class PinStatus:
    """One line of the card's overview of PINs."""

    ref: PinRef
    tries_left: int
    tries: int
    transport: bool

    @property
    def blocked(self) -> bool:
        """No try is left."""
        return self.tries_left == 0


@dataclass(frozen=True)
class KeyStatus:
    """One line of the card's overview of keys."""

    slot: int
    algorithm: KeyAlgorithm
    rule: layout.Rule
    use: KeyUse


class UecSession:
    """One session over an open connection; `select` first."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def _send(self, command: CommandAPDU) -> ResponseAPDU:
        return send(self._connection, command)

    def select(self) -> None:
        """Select the applet, which forgets every verified PIN; `NotUecCard` when there is none."""
        command = CommandAPDU(0x00, 0xA4, 0x04, 0x0C, layout.APPLET_AID)
        answer = self._send(command)
        if answer.sw in NO_SUCH_APPLET:
            raise NotUecCard("there is no uec applet on this card; use a card that was personalised")
        answer.require(command)

    def applet_state(self) -> AppletState:
        """Life cycle of the applet; `UnexpectedAnswer` for another layout than this one."""
        data = self._get_data(layout.TAG_STATE)
        version = int.from_bytes(data[:2], "big")
        if len(data) != 3 or version != layout.LAYOUT_VERSION or data[2] not in set(AppletState):
            raise UnexpectedAnswer("the card has another layout than this program knows; update the program")
        return AppletState(data[2])

    def pins(self) -> list[PinStatus]:
        """The state of every PIN, without using a try."""
        lines = _quadruples(self._get_data(layout.TAG_PINS))
        with _known_codes():
            return [
                PinStatus(PinRef(ref), left, tries, bool(flags & layout.PinFlag.TRANSPORT))
                for ref, left, tries, flags in lines
            ]

    def keys(self) -> list[KeyStatus]:
        """What key pairs there are and what they may do."""
        lines = _quadruples(self._get_data(layout.TAG_KEYS))
        with _known_codes():
            return [
                KeyStatus(slot, KeyAlgorithm(algorithm), layout.Rule(rule), KeyUse(use))
                for slot, algorithm, rule, use in lines
            ]

    def _get_data(self, tag: int) -> bytes:
        command = CommandAPDU(0x00, 0xCA, tag >> 8, tag & 0xFF, le=256)
        return self._send(command).require(command)

    def read_file(self, fid: Fid) -> bytes:
        """The whole content of a file of the layout; `StatusWordError` 6982 when its PIN has not been verified."""
        select = CommandAPDU(0x00, 0xA4, 0x08, 0x04, PLACES[fid].path[2:], 256)
        template = self._send(select).require(select)
        try:
            size = int.from_bytes(tlv.require(template, 0x62, 0x80), "big")
        except InvalidTlv as error:
            raise UnexpectedAnswer("the card does not tell how long the file is; it is not this layout") from error
        if size > _FILE_MAX:
            raise UnexpectedAnswer(f"the card tells of a file of {size} bytes, more than READ BINARY reaches")
        content = b""
        while len(content) < size:
            offset = len(content)
            command = CommandAPDU(0x00, 0xB0, offset >> 8, offset & 0xFF, le=min(PIECE_BYTES, size - offset))
            piece = self._send(command).require(command)
            if not piece:
                raise UnexpectedAnswer("the card ends the file before its length; read the card again")
            content += piece
        return content

    def verify_pin(self, ref: PinRef, pin: Secret) -> None:
        """Prove a PIN; `WrongPin` counts, `TransportPin` does not."""
        self._with_pin(ref, ref, CommandAPDU(0x00, 0x20, 0x00, ref, pin.reveal()))

    def change_pin(self, ref: PinRef, old: Secret, new: Secret) -> None:
        """Replace a PIN (also a transport PIN); `WrongPin` when `old` is not right."""
        self._with_pin(ref, ref, CommandAPDU(0x00, 0x24, 0x00, ref, old.reveal() + new.reveal()))

    def unblock_pin(self, ref: PinRef, krp: Secret, new: Secret) -> None:
        """Give a PIN a new value and all its tries; `WrongPin` names KRP when the code is not right."""
        self._with_pin(ref, PinRef.KRP, CommandAPDU(0x00, 0x2C, 0x00, ref, krp.reveal() + new.reveal()))

    def _with_pin(self, ref: PinRef, proved: PinRef, command: CommandAPDU) -> None:
        answer = self._send(command)
        if answer.sw & 0xFFF0 == _VERIFICATION_FAILED or answer.sw == _BLOCKED:
            raise WrongPin(proved, tries_left(answer.sw) or 0)
        if answer.sw == _TRANSPORT:
            raise TransportPin(ref)
        answer.require(command)

    def sign(self, slot: int, digest: bytes) -> bytes:
        """ECDSA over a hash, as ECDSA-Sig-Value in DER; the key's PIN has to be verified (PIN2: right before)."""
        self._choose(0xB6, slot, AlgorithmRef.ECDSA)
        command = CommandAPDU(0x00, 0x2A, 0x9E, 0x9A, digest, 256)
        return self._send(command).require(command)

    def agree(self, slot: int, point: bytes) -> bytes:
        """The X coordinate of the point shared with the peer's uncompressed point."""
        self._choose(0xB8, slot, None)
        command = CommandAPDU(0x00, 0x2A, 0x80, 0x86, point, 256)
        return self._send(command).require(command)

    def _choose(self, template: int, slot: int, algorithm: AlgorithmRef | None) -> None:
        data = b"" if algorithm is None else tlv.encode(0x80, bytes([algorithm]))
        command = CommandAPDU(0x00, 0x22, 0x41, template, data + tlv.encode(0x84, bytes([slot])))
        self._send(command).require(command)

    def internal_authenticate(self, challenge: bytes, slot: int = KeySlot.CARD) -> bytes:
        """ECDSA with SHA-256 over the challenge (16 to 64 bytes), DER: only this chip can, and no PIN is asked."""
        command = CommandAPDU(0x00, 0x88, 0x00, slot, challenge, 256)
        return self._send(command).require(command)

    def public_key(self, slot: int) -> bytes:
        """The public key template (7F49) of a slot, with its tag."""
        data = tlv.encode(0xB6, tlv.encode(0x83, bytes([slot])))
        command = CommandAPDU(0x00, 0x47, 0x81, 0x00, data, 256)
        return self._send(command).require(command)


@contextlib.contextmanager
def _known_codes() -> Iterator[None]:
    """A code that this layout does not have is the card's mistake."""
    try:
        yield
    except ValueError as error:
        raise UnexpectedAnswer("the card's overview has a code that this layout does not know") from error


def _quadruples(data: bytes) -> list[tuple[int, int, int, int]]:
    if len(data) % 4:
        raise UnexpectedAnswer("the card's overview is cut short; read the card again")
    return [(data[at], data[at + 1], data[at + 2], data[at + 3]) for at in range(0, len(data), 4)]
