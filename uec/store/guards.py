"""Hides how the database itself refuses illegal moves and edits of what is append-only, on SQLite and on PostgreSQL.

The triggers are generated from `uec.domain.lifecycle`; a migration that changes a machine drops and creates them again,
and one that adds tables names them.
"""

from collections.abc import Collection, Iterator

from uec.domain.lifecycle import INITIAL, MACHINES, allowed_moves

# Rows of these tables are written once and never touched again.
APPEND_ONLY = ("audit_entry", "audit_head", "journal_entry", "stop_list_entry", "stock_movement")

# What the first migration guards; later ones name their own tables.
FIRST = (
    "application",
    "card",
    "batch",
    "card_operation",
    "cohort",
    "certificate",
    "audit_entry",
    "audit_head",
    "journal_entry",
    "stop_list_entry",
    "audit_chain",
)
GUARDED = (*MACHINES, *APPEND_ONLY, "audit_chain")

# What must also hold for a new row: only a member of a cohort is approved from birth, everybody else by an officer.
BIRTH = {
    "application": "NEW.state = 'SUBMITTED' OR (NEW.route = 'MASS' AND NEW.cohort_id IS NOT NULL)",
}

ILLEGAL_MOVE = "illegal move of"
ILLEGAL_BIRTH = "illegal first state of"
ILLEGAL_EDIT = "append-only table"


def create_guards(dialect: str, tables: Collection[str] = FIRST) -> list[str]:
    """Return the statements that guard the tables; `dialect` is `sqlite` or `postgresql`."""
    return list(_sqlite(tables) if dialect == "sqlite" else _postgresql(tables))


def drop_guards(dialect: str, tables: Collection[str] = FIRST) -> list[str]:
    """Return the statements that drop what `create_guards` created; functions go with the first tables."""
    machines, append_only = _machines(tables), _append_only(tables)
    triggers = [(f"guard_{table}_{part}", table) for table in machines for part in ("birth", "move")]
    triggers += [(f"guard_{table}_{part}", table) for table in append_only for part in ("update", "delete")]
    if "audit_chain" in tables:
        triggers.append(("guard_audit_chain_move", "audit_chain"))
    if dialect == "sqlite":
        return [f"DROP TRIGGER IF EXISTS {name}" for name, _ in triggers]
    triggers += [(f"guard_{table}_truncate", table) for table in append_only]
    functions = [f"DROP FUNCTION IF EXISTS guard_{name}()" for name in ("move", "birth", "edit")]
    dropped = [f"DROP TRIGGER IF EXISTS {name} ON {table}" for name, table in triggers]
    return dropped + (functions if "audit_chain" in tables else [])


def _machines(tables: Collection[str]) -> list[str]:
    return [table for table in MACHINES if table in tables]


def _append_only(tables: Collection[str]) -> list[str]:
    return [table for table in APPEND_ONLY if table in tables]


def _listed(values: list[str]) -> str:
    return ", ".join(f"'{value}'" for value in values)


def _moves(table: str) -> str:
    return _listed([f"{state}>{target}" for state, target in allowed_moves(table)])


def _stillborn(table: str) -> str:
    first = f"NEW.state NOT IN ({_listed(sorted(INITIAL[table]))})"
    return f"{first} OR NOT ({BIRTH[table]})" if table in BIRTH else first


def _sqlite(tables: Collection[str]) -> Iterator[str]:
    for table in _machines(tables):
        refuse_move = f"SELECT RAISE(ABORT, '{ILLEGAL_MOVE} {table}');"
        yield (
            f"CREATE TRIGGER guard_{table}_move BEFORE UPDATE OF state ON {table} FOR EACH ROW "
            f"WHEN NEW.state <> OLD.state AND (OLD.state || '>' || NEW.state) NOT IN ({_moves(table)}) "
            f"BEGIN {refuse_move} END"
        )
        yield (
            f"CREATE TRIGGER guard_{table}_birth BEFORE INSERT ON {table} FOR EACH ROW "
            f"WHEN {_stillborn(table)} "
            f"BEGIN SELECT RAISE(ABORT, '{ILLEGAL_BIRTH} {table}'); END"
        )
    for table in _append_only(tables):
        for verb in ("update", "delete"):
            yield (
                f"CREATE TRIGGER guard_{table}_{verb} BEFORE {verb.upper()} ON {table} FOR EACH ROW "
                f"BEGIN SELECT RAISE(ABORT, '{ILLEGAL_EDIT} {table}'); END"
            )
    if "audit_chain" not in tables:
        return
    yield (
        "CREATE TRIGGER guard_audit_chain_move BEFORE UPDATE ON audit_chain FOR EACH ROW "
        "WHEN NEW.seq < OLD.seq OR NEW.chain <> OLD.chain "
        f"BEGIN SELECT RAISE(ABORT, '{ILLEGAL_EDIT} audit_chain'); END"
    )


def _postgresql(tables: Collection[str]) -> Iterator[str]:
    yield _function("move", f"'{ILLEGAL_MOVE} % from % to %', TG_TABLE_NAME, OLD.state, NEW.state")
    yield _function("birth", f"'{ILLEGAL_BIRTH} %: %', TG_TABLE_NAME, NEW.state")
    yield _function("edit", f"'{ILLEGAL_EDIT} %', TG_TABLE_NAME")
    for table in _machines(tables):
        # AFTER, not BEFORE: for that the server would lock each row once more, and log it, ere it writes the new one.
        yield (
            f"CREATE TRIGGER guard_{table}_move AFTER UPDATE OF state ON {table} FOR EACH ROW "
            f"WHEN (NEW.state <> OLD.state AND (OLD.state || '>' || NEW.state) NOT IN ({_moves(table)})) "
            "EXECUTE FUNCTION guard_move()"
        )
        yield (
            f"CREATE TRIGGER guard_{table}_birth BEFORE INSERT ON {table} FOR EACH ROW "
            f"WHEN ({_stillborn(table)}) EXECUTE FUNCTION guard_birth()"
        )
    for table in _append_only(tables):
        for verb in ("update", "delete"):
            yield (
                f"CREATE TRIGGER guard_{table}_{verb} BEFORE {verb.upper()} ON {table} FOR EACH ROW "
                "EXECUTE FUNCTION guard_edit()"
            )
        yield (
            f"CREATE TRIGGER guard_{table}_truncate BEFORE TRUNCATE ON {table} FOR EACH STATEMENT "
            "EXECUTE FUNCTION guard_edit()"
        )
    if "audit_chain" not in tables:
        return
    yield (
        "CREATE TRIGGER guard_audit_chain_move BEFORE UPDATE ON audit_chain FOR EACH ROW "
        "WHEN (NEW.seq < OLD.seq OR NEW.chain <> OLD.chain) EXECUTE FUNCTION guard_edit()"
    )


def _function(name: str, message: str) -> str:
    return (
        f"CREATE OR REPLACE FUNCTION guard_{name}() RETURNS trigger LANGUAGE plpgsql AS $$ "
        f"BEGIN RAISE EXCEPTION {message} USING ERRCODE = 'check_violation'; END $$"
    )
