"""Municipalities, issuance points, and the staff who work there."""

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from uec.domain.permissions import Role
from uec.store.columns import Coded, Table, one_of


class Municipality(Table):
    """A municipal body of the region."""

    __tablename__ = "municipality"

    oktmo: Mapped[str] = mapped_column(String(11), primary_key=True, comment="8 or 11 digits of the OKTMO classifier")
    name_ru: Mapped[str] = mapped_column(String(200), comment="name in Russian")
    name_en: Mapped[str] = mapped_column(String(200), comment="name in English")


class IssuancePoint(Table):
    """A place with windows where requests are taken and cards handed over."""

    __tablename__ = "issuance_point"

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(String(20), unique=True, comment="short code staff use")
    name_ru: Mapped[str] = mapped_column(String(200), comment="name in Russian")
    name_en: Mapped[str] = mapped_column(String(200), comment="name in English")
    address: Mapped[str] = mapped_column(String(400), comment="address for visitors")
    oktmo: Mapped[str] = mapped_column(ForeignKey("municipality.oktmo"), index=True, comment="municipality it serves")
    windows: Mapped[int] = mapped_column(comment="windows open on a working day")
    daily_capacity: Mapped[int] = mapped_column(comment="cards it can hand over a working day")


class Staff(Table):
    """A member of staff who may sign in."""

    __tablename__ = "staff"

    id: Mapped[int] = mapped_column(primary_key=True)
    login: Mapped[str] = mapped_column(String(60), unique=True, comment="lower case")
    display_name: Mapped[str] = mapped_column(String(120), comment="name shown on pages and in reports")
    password_hash: Mapped[str] = mapped_column(String(300), comment="scrypt, with its parameters and salt")
    point_id: Mapped[int | None] = mapped_column(ForeignKey("issuance_point.id"), index=True, comment="place of work")
    active: Mapped[bool] = mapped_column(default=True, comment="may sign in")
    failed_sign_ins: Mapped[int] = mapped_column(default=0, comment="in a row, since the last good one")
    locked_until: Mapped[datetime | None] = mapped_column(comment="no sign-in before this moment")

    roles: Mapped[list["StaffRole"]] = relationship(cascade="all, delete-orphan", lazy="selectin")


class StaffRole(Table):
    """One role of a member of staff."""

    __tablename__ = "staff_role"
    __table_args__ = (one_of("role", Role),)

    staff_id: Mapped[int] = mapped_column(ForeignKey("staff.id"), primary_key=True)
    role: Mapped[Role] = mapped_column(Coded(Role), primary_key=True)
