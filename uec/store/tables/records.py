"""The audit chains and their signed heads, scheduled runs and pauses, attempts, and the series of numbers."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Index, Integer, String, Text, UniqueConstraint, false, text
from sqlalchemy.orm import Mapped, mapped_column

from uec.store.columns import Table


class AuditEntry(Table):
    """One link of one of the eight audit chains; append-only, the database refuses UPDATE and DELETE."""

    __tablename__ = "audit_entry"
    __table_args__ = (
        UniqueConstraint("chain", "seq"),
        CheckConstraint("chain BETWEEN 0 AND 7", name="chain"),
        # What an auditor asks for, newest first.
        Index("ix_audit_entry_actor_id", "actor", "id"),
        Index("ix_audit_entry_subject_kind_id", "subject_kind", "id"),
        Index("ix_audit_entry_subject_id_id", "subject_id", "id"),
    )

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    chain: Mapped[int] = mapped_column(comment="0..7, by the hash of the subject")
    seq: Mapped[int] = mapped_column(BigInteger, comment="1, 2, 3... in the chain")
    at: Mapped[datetime] = mapped_column(comment="moment of the change")
    actor: Mapped[str] = mapped_column(String(80), comment="like staff:7")
    action: Mapped[str] = mapped_column(String(60), comment="like application.approve")
    subject_kind: Mapped[str] = mapped_column(String(40), comment="what was changed or looked at")
    subject_id: Mapped[str] = mapped_column(String(64))
    person_id: Mapped[int | None] = mapped_column(index=True, comment="resident whose record it touches")
    details: Mapped[dict[str, Any]] = mapped_column(comment="facts, never a secret")
    previous_hash: Mapped[bytes] = mapped_column(comment="hash of the entry before, 32 zero bytes for the first")
    hash: Mapped[bytes] = mapped_column(comment="SHA-256 over the canonical form")


class AuditChain(Table):
    """The present end of a chain; its row is the lock that puts appends in order."""

    __tablename__ = "audit_chain"

    chain: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    seq: Mapped[int] = mapped_column(BigInteger, comment="entries so far")
    hash: Mapped[bytes] = mapped_column(comment="hash of the last entry")


class AuditHead(Table):
    """A signed statement about the ends of all chains at a moment."""

    __tablename__ = "audit_head"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column()
    heads: Mapped[list[Any]] = mapped_column(comment="for each chain: number, entries, hash in hex")
    root: Mapped[bytes] = mapped_column(comment="SHA-256 over the heads; what is signed stands on it")
    signature: Mapped[bytes] = mapped_column(comment="ECDSA, DER")
    key_version: Mapped[int] = mapped_column(comment="version of the AUDIT key in the vault")


class ScheduledRun(Table):
    """One due run of a job; the key makes it happen once even if two schedulers fight."""

    __tablename__ = "scheduled_run"
    __table_args__ = (
        # A week of runs is some 600,000: what is looked for again and again are these few.
        Index(
            "ix_scheduled_run_open",
            "job",
            "due_at",
            postgresql_where=text("finished_at IS NULL"),
            sqlite_where=text("finished_at IS NULL"),
        ),
        Index(
            "ix_scheduled_run_failed", "job", "due_at", postgresql_where=text("failed"), sqlite_where=text("failed = 1")
        ),
    )

    job: Mapped[str] = mapped_column(String(60), primary_key=True)
    due_at: Mapped[datetime] = mapped_column(primary_key=True)
    started_at: Mapped[datetime | None] = mapped_column()
    finished_at: Mapped[datetime | None] = mapped_column()
    outcome: Mapped[str | None] = mapped_column(Text, comment="what it did, or its error")
    failed: Mapped[bool] = mapped_column(default=False, server_default=false(), comment="it was not done, or was ended")
    asked_by: Mapped[str | None] = mapped_column(String(80), comment="who asked for it out of its rhythm")
    tries: Mapped[int] = mapped_column(default=0, server_default="0", comment="how often it was begun")
    worker: Mapped[str | None] = mapped_column(String(80), comment="machine and process that began it last")
    end_asked_by: Mapped[str | None] = mapped_column(String(80), comment="who asked to end it")


class JobPause(Table):
    """A job that somebody has stopped for a time: no run of it is due by the clock."""

    __tablename__ = "job_pause"

    job: Mapped[str] = mapped_column(String(60), primary_key=True)
    paused_at: Mapped[datetime] = mapped_column(comment="since when")
    paused_by: Mapped[str] = mapped_column(String(80), comment="like staff:7")
    reason: Mapped[str] = mapped_column(String(200), comment="why")


class AttemptWindow(Table):
    """When one sender tried one thing lately, for all web processes."""

    __tablename__ = "attempt_window"

    name: Mapped[str] = mapped_column(String(40), primary_key=True, comment="what is tried")
    sender: Mapped[str] = mapped_column(String(64), primary_key=True, comment="SHA-256 of who tries, keyed")
    times: Mapped[list[Any]] = mapped_column(comment="seconds since 1970, the oldest first")
    ends_at: Mapped[datetime] = mapped_column(index=True, comment="when nothing of it counts any more")


class NumberSeries(Table):
    """The next number of a series: receipts, batches, cohorts, refusals, cards."""

    __tablename__ = "number_series"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    next: Mapped[int] = mapped_column(BigInteger)
