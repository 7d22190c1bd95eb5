"""What the parts of the card share: memory, keys, registry, randomness, the domain's name and the chip's settings."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from card_io.virtual.applet import Applet, Surroundings
from card_io.virtual.chip import Randomness, diversification_data
from card_io.virtual.foreign import ForeignApplet
from card_io.virtual.keysets import KeyStore
from card_io.virtual.memory import Area, Memory
from card_io.virtual.refusal import WRONG_DATA, Refused
from card_io.virtual.registry import OP_READY, SELECTABLE, Instance, Registry

ISD_AID: Final = bytes.fromhex("A000000151000000")
AID_MIN, AID_MAX = 5, 16
AppletCode = Callable[[Surroundings], Applet]


@dataclass
class Platform:
    """The card's operating system without its commands.

    `code` maps module AIDs to what this chip can run, `domain_modules` are those that are security domains.
    `scp03_size` 8 or 16 sets the length of challenges and MACs whatever `i` says (chips in S16 mode exist that do not
    tell); `forced_challenge` is the card challenge of every session: checks against recorded sessions need it.
    `over_t0` says that the card speaks T=0 and nothing else.
    """

    memory: Memory
    randomness: Randomness
    code: dict[bytes, AppletCode]
    domain_modules: frozenset[bytes] = frozenset()
    scp03_i: int = 0x70
    scp02_i: int = 0x55
    scp03_size: int = 0
    forced_challenge: bytes | None = None
    over_t0: bool = False
    spend: Callable[[str], None] = lambda _: None
    is_selected: Callable[[bytes], bool] = lambda _: False
    area: Area = field(init=False)
    keys: KeyStore = field(init=False)
    registry: Registry = field(init=False)
    _running: dict[int, Applet] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.area = Area(self.memory, "isd/")
        self.keys = KeyStore(Area(self.memory, "isd/"))
        self.registry = Registry(Area(self.memory, "registry/"))

    @property
    def cplc(self) -> bytes:
        """Production record, 42 bytes."""
        return self.area.octets("cplc") or bytes(42)

    @property
    def diversification_data(self) -> bytes:
        """Ten bytes that tell this chip's keys apart; a recorded session may bring its own."""
        return self.area.octets("kdd") or diversification_data(self.cplc)

    @property
    def domain_aid(self) -> bytes:
        """Name of the issuer security domain."""
        return self.area.octets("aid") or ISD_AID

    def rename_domain(self, aid: bytes) -> None:
        """Give the issuer security domain another name (11.11.2.3, tag 4F); what belongs to it goes along."""
        if not AID_MIN <= len(aid) <= AID_MAX:
            raise Refused(WRONG_DATA)
        if self.registry.instance(aid) is not None or self.registry.load_file(aid) is not None:
            raise Refused(WRONG_DATA)
        self.registry.hand_over(self.domain_aid, aid)
        self.area.put("aid", aid)

    @property
    def life_cycle(self) -> int:
        """Life cycle of the card (OP_READY 01 ... TERMINATED FF)."""
        return self.area.integer("life_cycle", OP_READY)

    @life_cycle.setter
    def life_cycle(self, state: int) -> None:
        self.area.put("life_cycle", state)

    def install(
        self, load_file: bytes, module: bytes, aid: bytes, *, privileges: bytes, state: int = SELECTABLE
    ) -> None:
        """Make an instance of a module that is on the card; `privileges` are three bytes.

        It belongs to the domain of its load file.
        """
        stored = self.registry.load_file(load_file)
        domain = (stored.domain if stored is not None else b"") or self.domain_aid
        instance = Instance(aid, load_file, module, state, privileges, domain, self.registry.next_number())
        self.registry.put_instance(instance)
        self.applet(instance).install()

    def is_domain_code(self, module: bytes) -> bool:
        """Whether the module is a security domain rather than an applet."""
        return module in self.domain_modules

    def applet(self, instance: Instance) -> Applet:
        """The running code of an instance, started when first asked for since power-on."""
        if instance.number not in self._running:
            self._running[instance.number] = self._start(instance)
        return self._running[instance.number]

    def _start(self, instance: Instance) -> Applet:
        aid = instance.aid

        def life_cycle() -> int:
            current = self.registry.instance(aid)
            return 0 if current is None else current.life_cycle

        world = Surroundings(
            aid,
            self.applet_area(instance),
            self.randomness,
            life_cycle,
            lambda state: self.registry.set_life_cycle(aid, state),
            self.spend,
        )
        return self.code.get(instance.module, ForeignApplet)(world)

    def applet_area(self, instance: Instance) -> Area:
        """The memory of an instance."""
        return Area(self.memory, f"instance/{instance.number}/")

    def stop(self, instance: Instance) -> None:
        """Forget the running code of an instance that is deleted."""
        self._running.pop(instance.number, None)

    def stop_all(self) -> None:
        """Power is lost: nothing runs."""
        self._running.clear()
