"""A small office for tests: points, staff with one role each, applicants with valid numbers, a fixed moment."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session, sessionmaker

from issuance.planning.calendar import WorkingCalendar
from uec.domain.actors import Actor
from uec.domain.numbers import luhn_check, snils_check
from uec.domain.permissions import Role, permissions_of
from uec.domain.policy import Policy
from uec.services import notices
from uec.services.batch_rules import BatchRules
from uec.services.forms import ApplicationForm
from uec.store.tables import IssuancePoint, Municipality, RegisterImport, Resident, Staff, StaffRole

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)  # a Monday
POLICY = Policy()
RULES = BatchRules(
    calendar=WorkingCalendar(),
    policy=POLICY,
    profile="uec",
    transport="in-process",
    number_prefix="964360",
)
SURNAMES = ("Иванов", "Петров", "Сидоров", "Щукин", "Королёв", "Юрьев")
NAMES = ("Иван", "Пётр", "Сергей", "Юрий", "Анатолий", "Хасан")


def seeded_random(seed: int = 1) -> Callable[[int], bytes]:
    """Random bytes that are the same in every run."""
    return random.Random(seed).randbytes


@dataclass(frozen=True)
class Office:
    """What `open_office` made: the points' ids and one actor for each role."""

    points: tuple[int, ...]
    operator: Actor
    second_operator: Actor
    officer: Actor
    planner: Actor
    releaser: Actor
    producer: Actor
    security: Actor
    auditor: Actor


def open_office(sessions: sessionmaker[Session], *, points: int = 2, daily_capacity: int = 50) -> Office:
    """Insert points and staff into an empty database."""
    with sessions() as session:
        session.add(Municipality(oktmo="71701000", name_ru="Город", name_en="Town"))
        session.add(Municipality(oktmo="71601000", name_ru="Село", name_en="Village"))
        session.flush()
        made = [_point(number, daily_capacity) for number in range(1, points + 1)]
        session.add_all(made)
        session.flush()
        roles = (
            Role.OPERATOR,
            Role.OPERATOR,
            Role.OFFICER,
            Role.PLANNER,
            Role.RELEASER,
            Role.PRODUCER,
            Role.SECURITY,
            Role.AUDITOR,
        )
        actors = [add_staff(session, f"staff{number}", role) for number, role in enumerate(roles)]
        session.commit()
        return Office(tuple(point.id for point in made), *actors)


def publish_notice(session: Session, office: "Office", *, policy: Policy = POLICY, now: datetime = NOW) -> None:
    """Publish a notice of mass emission whose time to refuse and to choose a bank is over."""
    made = notices.propose(
        session,
        text="Каждый житель получит карту.",
        places=["Газета области"],
        banks=["Банк региона", "Другой банк"],
        published_on=policy.day(now) - timedelta(days=100),
        actor=office.planner,
        policy=policy,
        now=now,
    )
    notices.confirm(session, made.id, actor=office.releaser, now=now)


def add_staff(session: Session, login: str, *roles: Role) -> Actor:
    """Insert a member of staff and return the actor; the caller commits."""
    staff = Staff(login=login, display_name=login.title(), password_hash="-", active=True, failed_sign_ins=0)
    staff.roles = [StaffRole(role=role) for role in roles]
    session.add(staff)
    session.flush()
    return Actor("staff", staff.id, staff.display_name, permissions_of(roles))


def snils_of(number: int) -> str:
    """A valid SNILS for a small number."""
    base = f"{number + 200_000_000:09}"
    return base + snils_check(base)


def oms_of(number: int) -> str:
    """A valid OMS number for a small number."""
    base = f"{number + 10**14:015}"
    return base + luhn_check(base)


def person(number: int) -> dict[str, Any]:
    """Personal data of person `number`, as the register and the form both hold them."""
    return {
        "surname": SURNAMES[number % len(SURNAMES)],
        "name": NAMES[number // len(SURNAMES) % len(NAMES)],
        "patronymic": "Иванович",
        "birth_date": date(1980, 1, 1 + number % 28),
        "birth_place": "г. Тюмень",
        "sex": "M",
        "snils": snils_of(number),
        "oms": oms_of(number),
        "doc_type": "passport",
        "doc_series": "7110",
        "doc_number": f"{number:06}",
        "doc_date": date(2010, 5, 5),
        "doc_issuer": "УФМС России",
        "address": f"г. Тюмень, ул. Республики, д. {number}",
        "phone": "+79123456789",
        "email": "",
    }


def form(number: int, *, point_id: int, **changes: Any) -> ApplicationForm:
    """A valid form of person `number`."""
    return ApplicationForm(**{**person(number), "point_id": point_id, **changes})


def add_resident(session: Session, number: int, **changes: Any) -> Resident:
    """Insert person `number` into the register; the caller commits."""
    run = RegisterImport(file_digest="0" * 64, file_name="test.csv", started_at=NOW)
    session.add(run)
    session.flush()
    row = {
        **person(number),
        "oktmo": "71701000",
        "row_digest": bytes(32),
        "updated_at": NOW,
        "import_id": run.id,
    } | changes
    resident = Resident(register_id=f"R{number:08}", **{name: value or None for name, value in row.items()})
    session.add(resident)
    session.flush()
    return resident


def _point(number: int, daily_capacity: int) -> IssuancePoint:
    return IssuancePoint(
        code=f"P{number}",
        name_ru=f"МФЦ {number}",
        name_en=f"Centre {number}",
        address=f"ул. Ленина, {number}",
        oktmo="71701000" if number == 1 else "71601000",
        windows=2,
        daily_capacity=daily_capacity,
    )
