"""Whatever a card answers to whatever command: the work ends by a typed error that tells no secret, and goes on.

One answer of a session is replaced: by another status word, noise, or the true one cut, lengthened or flipped. Such a
session ends well or with a typed error. The true card put back is then finished, or given up with its reason; a card
whose very number was forged is not taken for another.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from card_io.connection import Connection
from card_io.secret import Secret
from card_io.virtual.card import VirtualCard
from card_io.virtual.connection import InProcessConnection
from issuance.errors import IssuanceError
from issuance.keys.engine import VaultEngine
from issuance.keys.port import KeyAlgorithm, KeyPurpose
from issuance.production.asking import Talk
from issuance.production.drivers import run_local
from issuance.production.handover import hand_over
from issuance.production.inspect import inspect
from issuance.production.personalise import personalise
from issuance.production.rekey import RekeyJob, rekey
from issuance.production.relay import OpenedSlot
from issuance.production.terminate import terminate
from issuance.production.unblock import unblock
from tests.support.keys import NOW
from tests.support.leaks import leaked
from tests.support.line import HOLDER_PINS, LETTER, PIV_PROFILE, UEC_PROFILE, Line, blank_card, make_line

CPLC = bytes.fromhex("80CA9F7F")
SPARE = 2
NEW_PIN = Secret(b"918273")
GIVEN_UP = {"card-scrapped", "inspection-failed"}
FORGED_NUMBER = {"wrong-card", "chip-taken"}

words = st.one_of(
    st.sampled_from([0x9000, 0x6283, 0x6982, 0x6985, 0x6A82, 0x6A88, 0x63C0, 0x6983]), st.integers(0, 0xFFFF)
)


def status_only(sw: int) -> Callable[[bytes], bytes]:
    return lambda _: sw.to_bytes(2, "big")


def other_status(sw: int) -> Callable[[bytes], bytes]:
    return lambda true: true[:-2] + sw.to_bytes(2, "big")


def noise(data: bytes) -> Callable[[bytes], bytes]:
    return lambda _: data + b"\x90\x00"


def cut(keep: int) -> Callable[[bytes], bytes]:
    return lambda true: true[: min(keep, len(true) - 2)] + b"\x90\x00"


def flip(place: int, mask: int) -> Callable[[bytes], bytes]:
    def changed(true: bytes) -> bytes:
        at = place % len(true)
        return true[:at] + bytes([true[at] ^ mask]) + true[at + 1 :]

    return changed


places = st.integers(0, 1000)
"""Which command, counted around."""
changes = st.one_of(
    words.map(status_only),
    words.map(other_status),
    st.binary(max_size=70).map(noise),
    st.binary(max_size=300).map(lambda data: lambda true: true[:-2] + data + true[-2:]),
    st.integers(0, 60).map(cut),
    st.builds(flip, st.integers(0, 400), st.integers(1, 255)),
    st.sampled_from([b"", b"\x90"]).map(lambda data: lambda _: data),
)


class Lying:
    """A reader that replaces one answer of the card's; `seen` counts the commands of all its connections."""

    def __init__(self, card: VirtualCard, at: int, change: Callable[[bytes], bytes]) -> None:
        self._card, self._at, self._change = card, at, change
        self.seen = 0
        self.lied_about = b""

    def slot(self) -> OpenedSlot:
        return OpenedSlot(self._open)

    def _open(self) -> Connection:
        inner, outer = InProcessConnection(self._card), self

        class Session:
            atr = inner.atr

            def transmit(self, command: bytes) -> bytes:
                answer = inner.transmit(command)
                outer.seen += 1
                if outer.seen - 1 != outer._at:
                    return answer
                outer.lied_about = command
                return outer._change(answer)

            def close(self) -> None:
                inner.close()

        return Session()


class Bench:
    """One office of a profile, and what it does with a card."""

    def __init__(self, folder: Path, profile: Path) -> None:
        folder.mkdir(parents=True)
        self.line: Line = make_line(folder, profile)
        self.kind = profile.stem
        self.serial = 0
        self.commands: dict[str, int] = {}

    def ordered(self) -> tuple[str, VirtualCard]:
        self.serial += 1
        return self.line.order(self.serial), blank_card(self.serial, kind=self.kind)

    def work(self, what: str, number: str) -> Talk[object]:
        line, kept = self.line, self.line.office.cards[number]
        random = line.randomness.randbytes
        if what == "personalise":
            return personalise(line.office.job(number), line.profile, random=random)
        if what == "inspect":
            order = line.office.inspection(number)
            return inspect(order, line.profile, line.anchors, now=line.office.clock(), random=random)
        if what == "hand_over":
            pins = HOLDER_PINS if self.kind == "uec" else {"pin1": HOLDER_PINS["pin2"]}
            return hand_over(line.office.handover(number, pins | {"krp": LETTER}), line.profile, random=random)
        if what == "unblock":
            return unblock(line.office.unblocking(number, "pin1", NEW_PIN, LETTER), line.profile, random=random)
        master = line.office.vault.active(KeyPurpose.CARD_MASTER)
        job = RekeyJob(number, kept.chip_id, master, tuple(kept.journal))
        if what == "rekey":
            return rekey(job, line.profile, random=random)
        blank = line.office.vault.active(KeyPurpose.BLANK_TRANSPORT)
        return terminate(job, line.profile, blank_master=blank, random=random)

    def run(self, what: str, number: str, slot: OpenedSlot) -> None:
        run_local(self.work(what, number), slot, self.line.office.desk(number))

    def honest(self, what: str, number: str, card: VirtualCard) -> None:
        card.power_off()
        self.run(what, number, OpenedSlot(lambda: InProcessConnection(card)))

    def count(self, what: str) -> int:
        """How many commands this work has, and a few for those that come when an answer was another one."""
        if what not in self.commands:
            self.commands[what] = 0
            number, card = self.ordered()
            for step in BEFORE[what]:
                self.honest(step, number, card)
            if what == "rekey":
                self.rotate()
            reader = Lying(card, -1, noise(b""))
            self.run(what, number, reader.slot())
            self.commands[what] = reader.seen + SPARE
        return self.commands[what]

    def secrets(self, number: str) -> list[Secret]:
        vault = self.line.office.vault
        digits = {pin.name: pin.transport_digits for pin in self.line.profile.pins}
        own = vault.transport_pins(vault.active(KeyPurpose.PIN_MASTER), number, digits)
        return [*own.values(), *HOLDER_PINS.values(), NEW_PIN, LETTER]

    def rotate(self) -> None:
        vault = self.line.office.vault
        assert isinstance(vault, VaultEngine)
        vault.generate(KeyPurpose.CARD_MASTER, KeyAlgorithm.AES_128, now=NOW)


@pytest.fixture(scope="module")
def benches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Bench]]:
    folder = tmp_path_factory.mktemp("any")
    made = {path.stem: Bench(folder / path.stem, path) for path in (UEC_PROFILE, PIV_PROFILE)}
    yield made
    for bench in made.values():
        bench.line.office.vault.close()


BEFORE = {
    "personalise": (),
    "inspect": ("personalise",),
    "hand_over": ("personalise", "inspect"),
    "rekey": ("personalise", "inspect"),
    "terminate": ("personalise", "inspect"),
    "unblock": ("personalise", "inspect", "hand_over"),
}


def check_one_lie(bench: Bench, what: str, at: int, change: Callable[[bytes], bytes]) -> str:
    """Do it with one answer replaced, then again with the true card; how it ended."""
    number, card = bench.ordered()
    for step in BEFORE[what]:
        bench.honest(step, number, card)
    if what == "rekey":
        bench.rotate()
    reader = Lying(card, at % bench.count(what), change)
    try:
        bench.run(what, number, reader.slot())
    except IssuanceError as error:
        told(error, bench.secrets(number))
        first = error.code
    else:
        first = "done"
    try:
        bench.honest(what, number, card)
    except IssuanceError as error:
        told(error, bench.secrets(number))
        spoiled = error.code in GIVEN_UP and bench.line.office.cards[number].state == "SPOILED"
        once_spoiled = first in GIVEN_UP
        forged = error.code in FORGED_NUMBER and reader.lied_about[:4] == CPLC
        assert spoiled or once_spoiled or forged, (first, error, reader.lied_about[:5].hex())
        return f"{first}, {error.code}"
    return f"{first}, done"


def told(error: IssuanceError, secrets: list[Secret]) -> None:
    said = str(error) + repr(error.facts)
    assert said.rstrip()
    for secret in secrets:
        assert not leaked(said, secret)


relaxed = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.slow
@pytest.mark.parametrize("what", BEFORE)
@relaxed
@given(at=places, change=changes)
def test_one_wrong_answer_of_a_uec_card(
    benches: dict[str, Bench], what: str, at: int, change: Callable[[bytes], bytes]
) -> None:
    event(check_one_lie(benches["uec"], what, at, change))


@pytest.mark.slow
@pytest.mark.parametrize("what", ["personalise", "inspect", "hand_over", "unblock"])
@relaxed
@given(at=places, change=changes)
def test_one_wrong_answer_of_a_piv_card(
    benches: dict[str, Bench], what: str, at: int, change: Callable[[bytes], bytes]
) -> None:
    event(check_one_lie(benches["piv"], what, at, change))
