"""Dated changes of the policy, the public notices of mass emission, and the banks that residents choose."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String, Text
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from uec.domain.phases import ChangeState
from uec.store.columns import Coded, Table, one_of


class PolicyChange(Table):
    """Rules that hold from a day on; the history of the policy is the list of the confirmed ones."""

    __tablename__ = "policy_change"
    __table_args__ = (one_of("state", ChangeState),)

    id: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[ChangeState] = mapped_column(Coded(ChangeState), index=True, default=ChangeState.PROPOSED)
    valid_from: Mapped[date] = mapped_column(comment="first day")
    rules: Mapped[dict[str, Any]] = mapped_column(comment="names of the policy and their new values")
    act: Mapped[str] = mapped_column(Text, comment="the act or order behind it")
    effects: Mapped[dict[str, Any]] = mapped_column(comment="what it moves, as shown to who confirms")
    proposed_by: Mapped[int | None] = mapped_column(ForeignKey("staff.id"), index=True, comment="who proposed it")
    proposed_at: Mapped[datetime] = mapped_column(comment="when")
    decided_by: Mapped[int | None] = mapped_column(ForeignKey("staff.id"), index=True, comment="another person")
    decided_at: Mapped[datetime | None] = mapped_column(comment="when it was confirmed or withdrawn")


class PublicNotice(Table):
    """The notice that opens the time to refuse and to choose a bank."""

    __tablename__ = "public_notice"
    __table_args__ = (one_of("state", ChangeState),)

    id: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[ChangeState] = mapped_column(Coded(ChangeState), index=True, default=ChangeState.PROPOSED)
    text: Mapped[str] = mapped_column(Text, comment="terms, order of delivery, rights")
    text_en: Mapped[str] = mapped_column(
        Text, default="", server_default=sql("''"), comment="the same in English, if any"
    )
    places: Mapped[list[Any]] = mapped_column(comment="where it is published")
    banks: Mapped[list[Any]] = mapped_column(comment="banks to choose from; the first is that of the tender")
    published_on: Mapped[date] = mapped_column(comment="day of publication")
    refusal_until: Mapped[date] = mapped_column(comment="last day to refuse")
    bank_until: Mapped[date] = mapped_column(comment="last day to choose a bank")
    proposed_by: Mapped[int | None] = mapped_column(ForeignKey("staff.id"), index=True, comment="who proposed it")
    proposed_at: Mapped[datetime] = mapped_column(comment="when")
    decided_by: Mapped[int | None] = mapped_column(ForeignKey("staff.id"), index=True, comment="another person")
    decided_at: Mapped[datetime | None] = mapped_column(comment="when it was confirmed or withdrawn")
    closing: Mapped[dict[str, Any] | None] = mapped_column(
        JSON(none_as_null=True), comment="counts of refusals and choices when its windows had closed"
    )


class BankChoice(Table):
    """A resident's choice of bank in the time for it; the last one counts."""

    __tablename__ = "bank_choice"
    __table_args__ = (Index("ix_bank_choice_snils_id", "snils", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(String(30), unique=True, comment="number of the confirmation")
    snils: Mapped[str] = mapped_column(String(11), comment="11 digits")
    bank: Mapped[str] = mapped_column(String(120), comment="one of the notice")
    channel: Mapped[str] = mapped_column(String(20), comment="how it came: web, window, post...")
    notice_id: Mapped[int] = mapped_column(ForeignKey("public_notice.id"), index=True, comment="the notice")
    filed_at: Mapped[datetime] = mapped_column(comment="when it was filed")
