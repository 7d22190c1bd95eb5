"""Hides where work waits for other nodes: Procrastinate's tables, in a PostgreSQL schema of their own.

Work is handed over in the transaction that makes it due, by the SQL function of the queue itself, so that a job and the
state it belongs to are committed together or not at all. SQLite has no queue: the one worker there finds by itself what
is left to do. The workers' side is `uec.queue`.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

SCHEMA = "procrastinate"
STALLED_AFTER = timedelta(seconds=30)
KEPT = timedelta(days=1)
"""What became of the work stands in the tables of the office; some 90,000 jobs of a day end here."""


@dataclass(frozen=True)
class Work:
    """One job to hand over: `key` names the work, and while one of a key waits or runs no second one is handed over.

    `queue` is the one a worker listens to, `task` the function there, `arguments` plain JSON. Jobs of one `lock` are
    done one at a time, in their order; without one the key is it.
    """

    queue: str
    task: str
    key: str
    arguments: Mapping[str, Any]
    priority: int = 0
    lock: str | None = None


@dataclass(frozen=True)
class QueuedJobs:
    """How many jobs of a task stand in a state, and when anything was heard of the newest of them."""

    task: str
    status: str
    jobs: int
    last_at: datetime | None


_HAND_OVER = text(f"""
    SELECT cardinality({SCHEMA}.procrastinate_defer_jobs_v1(coalesce(array_agg(job ORDER BY place), '{{}}')))
    FROM (
        SELECT wanted.place, ROW(
            wanted.queue, wanted.task, wanted.priority, coalesce(wanted.lock, wanted.key), wanted.key,
            wanted.arguments, NULL
        )::{SCHEMA}.procrastinate_job_to_defer_v1 AS job
        FROM ROWS FROM (
            jsonb_to_recordset(CAST(:wanted AS jsonb))
            AS (queue varchar, task varchar, priority integer, lock text, key text, arguments jsonb)
        ) WITH ORDINALITY AS wanted (queue, task, priority, lock, key, arguments, place)
        WHERE NOT EXISTS (
            SELECT 1 FROM {SCHEMA}.procrastinate_jobs AS known
            WHERE known.queueing_lock = wanted.key AND (
                known.status IN ('todo', 'doing')
                OR EXISTS (
                    SELECT 1 FROM {SCHEMA}.procrastinate_events AS event
                    WHERE event.job_id = known.id AND event.at > now() - CAST(:quiet AS interval)
                )
            )
        )
    ) AS chosen
""")  # noqa: S608 - the schema's name is ours

_PUT_BACK = f"""
    UPDATE {SCHEMA}.procrastinate_jobs AS job
    SET status = 'todo', attempts = attempts + 1, scheduled_at = NULL
    WHERE status = 'doing' AND NOT EXISTS (
        SELECT 1 FROM {SCHEMA}.procrastinate_jobs AS other
        WHERE other.queueing_lock = job.queueing_lock AND other.status = 'todo'
    )
"""  # noqa: S608 - the schema's name is ours


def has_queue(session: Session) -> bool:
    """Whether the session's database hands work to other nodes."""
    return session.get_bind().dialect.name == "postgresql"


def one_at_a_time(session: Session, name: str) -> None:
    """Wait until nobody else is between this call with this name and the end of its transaction.

    On SQLite every transaction that writes is alone in any case.
    """
    if has_queue(session):
        session.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": f"{SCHEMA}.{name}"})


def hand_over(session: Session, works: Sequence[Work], *, quiet: timedelta = timedelta(0)) -> int:
    """Put work into the queue; it is there once the caller commits. Returns how many jobs that made.

    Work whose key waits or runs already is left out, and so is work of which anything was heard within `quiet`.
    Without a queue nothing happens.
    """
    if not works or not has_queue(session):
        return 0
    # Two callers with the same key would both see none, and the second be refused by the index.
    one_at_a_time(session, "hand_over")
    given = {"wanted": json.dumps([asdict(work) for work in works]), "quiet": quiet}
    return session.scalar(_HAND_OVER, given) or 0


def take_back_stalled(session: Session) -> int:
    """Put jobs of workers that went silent back into the queue, and commit; returns how many there were.

    A killed worker's job stands as being done for ever otherwise. One that is alive after all and too slow to say so
    ends up with its job done twice, which every job bears.
    """
    session.execute(
        text(f"DELETE FROM {SCHEMA}.procrastinate_workers WHERE last_heartbeat < now() - CAST(:after AS interval)"),  # noqa: S608
        {"after": STALLED_AFTER},
    )
    back = session.execute(text(f"{_PUT_BACK} AND worker_id IS NULL RETURNING id")).all()
    session.commit()
    return len(back)


def doing(session: Session, worker_id: int) -> set[int]:
    """The jobs that this worker has in hand as far as the queue knows."""
    mine = text(f"SELECT id FROM {SCHEMA}.procrastinate_jobs WHERE status = 'doing' AND worker_id = :worker")  # noqa: S608
    return set(session.scalars(mine, {"worker": worker_id}))


def give_back(session: Session, worker_id: int, jobs: Collection[int]) -> int:
    """Put jobs that stand under a living worker without being in its hands back, and commit; returns how many.

    Their end was never written down: the database was away at that moment, or forgot it when it crashed. As long as the
    worker lives nobody else takes them, and no new job of the same key is handed over.
    """
    if not jobs:
        return 0
    mine = text(f"{_PUT_BACK} AND worker_id = :worker AND id = ANY(:jobs) RETURNING id")
    back = session.execute(mine, {"worker": worker_id, "jobs": list(jobs)}).all()
    session.commit()
    return len(back)


def forget_finished(session: Session, *, older_than: timedelta = KEPT) -> int:
    """Delete jobs that ended longer ago, and commit; returns how many."""
    if not has_queue(session):
        return 0
    gone = session.execute(
        text(f"""
            DELETE FROM {SCHEMA}.procrastinate_jobs AS job
            WHERE status NOT IN ('todo', 'doing') AND NOT EXISTS (
                SELECT 1 FROM {SCHEMA}.procrastinate_events AS event
                WHERE event.job_id = job.id AND event.at > now() - CAST(:kept AS interval)
            )
            RETURNING id
        """),  # noqa: S608
        {"kept": older_than},
    ).all()
    session.commit()
    return len(gone)


def overview(session: Session) -> list[QueuedJobs]:
    """What stands in the queue, by task and state; empty without a queue."""
    if not has_queue(session):
        return []
    rows = session.execute(
        text(f"""
            SELECT task_name, CAST(status AS text), count(*),
                   (SELECT max(at) FROM {SCHEMA}.procrastinate_events WHERE job_id = max(job.id))
            FROM {SCHEMA}.procrastinate_jobs AS job
            GROUP BY 1, 2 ORDER BY 1, 2
        """)  # noqa: S608
    )
    return [QueuedJobs(*row) for row in rows]
