"""The demo's installation and its processes: made in a folder of its own, started on free ports, ended together.

Everything is what an administrator would do by hand (`uec init`, `uec vault`, ...), with made-up residents and
passphrases drawn at random; the demo plays the chip maker too, so it knows the transport master of its blanks.
"""

import fcntl
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from card_io.ciphers import kcv_aes
from card_io.pcscd import Pcscd, ServiceUnavailable, virtual_readers
from card_io.secret import Secret
from issuance.keys.access import ClientKind, socket_for
from issuance.production.profile import CardProfile, load_profile
from issuance.station.agent import enrol
from issuance.station.readers import VIRTUAL
from issuance.station.settings import StationSettings
from uec.demo import people, stock
from uec.demo.slots import FolderSlots
from uec.demo.tray import Tray
from uec.domain.actors import system_actor
from uec.domain.errors import UecError
from uec.hub.enrolment import code_hash, new_code
from uec.processes import ProcessGroup, free_port, listens, listens_unix
from uec.services import points, stations
from uec.services.installation import Administrator, TransportKey, install
from uec.services.register import import_municipalities
from uec.settings import Settings, load_settings, shipped_profiles
from uec.store.engine import make_engine, session_factory
from uec.synthetic.register import write_municipalities, write_register

MARKER = ".uec-demo"
STATION_NAME = "Станция 1"
READERS_TIMEOUT_S = 60.0
AUTO, PCSC, IN_PROCESS = TRANSPORTS = ("auto", "pcsc", "in-process")
BUILDER = system_actor("demo")

SETTINGS = """\
# Written by the demo; `scripts/demo` makes it anew each time.
demo = true
state_dir = "state"
database_url = "{database}"
vault_socket = "{run}/vault.sock"
vault_passphrase_files = ["custodian-1", "custodian-2"]
profile_dir = "{profiles}"
register_gateway_url = "http://127.0.0.1:{gateway}"
hub_url = "ws://127.0.0.1:{hub}"
hub_listen = "127.0.0.1:{hub}"
web_listen = "127.0.0.1:{web}"
base_url = "http://127.0.0.1:{web}"
ocsp_listen = "127.0.0.1:{ocsp}"
ocsp_url = "http://127.0.0.1:{ocsp}"
region_ru = "Тюменская область"
region_en = "Tyumen Region"
organisation_contact = "8 800 000-00-00"
banks = ["Сибирский народный банк", "Западно-Уральский банк", "Банк «Тобол»"]

[pki]
organisation = "УОС Тюменской области"
"""


class PortTaken(UecError):
    """Something else listens on the port that the pages are to be on."""

    code = "demo.port_taken"

    def __init__(self, port: int) -> None:
        super().__init__(f"Port {port} is in use; stop what listens there, or start with --port and another number.")
        self.port = port


class NotOurs(UecError):
    """The folder holds files that no demo made, so it is not wiped."""

    code = "demo.folder"

    def __init__(self, folder: Path) -> None:
        super().__init__(f"{folder} holds files that the demo did not make; name another folder with --folder.")
        self.folder = folder


class DemoRunning(UecError):
    """Another demo lives in the folder, so it is not wiped."""

    code = "demo.running"

    def __init__(self, folder: Path) -> None:
        super().__init__(f"A demo runs in {folder} already; stop it, or name another folder with --folder.")
        self.folder = folder


@dataclass(frozen=True)
class Plan:
    """What the demo is to be: where, with how many residents, which database (empty: SQLite), port and transport."""

    folder: Path
    residents: int
    seed: int
    database_url: str
    port: int
    transport: str = AUTO


class Site:
    """One demo from its empty folder to its last process. Use as a context manager; leaving ends all it started."""

    def __init__(self, plan: Plan, say: Callable[[str], None]) -> None:
        self.plan = plan
        self.transport = IN_PROCESS
        self._service: Pcscd | None = None
        self._say = say
        self._stack = ExitStack()
        self._maker_key = Secret(secrets.token_bytes(16))

    def __enter__(self) -> "Site":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def prepare(self) -> None:
        """Make folder, register file, settings, database, vault, authority, points and staff."""
        folder = self.plan.folder
        if listens("127.0.0.1", self.plan.port):
            raise PortTaken(self.plan.port)
        self._stack.enter_context(_own(folder))
        run = Path(tempfile.mkdtemp(prefix="uec-demo-"))
        self._stack.callback(shutil.rmtree, run, ignore_errors=True)
        self._say(f"making a register of {self.plan.residents} residents")
        write_register(self.residents_csv, residents=self.plan.residents, seed=self.plan.seed)
        write_municipalities(self.municipalities_csv)
        self.settings = self._write_settings(run)
        self.profile: CardProfile = load_profile(self.settings.profile_dir / f"{self.settings.default_profile}.toml")
        self._install()
        self.tray = Tray(folder / "tray", maker_key=self._maker_key, profile=self.profile)
        self._stack.callback(self.tray.close)

    @property
    def residents_csv(self) -> Path:
        """The register as its keeper would export it."""
        return self.plan.folder / "residents.csv"

    @property
    def municipalities_csv(self) -> Path:
        """The code list of the region."""
        return self.plan.folder / "municipalities.csv"

    def _write_settings(self, run: Path) -> Settings:
        file = self.plan.folder / "uec.toml"
        file.write_text(
            SETTINGS.format(
                database=self.plan.database_url,
                run=run,
                profiles=shipped_profiles(),
                gateway=free_port(),
                hub=free_port(),
                web=self.plan.port,
                ocsp=free_port(),
            ),
            encoding="utf-8",
        )
        return load_settings(file)

    def _install(self) -> None:
        custodians = tuple(Secret(secrets.token_urlsafe(24).encode()) for _ in range(2))
        for number, passphrase in enumerate(custodians, 1):
            file = self.plan.folder / f"custodian-{number}"
            file.touch(mode=0o600)
            file.write_bytes(passphrase.reveal())
        install(
            self.settings,
            passphrases=(custodians[0], custodians[1]),
            administrator=Administrator(people.ADMIN_LOGIN, "Администратор", people.PASSWORD),
            now=datetime.now(UTC),
            random=secrets.token_bytes,
            transport=_in_components(self._maker_key),
            say=self._say,
        )
        engine = make_engine(self.settings.database_url)
        with session_factory(engine)() as session:
            now = datetime.now(UTC)
            import_municipalities(session, path=self.municipalities_csv, actor=BUILDER, now=now)
            people.seed(session, now=now, random=secrets.token_bytes)
            session.commit()
            stock.furnish(session, profile=self.settings.default_profile, now=now)
        engine.dispose()

    def start(self) -> None:
        """Start every process of the office, and a station at the readers."""
        self._processes = self._stack.enter_context(ProcessGroup(self.plan.folder / "logs"))
        gateway = self.settings.register_gateway_url.rpartition(":")[2]
        gateway_port = int(gateway)
        self._say("starting the register stand-in, vault, hub, worker, scheduler, OCSP and pages")
        self._uec(
            "register-standin",
            "register", "standin", str(self.residents_csv), "--port", gateway,
            ready=lambda: listens("127.0.0.1", gateway_port),
        )  # fmt: skip
        vault = socket_for(self.settings.vault_socket, ClientKind.HUB)
        self._uec("vault", "vault", ready=lambda: listens_unix(vault))
        self._uec("hub", "hub", ready=lambda: self._listens(self.settings.hub_listen))
        self._uec("worker", "worker")
        self._uec("scheduler", "scheduler")
        self._uec("ocsp", "ocsp", "run", ready=lambda: self._listens(self.settings.ocsp_listen))
        self._uec("web", "serve", ready=lambda: self._listens(self.settings.web_listen))
        self._start_station()

    def alive(self) -> None:
        """Raise `ProcessFailed` when a process has ended."""
        self._processes.check()

    def check(self) -> None:
        """The same, and bring the smart card service back when it has gone, with the cards that lay in its readers.

        Raises `ServiceUnavailable` when it cannot be had any more.
        """
        self.alive()
        if self._service is not None:
            self._service.ensure()
            self.tray.put_back()

    def _uec(self, name: str, *arguments: str, ready: Callable[[], bool] | None = None) -> None:
        environment = {"UEC_SETTINGS": str(self.settings.source)}
        self._processes.start(name, [sys.executable, "-m", "uec", *arguments], environment=environment, ready=ready)

    def _listens(self, address: str) -> bool:
        host, _, port = address.rpartition(":")
        return listens(host, int(port))

    def _start_station(self) -> None:
        if self.plan.transport == IN_PROCESS:
            self._say("cards are written in process, without PC/SC, as asked")
            self._station_without_pcsc()
            return
        service = Pcscd()
        try:
            self._stack.enter_context(virtual_readers(READERS_TIMEOUT_S))
            self._stack.callback(service.stop)
            service.ensure()
        except ServiceUnavailable as error:
            if self.plan.transport == PCSC:
                raise
            self._say(f"no PC/SC here, so cards are written in process: {error}")
            self._station_without_pcsc()
            return
        self._service, self.transport = service, PCSC
        self._say("starting a station at the virtual PC/SC readers")
        self._station("pcsc")

    def _station_without_pcsc(self) -> None:
        """The window's station for whoever opens the pages: its readers are a folder, which the tray fills."""
        folder = self.plan.folder / "readers"
        self.tray.use(FolderSlots(folder))
        self._say("starting a station whose readers are a folder")
        self._station(f"{VIRTUAL}{folder}")

    def _station(self, readers: str) -> None:
        folder = self.plan.folder / "station"
        enrol(StationSettings(folder, self.settings.hub_url), self._station_code())
        arguments = ("station", "run", "--hub", self.settings.hub_url, "--folder", str(folder), "--readers", readers)
        self._uec("station", *arguments, ready=self._connected)

    def _station_code(self) -> str:
        code = new_code(secrets.token_bytes)
        engine = make_engine(self.settings.database_url)
        with session_factory(engine)() as session:
            point = points.list_points(session)[0]
            stations.create(
                session,
                name=STATION_NAME,
                point_id=point.id,
                code_hash=code_hash(code),
                actor=BUILDER,
                now=datetime.now(UTC),
            )
        engine.dispose()
        return code

    def _connected(self) -> bool:
        engine = make_engine(self.settings.database_url)
        with session_factory(engine)() as session:
            connected = any(station.online for station in stations.list_stations(session, now=datetime.now(UTC)))
        engine.dispose()
        return connected

    def stay(self) -> None:
        """Stay until interrupted; raises `ProcessFailed` when a process ends by itself."""
        while True:
            time.sleep(1.0)
            self.check()


@contextmanager
def _own(folder: Path) -> Iterator[None]:
    """Wipe the last demo's folder and keep others off; `NotOurs` for other content, `DemoRunning` for a live demo."""
    if folder.exists() and any(folder.iterdir()) and not (folder / MARKER).exists():
        raise NotOurs(folder)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / MARKER).open("ab") as marker:
        try:
            fcntl.flock(marker, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DemoRunning(folder) from error
        for left in folder.iterdir():
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left)
            elif left.name != MARKER:
                left.unlink()
        yield


def _in_components(key: Secret) -> TransportKey:
    """The maker's transport master as it would come: two components and the check value of the whole."""
    first = secrets.token_bytes(len(key.reveal()))
    second = bytes(a ^ b for a, b in zip(first, key.reveal(), strict=True))
    return TransportKey((Secret(first), Secret(second)), kcv_aes(key.reveal()).hex().upper())
