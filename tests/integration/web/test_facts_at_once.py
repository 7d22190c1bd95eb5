"""Two who change what the planner is told at once, on both databases: whichever way they save, no change is lost."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from tests.browser.site import CHEAP, PASSWORD
from tests.integration.services.test_plan_office import CALENDAR, TODAY
from tests.integration.web.conftest import post
from tests.support.office import NOW, Office, open_office, seeded_random
from uec.cli import run
from uec.domain.actors import system_actor
from uec.domain.errors import StoreUnavailable
from uec.domain.permissions import Role
from uec.services import (
    plan_changes,
    plan_events,
    plan_facts,
    plan_scenarios,
    scenario_approval,
    scenario_facts,
    staff,
)
from uec.services.plan_scenarios import Trial
from uec.services.scenario_facts import Ground
from uec.settings import load_settings
from uec.store.engine import make_engine, session_factory
from uec.web.app import create_app

LINE = {"code": "L1", "machines": 1, "cards_per_hour": 10, "shift_hours": 1}
GROUND = Ground(CALENDAR, "uec", TODAY)
Between = Callable[[ModuleType], None]


@pytest.fixture
def desk(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
    """An office in whose folder pages and commands work, with a planner who may sign in and a line that is told of."""
    engine = make_engine(database_url)
    made = open_office(session_factory(engine), points=1)
    with session_factory(engine)() as session:
        staff.create(
            session, login="plan1", display_name="Павел Планов", password=PASSWORD, roles=(Role.PLANNER,),
            actor=system_actor("test"), now=NOW, random=seeded_random(), point_id=None, cost=CHEAP,
        )  # fmt: skip
        plan_facts.store(session, {"lines": [LINE]}, reason="one line", actor=made.planner, now=NOW)
        session.commit()
    engine.dispose()
    (tmp_path / "password").write_text(PASSWORD + "\n")
    (tmp_path / "uec.toml").write_text(
        f'profile_dir = "{Path(__file__).parents[3] / "config" / "profiles"}"\ndatabase_url = "{database_url}"\n'
        f'secret_key_file = "{tmp_path / "web.key"}"\nstate_dir = "{tmp_path}"\n'
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("UEC_SETTINGS", raising=False)
    return made


def by_page(_sessions: sessionmaker[Session], _office: Office, between: Between) -> None:
    app = create_app(load_settings("uec.toml"), clock=lambda: NOW)
    client = app.test_client()
    assert post(client, "/sign-in", login="plan1", password=PASSWORD).status_code == 302
    fields = {"kind": "windows", "factor": "2", "reason": "больше окон"}
    between(plan_events)
    assert post(client, "/office/plan/event/save", of="/office/plan/facts", **fields).status_code == 302
    app.extensions["uec"].sessions.kw["bind"].dispose()


def by_command(_sessions: sessionmaker[Session], _office: Office, between: Between) -> None:
    between(plan_events)
    saved = ["--save", "--reason", "more windows", "--login", "plan1", "--password-file", "password"]
    assert run(["plan", "event", "windows", "factor=2", *saved]) == 0


def by_approval(sessions: sessionmaker[Session], office: Office, between: Between) -> None:
    with sessions() as session:
        named: dict[str, Any] = {"actor": office.planner, "now": NOW}
        row = plan_scenarios.request(session, "окна", Trial({"windows": 2.0}), ground=GROUND, **named)
        row.outcome = {"kept": {}, "facts": scenario_facts.newest(session)[0]}
        scenario_approval.propose(session, row.id, **named)
        between(scenario_facts)
        scenario_approval.approve(session, row.id, ground=GROUND, actor=office.releaser, now=NOW)


def hasty(database_url: str, office: Office) -> bool:
    """Save another change, and wait for nobody; whether that went."""
    engine = make_engine(database_url, busy_timeout_s=0)
    try:
        with session_factory(engine)() as session:
            if engine.dialect.name == "postgresql":
                session.execute(text("SET lock_timeout = '1ms'"))
            table = plan_events.edited(plan_facts.table(session), "intake", {"factor": "3"}, points=[])
            plan_changes.save(session, table, reason="more people", actor=office.planner, now=NOW)
            return True
    except StoreUnavailable:
        return False
    finally:
        engine.dispose()


@pytest.mark.parametrize("way", [by_page, by_command, by_approval])
def test_what_another_one_saves_between_reading_and_saving_is_not_lost(
    desk: Office, database_url: str, monkeypatch: pytest.MonkeyPatch, way: Callable[..., None]
) -> None:
    went: list[bool] = []

    def between(module: ModuleType) -> None:
        """Have somebody else save when the table is read, and its new version is not there yet."""
        real = module.edited

        def beside(*given: Any, **named: Any) -> object:
            monkeypatch.setattr(module, "edited", real)
            went.append(hasty(database_url, desk))
            return real(*given, **named)

        monkeypatch.setattr(module, "edited", beside)

    engine = make_engine(database_url)
    way(session_factory(engine), desk, between)
    assert len(went) == 1
    if not went[0]:
        assert hasty(database_url, desk), "he waits for his turn"
    with session_factory(engine)() as session:
        table = plan_facts.table(session)
    engine.dispose()
    assert (table["windows"], table["intake"]) == ({"factor": 2.0}, {"factor": 3.0})
