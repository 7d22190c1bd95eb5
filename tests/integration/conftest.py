"""Databases for all integration tests: see `tests.support.databases`."""

from tests.support.databases import (
    database_url,
    empty_database_url,
    engine,
    postgres_url,
    session,
    sessions,
    sqlite_template,
    sqlite_url,
)
from tests.support.postgres import postgres_server

__all__ = [
    "database_url",
    "empty_database_url",
    "engine",
    "postgres_server",
    "postgres_url",
    "session",
    "sessions",
    "sqlite_template",
    "sqlite_url",
]
