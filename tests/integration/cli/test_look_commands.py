"""`uec cards looks` and `look`: quality at a line by command."""

import secrets

import pytest
from sqlalchemy import select

from tests.integration.cli.test_card_life_commands import PASSWORD, office
from tests.support.desk import CardOffice
from tests.support.office import add_staff
from uec.cli import run
from uec.domain.lifecycle import CardState
from uec.domain.permissions import Role
from uec.domain.sampling import SamplingPlan
from uec.domain.stock import StoreKind
from uec.services import card_looks
from uec.services.passwords import ScryptCost, hash_password
from uec.store.tables import CardOperation, OperationPlace, Staff, Station, StockStore

__all__ = ["office"]

LOGIN = "looker"


def drawn(office: CardOffice) -> int:
    """Two cards of a line, both drawn, and somebody of quality who can sign in; the batch."""
    made = office.make_cards(1, 2)
    with office.sessions() as session:
        add_staff(session, LOGIN, Role.QUALITY)
        hashed = hash_password(PASSWORD, random=secrets.token_bytes, cost=ScryptCost(n=2**12))
        session.scalars(select(Staff).where(Staff.login == LOGIN)).one().password_hash = hashed
        session.add(Station(id=1, name="Линия", readers=[]))
        session.flush()
        session.add(StockStore(code="L", name="Склад линии", kind=StoreKind.LINE, station_id=1, enforced=False))
        for operation in session.scalars(select(CardOperation.id)):
            session.merge(OperationPlace(operation_id=operation, station_id=1, reader="левый"))
        card_looks.draw_due(session, plan=SamplingPlan(), now=office.clock(), random=office.desk.bench.random)
        session.commit()
    return office.card(made[0]).batch_id


def test_quality_lists_what_waits_and_records_what_it_saw(
    office: CardOffice, capsys: pytest.CaptureFixture[str]
) -> None:
    batch, first, second = drawn(office), office.card(1), office.card(2)
    assert run(["cards", "looks", "--login", LOGIN]) == 0
    assert "B-000001" in capsys.readouterr().out
    look = ["--batch", str(batch), "--login", LOGIN]
    assert run(["cards", "look", first.number, *look]) == 0
    assert "1 cards are left" in capsys.readouterr().err
    assert run(["cards", "look", first.number, *look]) == 1
    assert "not among those to be looked at" in capsys.readouterr().err
    assert run(["cards", "look", "12", *look]) == 2
    assert run(["cards", "look", second.number, *look, "--defect", "dirt"]) == 2
    assert run(["cards", "look", second.number, *look, "--defect", "surface", "--note", "царапина"]) == 0
    assert office.card(2).state is CardState.SPOILED
    assert run(["cards", "looks", "--login", LOGIN]) == 0
    assert "B-000001" not in capsys.readouterr().out
