"""The migrations make the tables of the models, on both databases, and can be taken back."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, inspect, text

from uec.domain.errors import StoreUnavailable
from uec.store.engine import make_engine
from uec.store.guards import GUARDED, create_guards
from uec.store.migrate import downgrade, require_current, upgrade
from uec.store.stock_guards import create_stock_guards
from uec.store.tables import metadata


def triggers(connection: Connection) -> set[str]:
    """Return the names of our triggers in the database."""
    if connection.dialect.name == "sqlite":
        rows = connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'"))
    else:
        rows = connection.execute(
            text(
                "SELECT tgname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid "
                "WHERE NOT tgisinternal AND relnamespace = 'public'::regnamespace"
            )
        )
    return {name for (name,) in rows if name.startswith("guard_")}


# What a computed column is computed by cannot be compared: PostgreSQL gives it back in words of its own.
@pytest.mark.filterwarnings("ignore:Computed default on card")
def test_migrated_tables_equal_the_models(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def test_checks_and_foreign_keys_are_there(engine: Engine) -> None:
    found = inspect(engine)
    for table in metadata.tables.values():
        wanted = {str(check.name) for check in table.constraints if str(check.name).startswith("ck_")}
        assert {check["name"] for check in found.get_check_constraints(table.name)} == wanted
        keys = {(key["constrained_columns"][0], key["referred_table"]) for key in found.get_foreign_keys(table.name)}
        assert keys == {(key.parent.name, key.column.table.name) for key in table.foreign_keys}


def test_every_guard_is_created(engine: Engine) -> None:
    with engine.connect() as connection:
        statements = create_guards(engine.dialect.name, GUARDED) + create_stock_guards(engine.dialect.name)
        wanted = {statement.split()[2] for statement in statements if "CREATE TRIGGER" in statement}
        assert triggers(connection) == wanted


def test_upgrade_twice_changes_nothing_and_downgrade_leaves_nothing(empty_database_url: str) -> None:
    upgrade(empty_database_url)
    upgrade(empty_database_url)
    require_current(empty_database_url)
    downgrade(empty_database_url)
    engine = make_engine(empty_database_url)
    assert inspect(engine).get_table_names() == ["alembic_version"]
    with engine.connect() as connection:
        assert triggers(connection) == set()
    engine.dispose()
    upgrade(empty_database_url)
    require_current(empty_database_url)


def test_a_database_without_tables_is_told_apart(empty_database_url: str) -> None:
    with pytest.raises(StoreUnavailable, match="run `uec init`"):
        require_current(empty_database_url)


def test_a_database_of_a_newer_program_is_refused(engine: Engine, database_url: str) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreUnavailable, match="newer version"):
        upgrade(database_url)
    with pytest.raises(StoreUnavailable, match="does not know: go on with the newer one") as caught:
        require_current(database_url)
    assert "uec init" not in str(caught.value), "that would not help"
