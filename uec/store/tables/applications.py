"""Citizens' requests, the answers of the registers, and the messages sent about them."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from uec.domain.lifecycle import ApplicationReason, ApplicationState, CheckOutcome, CheckRegister, Route
from uec.store.columns import Coded, Table, one_of

_REPLACING = text("replaces_card_id IS NOT NULL")


class Application(Table):
    """A citizen's request for a card, with the personal data as the citizen gave them."""

    __tablename__ = "application"
    __table_args__ = (
        one_of("state", ApplicationState),
        one_of("route", Route),
        one_of("reason", ApplicationReason),
        CheckConstraint("sex IN ('M', 'F')", name="sex"),
        # The office's list in its order: of a state, and with any other filter, from the index alone.
        Index("ix_application_state_due_on_id", "state", "due_on", "id"),
        Index("ix_application_due_on_id", "due_on", "id", postgresql_include=["state", "route", "point_id"]),
        # The start of a surname, whatever the server's locale.
        Index("ix_application_surname", "surname", postgresql_ops={"surname": "varchar_pattern_ops"}),
        # A state that changes writes an entry into every index: who took, who decided and the list are asked of none,
        # and most applications replace no card.
        Index(
            "ix_application_replaces_card_id",
            "replaces_card_id",
            sqlite_where=_REPLACING,
            postgresql_where=_REPLACING,
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(String(30), unique=True, comment="number on the receipt")
    route: Mapped[Route] = mapped_column(Coded(Route), comment="how it came in")
    reason: Mapped[ApplicationReason] = mapped_column(Coded(ApplicationReason), comment="why a card is asked for")
    state: Mapped[ApplicationState] = mapped_column(Coded(ApplicationState), default=ApplicationState.SUBMITTED)
    resident_id: Mapped[int | None] = mapped_column(ForeignKey("resident.id"), index=True, comment="when recognised")
    surname: Mapped[str] = mapped_column(String(100), comment="surname")
    name: Mapped[str] = mapped_column(String(100), comment="given name")
    patronymic: Mapped[str | None] = mapped_column(String(100), comment="patronymic, if any")
    birth_date: Mapped[date] = mapped_column(comment="date of birth")
    birth_place: Mapped[str] = mapped_column(String(255), comment="place of birth")
    sex: Mapped[str] = mapped_column(String(1), comment="M or F")
    snils: Mapped[str] = mapped_column(String(11), index=True, comment="11 digits")
    oms: Mapped[str | None] = mapped_column(String(16), comment="unified number of the OMS policy")
    doc_type: Mapped[str] = mapped_column(String(20), comment="passport or birth_certificate")
    doc_series: Mapped[str] = mapped_column(String(12), comment="4 digits, or like II-ИК")
    doc_number: Mapped[str] = mapped_column(String(6), comment="6 digits")
    doc_date: Mapped[date] = mapped_column(comment="date of issue")
    doc_issuer: Mapped[str] = mapped_column(String(255), comment="who issued it")
    address: Mapped[str] = mapped_column(String(400), comment="address of residence")
    phone: Mapped[str | None] = mapped_column(String(16), comment="E.164")
    email: Mapped[str | None] = mapped_column(String(254), comment="e-mail")
    language: Mapped[str | None] = mapped_column(String(5), comment="in which it was made; empty: that of the office")
    profile: Mapped[str | None] = mapped_column(String(40), comment="card variant; empty: the office's usual one")
    bank: Mapped[str | None] = mapped_column(String(120), comment="bank chosen; empty means the default bank")
    point_id: Mapped[int] = mapped_column(
        ForeignKey("issuance_point.id"), index=True, comment="where it is handed over"
    )
    photo: Mapped[bytes | None] = mapped_column(LargeBinary, comment="JPEG, application route only", deferred=True)
    representative_name: Mapped[str | None] = mapped_column(String(300), comment="legal representative, under 14")
    secret_hash: Mapped[str] = mapped_column(String(200), comment="hash of the secret on the receipt")
    submitted_at: Mapped[datetime] = mapped_column(comment="date of registration")
    due_on: Mapped[date] = mapped_column(comment="last day of the 30-day clock")
    taken_by: Mapped[int | None] = mapped_column(ForeignKey("staff.id"), comment="operator who took it")
    decided_by: Mapped[int | None] = mapped_column(ForeignKey("staff.id"), comment="officer who decided")
    decided_at: Mapped[datetime | None] = mapped_column(comment="moment of the decision")
    decision_reason: Mapped[str | None] = mapped_column(Text, comment="reason of the decision, shown to the citizen")
    replaces_card_id: Mapped[int | None] = mapped_column(
        ForeignKey("card.id", use_alter=True), comment="card this request replaces"
    )
    cohort_id: Mapped[int | None] = mapped_column(ForeignKey("cohort.id"), comment="mass emission list")
    remake: Mapped[bool] = mapped_column(default=False, comment="a card of it was spoiled: ahead of new orders")
    closed_at: Mapped[datetime | None] = mapped_column(comment="handed over, rejected or withdrawn")
    version: Mapped[int] = mapped_column(comment="optimistic lock")

    __mapper_args__ = {"version_id_col": version}


class RegisterCheck(Table):
    """One question to one register about one request."""

    __tablename__ = "register_check"
    __table_args__ = (
        UniqueConstraint("application_id", "register"),
        one_of("register", CheckRegister),
        one_of("outcome", CheckOutcome),
        Index("ix_register_check_outcome_next_attempt_at", "outcome", "next_attempt_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    application_id: Mapped[int] = mapped_column(ForeignKey("application.id"))
    register: Mapped[CheckRegister] = mapped_column(Coded(CheckRegister), comment="which register")
    outcome: Mapped[CheckOutcome] = mapped_column(Coded(CheckOutcome), default=CheckOutcome.PENDING)
    detail: Mapped[str | None] = mapped_column(Text, comment="what the register added")
    attempts: Mapped[int] = mapped_column(default=0, comment="questions asked so far")
    next_attempt_at: Mapped[datetime | None] = mapped_column(comment="not before; empty when answered")
    answered_at: Mapped[datetime | None] = mapped_column(comment="moment of match or mismatch")


class Message(Table):
    """A message to an applicant, queued in the transaction of its cause; words are put to it when it is sent."""

    __tablename__ = "message"
    __table_args__ = (UniqueConstraint("application_id", "key"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    application_id: Mapped[int] = mapped_column(ForeignKey("application.id"))
    kind: Mapped[str] = mapped_column(String(40), comment="template")
    key: Mapped[str] = mapped_column(String(120), comment="one message for each occasion")
    channel: Mapped[str] = mapped_column(String(20), comment="email, or page: on the status page only")
    language: Mapped[str] = mapped_column(String(5), comment="ru or en")
    facts: Mapped[dict[str, Any]] = mapped_column(comment="what the template names; never a secret")
    queued_at: Mapped[datetime] = mapped_column(comment="when it was queued")
    next_attempt_at: Mapped[datetime | None] = mapped_column(index=True, comment="not before; empty when it is over")
    attempts: Mapped[int] = mapped_column(default=0, comment="tries to send it")
    sent_at: Mapped[datetime | None] = mapped_column(comment="when the mail server took it")
    failure: Mapped[str | None] = mapped_column(String(200), comment="why the last try failed")
