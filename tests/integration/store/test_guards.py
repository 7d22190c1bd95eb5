"""The database itself refuses what the lifecycle tables do not know, whoever writes to it."""

from collections import deque

import pytest
from sqlalchemy import Connection, Engine, delete, text, update
from sqlalchemy.exc import DBAPIError

from tests.support.rows import NOW, make_row, read
from uec.domain.errors import IllegalMove
from uec.domain.lifecycle import INITIAL, MACHINES, allowed_moves
from uec.store.guards import APPEND_ONLY
from uec.store.migrate import downgrade, upgrade
from uec.store.stock_guards import OUTSIDE_ID
from uec.store.tables import metadata


def paths(machine: str) -> dict[str, list[str]]:
    """Return for each reachable state the states to pass from a first one to it."""
    found = {state: [state] for state in sorted(INITIAL[machine])}
    queue = deque(found)
    while queue:
        state = queue.popleft()
        for source, target in allowed_moves(machine):
            if source == state and target not in found:
                found[target] = [*found[state], target]
                queue.append(target)
    return found


def born(connection: Connection, machine: str, state: str) -> int:
    """Make a row that begins in a state."""
    mass = {"route": "MASS", "cohort_id": make_row(connection, "cohort")} if machine == "application" else {}
    key: int = make_row(connection, machine, state=state, **mass)
    return key


def move(connection: Connection, machine: str, key: int, state: str) -> None:
    table = metadata.tables[machine]
    (primary,) = table.primary_key.columns
    connection.execute(update(table).where(primary == key).values(state=state))


def all_states(machine: str) -> list[str]:
    return [str(state) for state in metadata.tables[machine].c.state.type.kind]  # type: ignore[attr-defined]


@pytest.mark.parametrize("machine", sorted(MACHINES))
def test_every_state_is_reachable(machine: str) -> None:
    assert set(paths(machine)) == set(all_states(machine))


@pytest.mark.parametrize("machine", sorted(MACHINES))
def test_moves_in_the_database_are_those_of_the_table(engine: Engine, machine: str) -> None:
    legal = set(allowed_moves(machine))
    with engine.connect() as connection:
        for path in paths(machine).values():
            outer = connection.begin_nested() if connection.in_transaction() else connection.begin()
            key = born(connection, machine, path[0])
            for state in path[1:]:
                move(connection, machine, key, state)
            for target in all_states(machine):
                attempt = connection.begin_nested()
                if target == path[-1] or (path[-1], target) in legal:
                    move(connection, machine, key, target)
                    assert read(connection, machine, key, "state") == target
                else:
                    with pytest.raises(IllegalMove, match="refused"):
                        move(connection, machine, key, target)
                attempt.rollback()
            outer.rollback()


def test_what_is_computed_from_a_cards_state(engine: Engine) -> None:
    """The indexes over cards go by these, and by no state: a card that is prepared changes none of them."""
    with engine.connect() as connection:
        for state, path in paths("card").items():
            outer = connection.begin()
            key = born(connection, "card", path[0])
            for step in path[1:]:
                move(connection, "card", key, step)
            stage = "UNWRITTEN" if state in {"PLANNED", "PREPARED"} else state
            assert read(connection, "card", key, "stage") == stage
            assert read(connection, "card", key, "is_live") == (state not in {"SPOILED", "DESTROYED"})
            assert read(connection, "card", key, "is_current") == (
                state in {"PLANNED", "PREPARED", "WRITING", "PERSONALISED", "ACTIVE", "SUSPENDED"}
            )
            outer.rollback()


@pytest.mark.parametrize("machine", sorted(MACHINES))
def test_rows_are_born_in_a_first_state_only(engine: Engine, machine: str) -> None:
    with engine.connect() as connection:
        for state in all_states(machine):
            attempt = connection.begin()
            if state in INITIAL[machine]:
                assert born(connection, machine, state) > 0
            else:
                with pytest.raises(IllegalMove):
                    born(connection, machine, state)
            attempt.rollback()


def test_only_members_of_a_cohort_are_approved_from_birth(engine: Engine) -> None:
    with engine.connect() as connection:
        for values in ({"route": "WEB"}, {"route": "WINDOW"}, {"route": "MASS"}):
            attempt = connection.begin()
            with pytest.raises(IllegalMove):
                make_row(connection, "application", state="APPROVED", **values)
            attempt.rollback()
        with connection.begin():
            assert born(connection, "application", "APPROVED") > 0


@pytest.mark.parametrize("table", APPEND_ONLY)
def test_append_only_tables_take_no_edit(engine: Engine, table: str) -> None:
    target = metadata.tables[table]
    column = next(item for item in target.columns if item.name in {"at", "reason"})
    with engine.begin() as connection:
        if table == "audit_entry":
            make_row(connection, table, chain=3)
        elif table == "stop_list_entry":
            make_row(connection, table, action="ADD")
        elif table == "stock_movement":
            store = make_row(connection, "stock_account", kind="STORE")
            make_row(connection, table, first=7, last=9, blanks=3, giver_id=OUTSIDE_ID, taker_id=store)
        else:
            make_row(connection, table)
    attempts = [update(target).values({column.name: "x" if column.name == "reason" else NOW}), delete(target)]
    for statement in attempts:
        with engine.connect() as connection, pytest.raises(DBAPIError, match=f"append-only table {table}"):
            connection.execute(statement)
    if engine.dialect.name == "postgresql":
        with engine.connect() as connection, pytest.raises(DBAPIError, match="append-only table"):
            connection.execute(text(f"TRUNCATE {table} CASCADE"))


def test_an_audit_chain_never_goes_back(engine: Engine) -> None:
    chain = metadata.tables["audit_chain"]
    with engine.begin() as connection:
        connection.execute(update(chain).where(chain.c.chain == 2).values(seq=5))
    with engine.connect() as connection, pytest.raises(DBAPIError, match="append-only"):
        connection.execute(update(chain).where(chain.c.chain == 2).values(seq=4))


def test_one_application_has_one_card_at_a_time(engine: Engine) -> None:
    with engine.begin() as connection:
        application = make_row(connection, "application")
        first = make_row(connection, "card", application_id=application)
    with engine.connect() as connection, pytest.raises(DBAPIError, match=r"(?i)unique"):
        make_row(connection, "card", application_id=application)
    with engine.begin() as connection:
        move(connection, "card", first, "PREPARED")
        move(connection, "card", first, "SPOILED")
        assert make_row(connection, "card", application_id=application) > first


def test_one_chip_carries_one_live_card(engine: Engine) -> None:
    with engine.begin() as connection:
        first = make_row(connection, "card", chip_id="47905168")
    with engine.connect() as connection, pytest.raises(DBAPIError, match=r"(?i)unique"):
        make_row(connection, "card", chip_id="47905168")
    with engine.begin() as connection:
        move(connection, "card", first, "PREPARED")
        move(connection, "card", first, "SPOILED")
        assert make_row(connection, "card", chip_id="47905168") > first


def test_one_key_never_serves_two_cards(engine: Engine) -> None:
    with engine.begin() as connection:
        make_row(connection, "certificate", public_key_digest="ab" * 32, profile="authentication")
    with engine.connect() as connection, pytest.raises(DBAPIError, match=r"(?i)unique"):
        make_row(connection, "certificate", public_key_digest="ab" * 32, profile="authentication")


def test_a_move_is_looked_at_when_it_is_done(engine: Engine, database_url: str) -> None:
    """Before it PostgreSQL would lock every row once more; a database of before revision 0027 still did."""
    if engine.dialect.name != "postgresql":
        return
    before = text(
        "SELECT tgname FROM pg_trigger WHERE tgname LIKE 'guard%move' AND tgname <> 'guard_audit_chain_move'"
        " AND tgtype & 2 = 2"
    )
    with engine.begin() as connection:
        assert connection.scalars(before).all() == []
        connection.execute(text("DROP TRIGGER guard_card_move ON card"))
        connection.execute(
            text("CREATE TRIGGER guard_card_move BEFORE UPDATE ON card FOR EACH ROW EXECUTE FUNCTION guard_move()")
        )
        assert connection.scalars(before).all() == ["guard_card_move"]
    downgrade(database_url, "0026")
    upgrade(database_url)
    with engine.connect() as connection:
        assert connection.scalars(before).all() == []
