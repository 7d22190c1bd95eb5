"""Runs the migrations over the connection that `uec.store.migrate` hands in, in one transaction."""

from typing import Any, Literal

from alembic import context

from uec.store.columns import Coded, UtcDateTime
from uec.store.tables import metadata


def render_item(kind: str, item: Any, _autogen: Any) -> str | Literal[False]:
    """Write our own column types as plain ones, so that an old migration never depends on today's classes."""
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    if kind == "type" and isinstance(item, Coded):
        return "sa.String(length=20)"
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
    compare_type=True,
    render_item=render_item,
)
with context.begin_transaction():
    context.run_migrations()
