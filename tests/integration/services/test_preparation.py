"""Preparing batches on both databases: one bad record stops nobody else, two workers and a killed one lose nothing."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session, sessionmaker

from issuance.production.datagroups import read_data_group
from issuance.production.groups_writer import read_groupings
from tests.integration.services.test_jobs import Yes
from tests.support.desk import SETTINGS, CardOffice, open_card_office
from tests.support.office import NOW, add_resident
from uec import worker
from uec.domain.lifecycle import CardState
from uec.jobs import Tools
from uec.services import batches, photos, preparation
from uec.services.preparation import UnfitCards
from uec.store.tables import Application, AuditEntry, Card, CardData, Resident


@pytest.fixture
def office(sessions: sessionmaker[Session], tmp_path: Path) -> Iterator[CardOffice]:
    opened = open_card_office(sessions, tmp_path, daily_capacity=30)
    yield opened
    opened.desk.bench.vault.close()


@pytest.fixture
def tools(office: CardOffice) -> Tools:
    bench = office.desk.bench
    return Tools(SETTINGS, office.sessions, bench.vault, Yes(), office.clock, bench.random)


def released(office: CardOffice, *people: int, **changes: object) -> int:
    """A released batch of these people, not yet prepared; `changes` go into the first one's application."""
    ids = office.approve_applicants(*people)
    if changes:
        with office.sessions() as session:
            session.execute(update(Application).where(Application.id == ids[0]).values(**changes))
            session.commit()
    (batch_id,) = office.plan()
    with office.sessions() as session:
        batches.release(session, batch_id, actor=office.staff.releaser, now=office.clock())
    return batch_id


def prepare(office: CardOffice, batch_id: int) -> int:
    with office.sessions() as session:
        return preparation.prepare(
            session, batch_id, profile=office.desk.bench.profile, issuer="УОС", now=office.clock()
        )


def states(office: CardOffice) -> list[CardState]:
    with office.sessions() as session:
        return list(session.scalars(select(Card.state).order_by(Card.id)))


def picture(width: int, height: int) -> bytes:
    content = BytesIO()
    Image.frombytes("RGB", (width, height), os.urandom(width * height * 3)).save(content, "JPEG", quality=95)
    return content.getvalue()


def test_a_large_photo_goes_to_the_chip_smaller_and_stays_as_it_was(office: CardOffice) -> None:
    photo = picture(900, 1200)
    batch_id = released(office, 1, photo=photo)
    assert len(photo) > 0x7FFF and prepare(office, batch_id) == 1
    group = next(one for one in office.desk.bench.profile.data_groups if one.number == 4)
    with office.sessions() as session:
        content = read_groupings(session.scalars(select(CardData.groups)).one())[4]
        assert session.scalars(select(Application.photo)).one() == photo
    small = read_data_group(group, content)["photo"]
    assert isinstance(small, bytes) and len(small) <= photos.LIMIT_BYTES
    with Image.open(BytesIO(small)) as shown:
        assert (shown.format, shown.size) == ("JPEG", (300, 400))


def test_one_record_that_does_not_fit_stops_neither_its_batch_nor_the_next(office: CardOffice, tools: Tools) -> None:
    first = released(office, 1, 2, 3, photo=b"\xff\xd8\xff" + bytes(40_000))
    second = released(office, 4)
    assert first != second
    said = worker.do("prepare", tools)
    assert said.startswith("prepared 3; 1 cards of batch B-000001 cannot be prepared (9643600000000019: photo is not")
    assert states(office) == [CardState.PLANNED] + [CardState.PREPARED] * 3
    with pytest.raises(UnfitCards) as unfit:
        prepare(office, first)
    assert list(unfit.value.cards) == ["9643600000000019"]


def test_two_workers_prepare_one_batch_each_card_once(office: CardOffice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparation, "PART", 3)
    with office.sessions() as session:
        add_resident(session, 1)
        session.commit()
    batch_id = released(office, *range(1, 21))
    with office.sessions() as session:
        session.execute(update(Resident).values(death_date=NOW.date()))
        session.commit()
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: prepare(office, batch_id), range(4)))
    assert sum(done) == 19 and states(office) == [CardState.ANNULLED] + [CardState.PREPARED] * 19
    with office.sessions() as session:
        told = session.scalars(select(AuditEntry.details).where(AuditEntry.action == "batch.prepare")).all()
        assert sum(details["cards"] for details in told) == 19
        assert session.scalar(select(func.count()).select_from(CardData)) == 19


def test_a_card_annulled_while_its_data_are_made_is_left_out(
    office: CardOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The move finds fewer cards than were read: all is looked at again, and nothing is signed or told twice."""
    batch_id, reads = released(office, 1, 2, 3), 0
    read = preparation._looked_up

    def slow(session: Session, part: preparation.Part) -> object:
        nonlocal reads
        found, reads = read(session, part), reads + 1
        if reads == 1:
            change = update(Card).where(Card.id == found[1][0][0]).values(state=CardState.ANNULLED)
            session.execute(change, execution_options={"synchronize_session": False})
            session.commit()  # as if by somebody else
        return found

    monkeypatch.setattr(preparation, "_looked_up", slow)
    assert prepare(office, batch_id) == 2 and reads == 2
    assert states(office) == [CardState.ANNULLED, CardState.PREPARED, CardState.PREPARED]
    with office.sessions() as session:
        assert session.scalar(select(func.count()).select_from(CardData)) == 2
        told = session.scalars(select(AuditEntry.details).where(AuditEntry.action == "batch.prepare")).all()
        assert [details["cards"] for details in told] == [2]


def test_preparing_touches_no_index_of_the_cards(office: CardOffice, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL writes the new version of each card beside the old one."""
    batch_id, moved = released(office, *range(1, 31)), []
    take = preparation._taken

    def counted(session: Session, *given: object, **named: object) -> int | None:
        done = take(session, *given, **named)  # type: ignore[arg-type]
        if session.get_bind().dialect.name == "postgresql":
            told = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_xact_user_tables WHERE relname = 'card'"
            moved.append(tuple(session.execute(text(told)).one()))
        return done

    monkeypatch.setattr(preparation, "_taken", counted)
    assert prepare(office, batch_id) == 30
    assert moved in ([], [(30, 30)])


KILLED = """
import sys
from datetime import UTC, datetime
from uec.services import preparation, rules
from uec.settings import Settings
from uec.store.engine import make_engine, session_factory
from pathlib import Path
url, profiles, batch_id = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
preparation.PART = 2
profile = rules.card_profile(Settings(profile_dir=profiles))
whole, made = preparation.write_data, 0
def slow(*given):
    global made
    made += 1
    whole(*given)
    if made == 3:
        print("in the middle", flush=True)
        sys.stdin.read()
preparation.write_data = slow
with session_factory(make_engine(url))() as session:
    preparation.prepare(session, batch_id, profile=profile, issuer="UOS", now=datetime(2026, 3, 2, 10, tzinfo=UTC))
"""


def test_a_worker_killed_in_the_middle_leaves_whole_parts(office: CardOffice, database_url: str) -> None:
    batch_id = released(office, *range(1, 11))
    command = [sys.executable, "-c", KILLED, database_url, str(SETTINGS.profile_dir), str(batch_id)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as victim:
        assert victim.stdout is not None and victim.stdout.readline() == "in the middle\n"
        os.kill(victim.pid, signal.SIGKILL)
    assert states(office).count(CardState.PREPARED) == 4
    deadline = time.monotonic() + 60
    while prepare(office, batch_id) == 0 and time.monotonic() < deadline:
        time.sleep(0.1)  # a server needs a moment to notice that the killed one's locks are nobody's
    assert states(office) == [CardState.PREPARED] * 10
    with office.sessions() as session:
        assert session.scalar(select(func.count()).select_from(CardData)) == 10
