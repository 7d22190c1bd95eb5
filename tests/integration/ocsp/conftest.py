"""An office of today with a card in somebody's hands, its vault behind sockets, and its processes when wanted."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import CompletedProcess
from tempfile import TemporaryDirectory

import pytest
from cryptography import x509
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from issuance.keys.service import VaultService
from tests.support.desk import SETTINGS, CardOffice, open_card_office
from tests.support.pki import openssl, pem
from uec.processes import ProcessGroup, free_port, listens
from uec.services import authority
from uec.store.tables import Certificate

SETTINGS_FILE = """\
database_url = "{database}"
state_dir = "{folder}/state"
vault_socket = "{socket}"
profile_dir = "{profiles}"
ocsp_listen = "127.0.0.1:{port}"
ocsp_url = "http://127.0.0.1:{port}/pki/ocsp"
"""


@dataclass
class Site:
    """The office, where its responder is to listen, and its files for OpenSSL."""

    office: CardOffice
    folder: Path
    socket: Path
    port: int
    card_id: int
    vault: VaultService
    processes: ProcessGroup

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/pki/ocsp"

    @property
    def settings_file(self) -> Path:
        return self.folder / "uec.toml"

    def certificate(self, profile: str = "authentication") -> bytes:
        wanted = select(Certificate.der).where(
            Certificate.card_id == self.card_id, Certificate.profile == profile, Certificate.der.is_not(None)
        )
        with self.office.sessions() as session:
            return session.scalars(wanted).one() or b""

    @property
    def authority(self) -> authority.AuthorityCertificates:
        with self.office.sessions() as session:
            return authority.certificates(session)

    @property
    def serial(self) -> int:
        return x509.load_der_x509_certificate(self.certificate()).serial_number

    def start(self, *names: str) -> None:
        """Start processes: `ocsp`, `worker`, `scheduler`."""
        commands = {"ocsp": ("ocsp", "run")}
        for name in names:
            self.processes.start(
                name,
                [sys.executable, "-m", "uec", *commands.get(name, (name,))],
                environment={"UEC_SETTINGS": str(self.settings_file)},
                ready=(lambda: listens("127.0.0.1", self.port)) if name == "ocsp" else None,
            )

    def openssl_asks(self, *arguments: str, about: tuple[str, ...] | None = None) -> CompletedProcess[str]:
        """What OpenSSL's client gets and makes of it."""
        known = self.authority
        issuing, root = pem(self.folder / "issuing", known.issuing), pem(self.folder / "root", known.root)
        subject = about or ("-cert", str(pem(self.folder / "cert", self.certificate())))
        return openssl(
            "ocsp", *arguments, "-issuer", issuing, *subject, "-url", self.url, "-CAfile", root,
            "-verify_other", issuing, "-resp_text",
        )  # fmt: skip


@contextmanager
def open_site(sessions: sessionmaker[Session], url: str, folder: Path) -> Iterator[Site]:
    office = open_card_office(sessions, folder, start=datetime.now(UTC) - timedelta(hours=1))
    (card_id,) = office.make_cards(1)
    office.hand_over(card_id)
    office.clock.now = datetime.now(UTC)
    with TemporaryDirectory(prefix="uec-") as short, ProcessGroup(folder / "logs") as processes:
        socket, port = Path(short) / "v.sock", free_port()
        vault = VaultService(office.desk.bench.vault, socket)
        vault.start()
        text = SETTINGS_FILE.format(
            database=url, folder=folder, socket=socket, profiles=SETTINGS.profile_dir, port=port
        )
        (folder / "uec.toml").write_text(text, "utf-8")
        try:
            yield Site(office, folder, socket, port, card_id, vault, processes)
        finally:
            processes.stop()
            vault.stop()
            office.desk.bench.vault.close()


@pytest.fixture
def site(sessions: sessionmaker[Session], database_url: str, tmp_path: Path) -> Iterator[Site]:
    """The same on SQLite and on PostgreSQL."""
    with open_site(sessions, database_url, tmp_path) as opened:
        yield opened
