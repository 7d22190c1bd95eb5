"""Who works at the demo: two issuance points and one member of staff for each role, with passwords anyone may know.

Made only where the settings say `demo = true`; each step is skipped when it was done before.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from uec.domain.actors import system_actor
from uec.domain.permissions import Role
from uec.services import points, staff
from uec.services.passwords import ScryptCost
from uec.services.views import PointView

BUILDER = system_actor("demo")
ADMIN_LOGIN = "admin"
PASSWORD = "karta-2026-demo"  # noqa: S105 - shown on the screen
# These passwords are printed on the screen: stretching them guards nothing, and ten of them would take seconds.
CHEAP = ScryptCost(n=2**12)


@dataclass(frozen=True)
class SignIn:
    """A login, the name shown, its roles, and what this person does at the demo (in both languages)."""

    login: str
    name: str
    roles: tuple[Role, ...]
    ru: str
    en: str


SIGN_INS = (
    SignIn("operator1", "Ольга Ветрова", (Role.OPERATOR,), "окно: принимает заявления", "window: takes applications"),
    SignIn("operator2", "Павел Зимин", (Role.OPERATOR,), "окно: выдаёт карты", "window: hands cards over"),
    SignIn("officer", "Ирина Дорофеева", (Role.OFFICER,), "решает по заявлениям", "decides on applications"),
    SignIn("planner", "Марат Юсупов", (Role.PLANNER,), "планирует партии", "plans batches"),
    SignIn("releaser", "Елена Крылова", (Role.RELEASER,), "утверждает партии", "releases batches"),
    SignIn("approver", "Тимур Асланов", (Role.RELEASER,), "утверждает списки массовой эмиссии", "approves cohorts"),
    SignIn("producer", "Сергей Лукин", (Role.PRODUCER,), "пишет карты на станции", "writes cards at a station"),
    SignIn("security", "Анна Громова", (Role.SECURITY,), "приостанавливает карты", "suspends cards, enters stations"),
    SignIn("storekeeper", "Кира Складнева", (Role.STOREKEEPER,), "ведёт учёт заготовок", "keeps the stock of blanks"),
    SignIn("quality", "Клара Точнова", (Role.QUALITY,), "следит за качеством", "looks after quality"),
    SignIn("auditor", "Виктор Седов", (Role.AUDITOR,), "читает журнал", "reads the audit"),
)

POINTS = (
    (
        PointView(
            0,
            code="T-001",
            name_ru="МФЦ на улице Республики",
            name_en="One-stop shop, Respubliki Street",
            address="г. Тюмень, ул. Республики, 83",
            windows=4,
            daily_capacity=200,
        ),
        "71701000",
    ),
    (
        PointView(
            0,
            code="T-002",
            name_ru="МФЦ в Тобольске",
            name_en="One-stop shop, Tobolsk",
            address="г. Тобольск, 7-й микрорайон, 46",
            windows=2,
            daily_capacity=60,
        ),
        "71710000",
    ),
)


def seed(session: Session, *, now: datetime, random: Callable[[int], bytes]) -> None:
    """Add points and staff that are not there yet."""
    if not points.list_points(session):
        for point, oktmo in POINTS:
            points.add(session, point=point, oktmo=oktmo, actor=BUILDER, now=now)
    present = {person.login for person in staff.list_staff(session)}
    for person in SIGN_INS:
        if person.login not in present:
            _add(session, person, now, random)


def _add(session: Session, person: SignIn, now: datetime, random: Callable[[int], bytes]) -> None:
    staff.create(
        session,
        login=person.login,
        display_name=person.name,
        password=PASSWORD,
        roles=person.roles,
        point_id=points.list_points(session)[0].id if Role.OPERATOR in person.roles else None,
        actor=BUILDER,
        now=now,
        random=random,
        cost=CHEAP,
    )
