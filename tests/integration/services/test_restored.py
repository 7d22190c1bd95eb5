"""An older database or an older vault comes back: the two notice it, and afterwards nothing is given a second time.

Dumped and restored for real: `pg_dump` and `pg_restore`, SQLite's own backup, the vault's file copied.
"""

import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from cryptography import x509
from sqlalchemy import select
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session, sessionmaker

from issuance.keys.agreement import Disagreement, Finding
from issuance.keys.file_vault import FileVault
from issuance.keys.port import KeyAlgorithm, KeyPurpose, KeyRef, KeyState, Vault
from tests.support.desk import SETTINGS, CardOffice, open_card_office
from tests.support.keys import PASSPHRASES
from tests.support.office import NOW
from tests.support.postgres import Server, server_programs
from uec.services import authority, numbering, vault_memory
from uec.store.engine import make_engine, session_factory
from uec.store.tables import Card, Certificate

Restore = Callable[[], sessionmaker[Session]]


@pytest.fixture
def dump(database_url: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Restore]]:
    """Dumps the database; what comes back restores the dump into an empty one."""
    engines = []

    def opened(url: str) -> sessionmaker[Session]:
        engines.append(make_engine(url))
        return session_factory(engines[-1])

    def dump_sqlite() -> Restore:
        with sqlite3.connect(make_url(database_url).database or "") as origin, sqlite3.connect(tmp_path / "d") as copy:
            origin.backup(copy)
        origin.close()
        copy.close()
        return lambda: opened(f"sqlite:///{shutil.copyfile(tmp_path / 'd', tmp_path / 'restored.db')}")

    def dump_postgres() -> Restore:
        server: Server = request.getfixturevalue("postgres_server")
        programs = server_programs()
        assert programs is not None

        def run(program: str, database: str, *arguments: str) -> None:
            where = make_url(server.dsn(database)).set(drivername="postgresql").render_as_string(hide_password=False)
            command = [str(programs / program), *arguments, f"--dbname={where}"]
            subprocess.run(command, check=True, capture_output=True, timeout=120)

        def restore() -> sessionmaker[Session]:
            name = server.empty()
            request.addfinalizer(lambda: server.drop(name))
            run("pg_restore", name, "--no-owner", str(tmp_path / "dump"))
            return opened(server.dsn(name))

        run("pg_dump", make_url(database_url).database or "", "--format=custom", f"--file={tmp_path / 'dump'}")
        return restore

    yield dump_sqlite if database_url.startswith("sqlite") else dump_postgres
    for engine in engines:
        engine.dispose()


@dataclass(frozen=True)
class Given:
    """Everything that may be given once only."""

    numbers: set[str]
    serials: set[int]
    masters: set[tuple[int, str]]


def given(office: CardOffice) -> Given:
    vault = office.desk.bench.vault
    with office.sessions() as session:
        cards = session.execute(select(Card.number, Card.key_version)).all()
        ders = session.scalars(select(Certificate.der).where(Certificate.der.is_not(None))).all()
    values = {info.ref.version: info.check_value for info in vault.describe(KeyPurpose.CARD_MASTER)}
    return Given(
        {number for number, _ in cards},
        {x509.load_der_x509_certificate(der or b"").serial_number for der in ders},
        {(version, values[version]) for _, version in cards if version},
    )


@pytest.fixture
def office(sessions: sessionmaker[Session], tmp_path: Path) -> Iterator[CardOffice]:
    """An office that has made one card, and counts on with its vault."""
    made = open_card_office(sessions, tmp_path)
    with sessions() as session:
        vault_memory.note(session, made.desk.bench.vault)
        session.commit()
    made.make_cards(1)
    meet(made)
    yield made
    made.desk.bench.vault.close()


def meet(office: CardOffice) -> None:
    with office.sessions() as session:
        numbering.take(session, "receipt")  # something was done
        session.commit()
        vault_memory.meet(session, office.desk.bench.vault)


def over(office: CardOffice, sessions: sessionmaker[Session], vault: Vault) -> CardOffice:
    """The same office over another copy of its database or its vault; it opens its authority, or raises."""
    with sessions() as session:
        ca = authority.open_authority(session, vault, settings=SETTINGS)
        session.rollback()
    bench = replace(office.desk.bench, sessions=sessions, vault=vault, ca=ca)
    return CardOffice(sessions, office.staff, replace(office.desk, bench=bench), office.clock)


def assert_noticed(office: CardOffice, sessions: sessionmaker[Session], vault: Vault, finding: Finding) -> None:
    with pytest.raises(Disagreement) as caught:
        over(office, sessions, vault)
    assert caught.value.finding == finding
    assert "issue nothing" in str(caught.value) and "two custodians" in str(caught.value)
    with sessions() as session, pytest.raises(Disagreement):
        vault_memory.meet(session, vault)
    with sessions() as session:
        assert vault_memory.doubt(session) is finding


def agree(sessions: sessionmaker[Session], vault: FileVault) -> list[KeyRef]:
    with sessions() as session:
        lost = vault_memory.agree(session, vault, skip=1000, now=NOW)
        session.commit()
        assert vault_memory.doubt(session) is None
    return lost


def test_an_older_database_is_noticed_though_no_key_has_changed(
    office: CardOffice, dump: Callable[[], Restore]
) -> None:
    restore = dump()
    office.make_cards(2, 3)
    meet(office)
    before, vault = given(office), office.desk.bench.vault
    assert isinstance(vault, FileVault) and len(before.numbers) == 3
    sessions = restore()
    assert_noticed(office, sessions, vault, Finding.OLDER_OFFICE)
    assert agree(sessions, vault) == []
    again = over(office, sessions, vault)
    known = given(again)
    again.make_cards(4, 5)
    after = given(again)
    fresh_numbers, fresh_serials = after.numbers - known.numbers, after.serials - known.serials
    assert len(fresh_numbers) == 2 and not fresh_numbers & before.numbers
    assert len(fresh_serials) == 8 and not fresh_serials & before.serials
    meet(again)


def test_a_version_that_an_older_vault_has_lost_is_never_given_again(office: CardOffice, tmp_path: Path) -> None:
    shutil.copyfile(tmp_path / "vault", tmp_path / "older")
    vault = office.desk.bench.vault
    assert vault.generate(KeyPurpose.CARD_MASTER, KeyAlgorithm.AES_128, now=NOW).version == 2
    with office.sessions() as session:
        vault_memory.note(session, vault)
        session.commit()
    office.make_cards(2)
    before = given(office)
    assert {version for version, _ in before.masters} == {1, 2}
    vault.close()
    shutil.copyfile(tmp_path / "older", tmp_path / "vault")
    with FileVault.unlock(tmp_path / "vault", PASSPHRASES) as older:
        assert_noticed(office, office.sessions, older, Finding.OLDER_VAULT)
        lost = KeyRef(KeyPurpose.CARD_MASTER, 2)
        assert agree(office.sessions, older) == [lost]
        states = {info.ref: info.state for info in older.describe(KeyPurpose.CARD_MASTER)}
        assert states[lost] is KeyState.DESTROYED
        assert older.generate(KeyPurpose.CARD_MASTER, KeyAlgorithm.AES_128, now=NOW).version == 3
        with office.sessions() as session:
            vault_memory.note(session, older)
            session.commit()
        again = over(office, office.sessions, older)
        again.make_cards(3)
        with office.sessions() as session:
            made = session.scalars(select(Card.key_version).order_by(Card.id)).all()
        assert made[-1] == 3, "no card got a second key by the name of version 2"
    with FileVault.unlock(tmp_path / "vault", PASSPHRASES) as opened:
        assert [info.ref.version for info in opened.describe(KeyPurpose.CARD_MASTER)] == [1, 2, 3]


def test_an_older_vault_is_noticed_though_no_key_has_changed(office: CardOffice, tmp_path: Path) -> None:
    shutil.copyfile(tmp_path / "vault", tmp_path / "older")
    meet(office)
    office.desk.bench.vault.close()
    shutil.copyfile(tmp_path / "older", tmp_path / "vault")
    with FileVault.unlock(tmp_path / "vault", PASSPHRASES) as older:
        assert_noticed(office, office.sessions, older, Finding.OLDER_VAULT)


@pytest.mark.parametrize("torn", ["before the vault", "after the vault"])
def test_torn_while_they_count_on_they_still_agree(
    office: CardOffice, torn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = office.desk.bench.vault
    step = vault.step

    def die(generation: int) -> object:
        if torn == "after the vault":
            step(generation)
        raise KeyboardInterrupt

    for _ in range(2):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(vault, "step", die)
            meet(office)
        over(office, office.sessions, vault)
    meet(office)
    over(office, office.sessions, vault)
