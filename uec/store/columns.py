"""Hides how values lie in columns: aware UTC times, enums by value with a CHECK, JSON; and the names of constraints."""

from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any, ClassVar, TypeVar

from sqlalchemy import (
    ARRAY,
    JSON,
    CheckConstraint,
    Date,
    DateTime,
    Dialect,
    Integer,
    LargeBinary,
    MetaData,
    String,
    TypeDecorator,
)
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeEngine

E = TypeVar("E", bound=StrEnum)

# Constraints need fixed names so that the migrations can name them on both databases.
NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

# An array of ids; `uec.store.arrays` looks into it.
IDS: TypeEngine[Any] = ARRAY(Integer).with_variant(JSON(), "sqlite")


class UtcDateTime(TypeDecorator[datetime]):
    """An aware moment in UTC; a naive datetime is refused, so that a local time can never slip in."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn any aware moment into UTC before it is stored."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment without a time zone cannot be stored; pass an aware datetime")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give back an aware moment in UTC (SQLite stores no zone)."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Coded(TypeDecorator[E]):
    """A string enum stored by its value; a value the code does not know is an error, never a guess."""

    impl = String(20)
    cache_ok = True

    def __init__(self, kind: type[E]) -> None:
        """Take the enum the column holds."""
        super().__init__()
        self.kind = kind
        self._members = {str(one.value): one for one in kind}

    def process_bind_param(self, value: E | str | None, dialect: Dialect) -> str | None:
        """Store the value of the enum."""
        return None if value is None else self.kind(value).value

    def process_result_value(self, value: str | None, dialect: Dialect) -> E | None:
        """Give back the enum."""
        # Looked up first: to make an enum of a text takes ten times as long, and a list has millions.
        return None if value is None else self._members.get(value) or self.kind(value)


class Table(DeclarativeBase):
    """Root of all rows."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: UtcDateTime(),
        date: Date(),
        bytes: LargeBinary(),
        dict[str, Any]: JSON(),
        list[Any]: JSON(),
    }


def one_of(column: str, kind: type[StrEnum]) -> CheckConstraint:
    """Return the CHECK that a column holds a value of the enum."""
    values = ", ".join(f"'{item.value}'" for item in kind)
    return CheckConstraint(f"{column} IN ({values})", name=column)
