"""What can go wrong between here and a card, one error each, from the codes of PC/SC.

PC/SC Workgroup part 5 §3 and pcsc-lite (return codes). Hides the codes; every message says what to do.
"""

from typing import ClassVar

from card_io.errors import CardError


class ReaderError(CardError):
    """Something between here and a card; `reader` is its name where one is meant."""

    code = "reader"
    default: ClassVar[str] = "the reader failed"

    def __init__(self, reader: str = "", *, detail: str = "") -> None:
        where = f"reader {reader!r}: " if reader else ""
        super().__init__(where + (detail or self.default))
        self.reader = reader


class ServiceNotRunning(ReaderError):
    """The smart card service of this machine does not answer."""

    code = "reader.no-service"
    default = "the smart card service does not answer; start it (`sudo systemctl start pcscd`, or just `sudo pcscd`)"


class ServiceForbidden(ReaderError):
    """The smart card service answers, and serves this user nothing."""

    code = "reader.forbidden"
    default = (
        "the smart card service does not serve this user; sign in at the machine itself, or have polkit allow the user "
        "org.debian.pcsc-lite.access_pcsc and org.debian.pcsc-lite.access_card"
    )


class NoReader(ReaderError):
    """No such reader; `available` are the names that are there."""

    code = "reader.none"

    def __init__(self, wanted: str, available: tuple[str, ...]) -> None:
        there = ", ".join(repr(name) for name in available) if available else "no reader at all"
        super().__init__(detail=f"reader {wanted!r} is not there; plug it in or choose another (there is {there})")
        self.wanted = wanted
        self.available = available


class NoCard(ReaderError):
    """The reader is empty."""

    code = "reader.no-card"
    default = "there is no card in it; insert one"


class CardRemoved(ReaderError):
    """The card was taken out; what it was doing may be half done."""

    code = "reader.card-removed"
    default = "the card was taken out; put the same card back and start again"


class ReaderUnplugged(CardRemoved):
    """The reader went away with the card in it."""

    code = "reader.unplugged"
    default = "the reader was unplugged; plug it back in, put the same card back and start again"


class CardReset(ReaderError):
    """Another program reset the card; sessions and PINs are gone."""

    code = "reader.card-reset"
    default = "another program reset the card; open the connection again"


class ReaderBusy(ReaderError):
    """Another program holds the card exclusively."""

    code = "reader.busy"
    default = "another program uses the card; close it and try again"


class CardMute(ReaderError):
    """The card does not answer."""

    code = "reader.card-mute"
    default = "the card does not answer; take it out, clean it, insert it the right way round"


class NoPinPad(ReaderError):
    """The reader cannot ask for a PIN itself."""

    code = "reader.no-pin-pad"
    default = "it has no PIN pad for this; enter the PIN on the computer or use another reader"


class PinPadFailed(ReaderError):
    """The reader did not play a PIN entry to its end, for a reason of its own; the card is still there."""

    code = "reader.pin-pad-failed"
    default = "its PIN pad does not work; enter the PIN on the computer or use another reader"


_BY_CODE: dict[int, type[ReaderError]] = {
    0x8010001D: ServiceNotRunning,  # no service
    0x8010001E: ServiceNotRunning,  # service stopped
    0x80100013: ServiceNotRunning,  # internal communication error
    0x80100014: ServiceNotRunning,  # unknown internal error, seen when the service dies
    0x80100003: ServiceNotRunning,  # handle of a service that is gone
    0x8010006A: ServiceForbidden,  # security violation: polkit's no, for whoever works from afar
    0x8010000C: NoCard,
    0x80100069: CardRemoved,
    0x80100068: CardReset,
    0x80100067: CardMute,  # unpowered
    0x80100066: CardMute,  # unresponsive
    0x80100065: CardMute,  # unsupported card
    0x8010000F: CardMute,  # protocol mismatch
    0x80100016: CardMute,  # not transacted
    0x8010002F: CardMute,  # communication data lost
    0x8010000B: ReaderBusy,
    0x80100017: ReaderUnplugged,
}
UNKNOWN_READER = 0x80100009
NO_READERS = 0x8010002E


def reader_error(result: int, reader: str, text: str) -> ReaderError:
    """The error for PC/SC return code `result`; `text` is PC/SC's own phrase, used for a code without an error here."""
    code = result & 0xFFFFFFFF
    if code in (UNKNOWN_READER, NO_READERS):
        return NoReader(reader, ())
    kind = _BY_CODE.get(code)
    if kind is None:
        return ReaderError(reader, detail=f"PC/SC failed with {code:08X} ({text}); unplug the reader and try again")
    return kind(reader)
