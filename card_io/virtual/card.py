"""A whole chip: power, reset, one command in, one answer out, and a file that survives it.

Hides the operating system behind what a reader sees. GlobalPlatform Card Specification 2.3.1; ISO/IEC 7816-3 and
7816-4."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self

from card_io.apdu import CommandAPDU
from card_io.applets.uec import layout
from card_io.errors import InvalidApdu
from card_io.virtual import faults as fault
from card_io.virtual import supplementary
from card_io.virtual.applet import Surroundings
from card_io.virtual.atr import Protocols, answer_to_reset
from card_io.virtual.chip import Randomness, cplc_for
from card_io.virtual.dispatch import OperatingSystem
from card_io.virtual.faults import CardElsewhere, CardLost, FaultPlan, UnknownProfile
from card_io.virtual.keysets import KeySet
from card_io.virtual.memory import Area, Durability, ImageNotWritten, Memory, Value, read_image, write_image
from card_io.virtual.piv import card_data as piv
from card_io.virtual.piv.applet import PivApplet
from card_io.virtual.platform import AppletCode, Platform
from card_io.virtual.refusal import CLA_UNKNOWN, INS_UNKNOWN, WRONG_LENGTH, Refused
from card_io.virtual.registry import CARD_RESET, LoadFile
from card_io.virtual.timing import Timing
from card_io.virtual.uec.applet import UecApplet

CODE: Final[Mapping[bytes, AppletCode]] = MappingProxyType({layout.MODULE_AID: UecApplet, piv.AID: PivApplet})
"""Modules this chip can run, by AID."""


_DOMAINS: Final = LoadFile(supplementary.PACKAGE_AID, b"\x01\x00", (supplementary.MODULE_AID,))
"""Supplementary security domains can be made on every chip."""


@dataclass(frozen=True)
class BlankProfile:
    """What a maker delivers: load files on the chip, instances already made, the name in the answer to reset."""

    name: bytes
    load_files: tuple[LoadFile, ...]
    instances: tuple[tuple[bytes, bytes, bytes], ...] = ()
    """Load file, module and instance AID."""


PROFILES: Final[Mapping[str, BlankProfile]] = MappingProxyType(
    {
        "uec": BlankProfile(b"UEC", (_DOMAINS, LoadFile(layout.PACKAGE_AID, b"\x01\x00", (layout.MODULE_AID,)))),
        "piv": BlankProfile(
            b"PIV",
            (_DOMAINS, LoadFile(piv.PACKAGE_AID, b"\x01\x00", (piv.AID,))),
            ((piv.PACKAGE_AID, piv.AID, piv.AID),),
        ),
    }
)


class VirtualCard:
    """One card. Not for several threads at once: a reader gives one command after the other."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._chip = Area(memory, "chip/")
        self._randomness = Randomness(self._chip.octets("seed") or b"")
        self._path: Path | None = None
        self._durability = Durability.RENAMED
        self._version: tuple[int, int] | None = None
        self._system: OperatingSystem | None = None
        self._mute = False
        self.present = True
        self.faults = FaultPlan()
        self.timing: Timing | None = None
        self.atr = answer_to_reset(self._chip.octets("name") or b"", Protocols(self._chip.integer("protocols", 1)))
        memory.before_commit = self._about_to_write
        memory.persist = self._save_if_bound
        self.platform = Platform(
            memory,
            self._randomness,
            dict(CODE),
            frozenset({supplementary.MODULE_AID}),
            scp03_i=self._chip.integer("scp03_i", 0x70),
            scp02_i=self._chip.integer("scp02_i", 0x55),
            over_t0=Protocols(self._chip.integer("protocols", 1)) is Protocols.T0,
            spend=self._spend,
        )
        self.platform.code[supplementary.MODULE_AID] = self._domain

    def _domain(self, world: Surroundings) -> supplementary.SupplementaryDomain:
        return supplementary.SupplementaryDomain(world, self.platform)

    @classmethod
    def blank(
        cls,
        seed: bytes,
        *,
        initial_keys: KeySet,
        profile: str = "uec",
        cplc: bytes | None = None,
        scp03_i: int = 0x70,
        scp02_i: int = 0x55,
        protocols: Protocols = Protocols.T1,
    ) -> "VirtualCard":
        """A card as its maker delivers it: production data, one key set, what the profile has.

        `seed` fixes the chip's number and its randomness; `cplc` (42 bytes) replaces the production record; `protocols`
        are what the answer to reset offers (over T=0 alone there are no extended lengths). The keys of a chip usually
        hang on `chip.diversification_data(chip.cplc_for(seed))`.
        """
        chosen = PROFILES.get(profile)
        if chosen is None:
            raise UnknownProfile(profile, tuple(PROFILES))
        memory = Memory()
        chip = Area(memory, "chip/")
        chip.put("seed", bytes(seed))
        chip.put("name", chosen.name)
        chip.put("scp03_i", scp03_i)
        chip.put("scp02_i", scp02_i)
        chip.put("protocols", protocols.value)
        card = cls(memory)
        card.platform.area.put("cplc", cplc if cplc is not None else cplc_for(seed))
        card.platform.keys.put(initial_keys)
        for load_file in chosen.load_files:
            card.platform.registry.put_load_file(load_file)
        for package, module, aid in chosen.instances:
            card.platform.install(package, module, aid, privileges=bytes([CARD_RESET, 0, 0]))
        memory.commit()
        return card

    @classmethod
    def load(cls, path: Path, *, durability: Durability = Durability.RENAMED) -> Self:
        """The card in a file, bound to it: every change is written there before the command is answered."""
        version = _version(path)
        card = cls(Memory(read_image(path)))
        card._path, card._version, card._durability = path, version, durability
        return card

    def save(self, path: Path, *, durability: Durability = Durability.RENAMED) -> None:
        """Write the card into a file (whole, or not at all) and stay bound to it."""
        self._path, self._durability = path, durability
        self._write_image(path, self._memory.durable())

    def _write_image(self, path: Path, cells: Mapping[str, Value]) -> None:
        write_image(path, cells, self._durability)
        self._version = _version(path)

    def _about_to_write(self) -> None:
        self.faults.about_to_write()
        if self._path is not None and self.elsewhere:
            raise CardElsewhere(self._path.name)

    def _save_if_bound(self, cells: Mapping[str, Value]) -> None:
        if self._path is not None:
            self._write_image(self._path, cells)

    def _spend(self, kind: str) -> None:
        if self.timing is not None:
            self.timing.spend(kind)

    def power_on(self) -> bytes:
        """Give power (or reset) and return the answer to reset; `CardLost` when the card was taken out."""
        if not self.present:
            raise fault.removed()
        self.power_off()
        self._mute = False
        self._randomness.restart(self._chip)
        self._memory.commit()
        self._system = OperatingSystem(self.platform)
        return self.atr

    def reset(self) -> bytes:
        """A warm reset: the same as power off and on."""
        return self.power_on()

    def power_off(self) -> None:
        """Take the power away: what was not durable is gone."""
        self._memory.drop()
        self.platform.stop_all()
        self._system = None

    def put_back(self) -> None:
        """After `remove_at`: the card is in the reader again, without power."""
        self.present = True

    @property
    def elsewhere(self) -> bool:
        """Whether its file has gone, or holds what somebody else wrote."""
        return self._path is not None and _version(self._path) != self._version

    @property
    def powered(self) -> bool:
        """Whether it would answer."""
        return self._system is not None

    def process(self, command: bytes) -> bytes:
        """One raw command, one raw answer; `CardLost` and `CardMute` when the plan of faults says so."""
        if not self.present or self._system is None:
            raise fault.removed()
        number = self.faults.next_command()
        self._fail_before(number)
        if number in self.faults.status_at:
            return self.faults.status_at[number].to_bytes(2, "big")
        commits, written = self._memory.commits, self._memory.bytes_written
        try:
            answer = self._answer(self._system, bytes(command))
        except (CardLost, ImageNotWritten):
            self.power_off()
            raise
        if self.timing is not None:
            changed = self._memory.bytes_written - written
            self.timing.finish(len(command) + len(answer), changed, self._memory.commits - commits)
        if number == self.faults.tear_after:
            self.power_off()
            raise fault.lost()
        return fault.flip(answer) if number == self.faults.corrupt_at else answer

    def _fail_before(self, number: int) -> None:
        if number == self.faults.remove_at:
            self.power_off()
            self.present = False
            raise fault.removed()
        if number == self.faults.tear_before:
            self.power_off()
            raise fault.lost()
        self._mute = self._mute or number == self.faults.mute_at
        if self._mute:
            raise fault.mute()

    def _answer(self, system: OperatingSystem, command: bytes) -> bytes:
        """A command is one transaction: refused, it leaves nothing behind but what was checkpointed."""
        try:
            answer = system.answer(_decode(command))
        except Refused as refused:
            self._memory.drop()
            return refused.sw.to_bytes(2, "big")
        self._memory.commit()
        return answer.encode()


def _version(path: Path) -> tuple[int, int] | None:
    """What changes when the file is written by anyone: its inode and time of change; None when it is not there."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns


def _decode(command: bytes) -> CommandAPDU:
    """The command; a byte string that is none gets a status word like anything else."""
    try:
        return CommandAPDU.decode(command)
    except InvalidApdu as error:
        if command[:1] == b"\xff":
            raise Refused(CLA_UNKNOWN) from error
        if len(command) > 1 and command[1] & 0xF0 in {0x60, 0x90}:
            raise Refused(INS_UNKNOWN) from error
        raise Refused(WRONG_LENGTH) from error
